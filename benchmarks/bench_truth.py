"""Whether the times of `crispstream bench` are true: against stopwatches that it knows nothing of.

    engine      a plain loop around ONNX Runtime's run_with_iobinding
    engine      ONNX Runtime's own profile of the very calls that the bench timed
    copies      a plain loop around Restorer.restore
    end_to_end  run_stream, timed from outside: a source that looks at its watch as it hands a frame
                out, an output that does as its `write` returns; one frame under way at a time

The plain loops have their turn between the rounds of the bench, so that a slow moment of the
machine meets all of them, and use the bench's own session: another one has its buffers elsewhere,
which alone makes a difference of 1 or 2 %. Each figure is the median of the ratios, round by round,
with an interval of 95 %. A run ends when the intervals are narrow enough to tell 2 %, at the latest
after `--seconds`; how wide they were then is published.
"""

import gc
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    MODELS,
    Limit,
    Ratio,
    arguments,
    paired_ratio,
    publish,
    result,
    sample_frames,
)

from crispstream.core.clock import monotonic_ns
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.opening import Opened
from crispstream.runtime.frame import Frame
from crispstream.runtime.measure.bench.bench import run_bench
from crispstream.runtime.measure.bench.memory_source import MemorySource
from crispstream.runtime.measure.bench.pace import Pace
from crispstream.runtime.measure.bench.record import Settings
from crispstream.runtime.measure.bench.subjects import subject_of
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.sinks.null import NullSink

AT_MOST_APART = 0.02
NARROW = 0.01
"""Width of an interval from which on more rounds would tell nothing new of `AT_MOST_APART`."""
PRECISIONS = ("fp32", "int8-cpu")
_LEAD_IN, _BLOCK = 1, 1
"""Frames of a turn, untimed and timed: the shorter, the more a pair of turns has in common."""
_TURN = _LEAD_IN + _BLOCK
_PART_SECONDS = 5.0
"""From one look at the intervals to the next."""
Series = dict[str, list[float]]
"""Scope -> the median of each round, ms."""


class Watching(MemorySource):
    """Gives frames one at a time, and looks at its own watch as it hands them out."""

    def __init__(self, frames: Sequence[Bytes]) -> None:
        """Take frames [H,W,3]."""
        super().__init__(frames, Pace(None, 0.0, monotonic_ns, time.sleep), monotonic_ns)
        self.handed_out: list[float] = []

    def __iter__(self) -> Iterator[Frame]:
        """Give each frame once the one before is written."""
        for frame in super().__iter__():
            self.handed_out.append(time.perf_counter())
            yield frame


class WatchingSink(NullSink):
    """Throws frames away, and looks at its own watch when it has."""

    def __init__(self, on_written: Callable[[], None]) -> None:
        """`on_written` is called after each frame."""
        super().__init__()
        self.done: list[float] = []
        self._on_written = on_written

    def write(self, frame: Frame, restored_hwc: Bytes) -> None:
        """Take a frame."""
        super().write(frame, restored_hwc)
        self.done.append(time.perf_counter())
        self._on_written()


class Truth:
    """Plain loops on the session of a restorer; each call is a turn of all of them.

    Attributes:
        rounds: what they found.
    """

    def __init__(self, restorer: Restorer, backend: Any, frames: Sequence[Bytes]) -> None:  # noqa: ANN401
        """Take a restorer that has its buffers, and the backend inside of it."""
        self.rounds: Series = {"engine": [], "copies": [], "end_to_end": []}
        self._restorer, self._frames = restorer, frames
        self._session, self._bindings = backend._session, backend._bindings

    def take_turns(self) -> None:
        """Time a turn of each loop; its first frame is not timed, as in the bench."""
        gc.disable()  # as in the bench's turns
        try:
            # The bench's stream came last: so its counterpart comes first.
            self.rounds["end_to_end"].append(self._streamed_ms())
            self.rounds["copies"].append(self._looped_ms(self._restore))
            self.rounds["engine"].append(self._looped_ms(self._run))
        finally:
            gc.enable()

    def _run(self, number: int) -> None:
        self._session.run_with_iobinding(self._bindings[number % len(self._bindings)])

    def _restore(self, number: int) -> None:
        self._restorer.restore(self._frames[number % len(self._frames)])

    @staticmethod
    def _looped_ms(work: Callable[[int], None]) -> float:
        work(0)
        durations = []
        for number in range(_LEAD_IN, _TURN):
            begun = time.perf_counter()
            work(number)
            durations.append(1000 * (time.perf_counter() - begun))
        return statistics.median(durations)

    def _streamed_ms(self) -> float:
        source = Watching(self._frames[:_TURN])
        sink = WatchingSink(source.let_go)
        run_stream(source, self._restorer, sink)
        pairs = zip(source.handed_out[_LEAD_IN:], sink.done[_LEAD_IN:], strict=True)
        return statistics.median(1000 * (done - begun) for begun, done in pairs)


def opened(model: str, precision: str, profile_to: Path | None = None) -> Opened:
    """Return a model on ONNX Runtime's CPU, which writes its profile if asked to."""
    bundle = find_model(model)
    graph = next(each for each in bundle.graphs if each.precision == precision)
    backend = OnnxRuntimeBackend(
        bundle.graph_bytes(graph), precision=precision, profile_to=profile_to
    )
    return Opened(backend, bundle.name, bundle.size_multiple)


def against_loops(model: Opened, frames: Sequence[Bytes], seconds: float) -> dict[str, Ratio]:
    """Return the bench's times over those of the plain loops, by scope."""
    height, width, _ = frames[0].shape
    benched: Series = {}
    begun = time.monotonic()
    with Restorer(model) as restorer:
        restorer.reserve(width, height)
        truth = Truth(restorer, model.backend, frames)
        while True:
            found = benched_rounds(restorer, frames, _PART_SECONDS, truth.take_turns)
            for scope, medians in found.items():
                benched.setdefault(scope, []).extend(medians)
            ratios = {name: paired_ratio(benched[name], truth.rounds[name]) for name in benched}
            narrow = all(ratio.high - ratio.low <= NARROW for ratio in ratios.values())
            if narrow or time.monotonic() - begun >= seconds:
                return ratios


def benched_rounds(
    restorer: Restorer, frames: Sequence[Bytes], seconds: float, between: Callable[[], None]
) -> Series:
    """Run a bench, and something after each of its rounds; return what it found."""
    height, width, _ = frames[0].shape
    record = run_bench(
        [subject_of(restorer)],
        Settings((width, height), seconds, 1, 200.0, _BLOCK),
        frames,
        on_round=lambda rounds, _: between() if rounds else None,
    )
    return {name: list(one.rounds_ms) for name, one in record.variants[0].scopes.items()}


def against_profile(model: str, precision: str, frames: Sequence[Bytes], seconds: float) -> Ratio:
    """Return the bench's times of the engine over what ONNX Runtime itself found of these calls."""
    height, width, _ = frames[0].shape
    with tempfile.TemporaryDirectory() as folder:
        profiled = opened(model, precision, Path(folder) / "profile")
        with Restorer(profiled) as restorer:
            restorer.reserve(width, height)
            found = benched_rounds(restorer, frames, seconds, lambda: None)
            backend: Any = profiled.backend
            profile = json.loads(backend.end_profile().read_text(encoding="utf-8"))
    return paired_ratio(found["engine"], profiled_rounds(profile, len(found["engine"])))


def profiled_rounds(events: Sequence[Mapping[str, Any]], rounds: int) -> list[float]:
    """Return the median of each of the last rounds as the library timed them, ms.

    A round is a turn of single frames and one of the stream.
    """
    runs_ms = [event["dur"] / 1000 for event in events if event["name"] == "model_run"]
    by_round = np.array(runs_ms[-rounds * 2 * _TURN :]).reshape(rounds, 2 * _TURN)
    return [float(median) for median in np.median(by_round[:, _LEAD_IN:_TURN], axis=1)]


def main() -> None:
    """Compare each model and precision."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--seconds", type=float, default=32.0, help="at most, for each model and precision"
    )
    chosen = parser.parse_args()
    if chosen.seconds <= 0:
        parser.error("--seconds must be more than 0")
    frames = sample_frames()
    figures, limits = {}, {}
    for model, precision in itertools.product(MODELS, PRECISIONS):
        loops = against_loops(opened(model, precision), frames, chosen.seconds)
        found = {f"{scope}_over_plain_loop": ratio for scope, ratio in loops.items()}
        found["end_to_end_over_stopwatch_outside"] = found.pop("end_to_end_over_plain_loop")
        found["engine_over_profile"] = against_profile(model, precision, frames, chosen.seconds / 4)
        for name, ratio in found.items():
            told = {**vars(ratio), "width": ratio.high - ratio.low}
            figures[f"{model}_{precision}_{name}"] = told
            apart = abs(ratio.median - 1)
            limits[f"{model}_{precision}_{name}_apart"] = Limit(apart, AT_MOST_APART)
    settings = {
        "most_seconds": chosen.seconds, "size": "320x180", "block": _BLOCK,
        "narrow_enough": NARROW, "interval": 0.95,
    }  # fmt: skip
    publish(result("bench_truth", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
