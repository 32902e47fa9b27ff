"""Whether the times of `crispstream bench` are true: against stopwatches that it knows nothing of.

    engine    a plain loop around ONNX Runtime's run_with_iobinding
    engine    ONNX Runtime's own profile of the very calls that the bench timed
    copies    a plain loop around Restorer.restore

The plain loops have their turn between the rounds of the bench, so that a slow moment of the
machine meets all of them, and use the bench's own session: another one has its buffers elsewhere,
which alone makes a difference of 1 or 2 %. Each figure is the median of the ratios, round by round.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import MODELS, Limit, arguments, publish, result, sample_frames

from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.opening import Opened
from crispstream.runtime.measure.bench.bench import run_bench
from crispstream.runtime.measure.bench.record import Settings
from crispstream.runtime.measure.bench.statistics import paired_ratio
from crispstream.runtime.measure.bench.subjects import subject_of
from crispstream.runtime.restorer import Restorer

AT_MOST_APART = 0.02
PRECISIONS = ("fp32", "int8-cpu")
_LEAD_IN, _BLOCK = 1, 1
"""Frames of a turn, untimed and timed: the shorter, the more a pair of turns has in common."""
_TURN = _LEAD_IN + _BLOCK
Series = dict[str, list[float]]
"""Whose stopwatch -> the median of each round, ms."""


class Truth:
    """Plain loops on the session of a restorer; each call is a turn of all of them."""

    def __init__(self, restorer: Restorer, backend: Any, frames: Sequence[Bytes]) -> None:  # noqa: ANN401
        """Take a restorer that has its buffers, and the backend inside of it."""
        self.rounds: Series = {"engine": [], "copies": []}
        self._restorer, self._frames = restorer, frames
        self._session, self._bindings = backend._session, backend._bindings

    def take_turns(self) -> None:
        """Time a turn of each loop; its first frame is not timed, as in the bench."""
        self.rounds["engine"].append(self._median_ms(self._run))
        self.rounds["copies"].append(self._median_ms(self._restore))

    def _run(self, number: int) -> None:
        self._session.run_with_iobinding(self._bindings[number % len(self._bindings)])

    def _restore(self, number: int) -> None:
        self._restorer.restore(self._frames[number % len(self._frames)])

    @staticmethod
    def _median_ms(work: Callable[[int], None]) -> float:
        work(0)
        durations = []
        for number in range(1, _TURN):
            begun = time.perf_counter()
            work(number)
            durations.append(1000 * (time.perf_counter() - begun))
        return statistics.median(durations)


def benched(restorer: Restorer, frames: Sequence[Bytes], seconds: float, truth: Truth) -> Series:
    """Run the bench with the plain loops between its rounds; return its own medians."""
    height, width, _ = frames[0].shape
    settings = Settings((width, height), seconds, 1, 200.0, _BLOCK)
    record = run_bench(
        [subject_of(restorer)],
        settings,
        frames,
        scopes=("engine", "copies"),
        on_round=lambda rounds, _: truth.take_turns() if rounds else None,
    )
    return {name: list(one.rounds_ms) for name, one in record.variants[0].scopes.items()}


def opened(model: str, precision: str, profile_to: Path | None) -> Opened:
    """Return a model on ONNX Runtime's CPU, which writes its profile if asked to."""
    bundle = find_model(model)
    graph = next(each for each in bundle.graphs if each.precision == precision)
    backend = OnnxRuntimeBackend(
        bundle.graph_bytes(graph), precision=precision, profile_to=profile_to
    )
    return Opened(backend, bundle.name, bundle.size_multiple)


def profiled_rounds(profile: Path, rounds: int) -> list[float]:
    """Return the median of each of the last rounds as the library timed them, ms.

    A round is a turn of the bench and then one of each plain loop.
    """
    events = json.loads(profile.read_text(encoding="utf-8"))
    runs_ms = [event["dur"] / 1000 for event in events if event["name"] == "model_run"]
    by_round = np.array(runs_ms[-rounds * 3 * _TURN :]).reshape(rounds, 3 * _TURN)
    return [float(median) for median in np.median(by_round[:, _LEAD_IN:_TURN], axis=1)]


def compared(model: str, precision: str, frames: Sequence[Bytes], seconds: float) -> dict[str, Any]:
    """Return the bench's times over each of the others'."""
    bench, truth, _ = _run(opened(model, precision, None), frames, seconds)
    found = {
        f"{scope}_over_plain_loop": paired_ratio(bench[scope], medians)
        for scope, medians in truth.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        profiled = opened(model, precision, Path(folder) / "profile")
        bench, _, library = _run(profiled, frames, seconds)
    found["engine_over_profile"] = paired_ratio(bench["engine"], library)
    return {name: vars(ratio) for name, ratio in found.items()}


def _run(
    model: Opened, frames: Sequence[Bytes], seconds: float
) -> tuple[Series, Series, list[float]]:
    """Return the rounds of the bench, of the plain loops, and of ONNX Runtime if it keeps any."""
    height, width, _ = frames[0].shape
    backend: Any = model.backend
    profiles = backend._session.get_session_options().enable_profiling
    with Restorer(model) as restorer:
        restorer.reserve(width, height)
        truth = Truth(restorer, backend, frames)
        bench = benched(restorer, frames, seconds, truth)
        rounds = len(bench["engine"])
        library = profiled_rounds(backend.end_profile(), rounds) if profiles else []
    return bench, truth.rounds, library


def main() -> None:
    """Compare each model and precision."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="of a bench, of which 8 are run"
    )
    chosen = parser.parse_args()
    if chosen.seconds <= 0:
        parser.error("--seconds must be more than 0")
    frames = sample_frames()
    figures, limits = {}, {}
    for model in MODELS:
        for precision in PRECISIONS:
            for name, ratio in compared(model, precision, frames, chosen.seconds).items():
                figures[f"{model}_{precision}_{name}"] = ratio
                apart = abs(ratio["median"] - 1)
                limits[f"{model}_{precision}_{name}_apart"] = Limit(apart, AT_MOST_APART)
    settings = {"seconds": chosen.seconds, "size": "320x180", "block": _BLOCK}
    publish(result("bench_truth", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
