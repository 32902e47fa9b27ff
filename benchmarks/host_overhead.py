"""What a frame costs the host on TensorRT: submit and wait, on a driver that does nothing.

The driver, TensorRT and the GPU are fakes whose calls return at once, so that what is left is the
kit's own: handing the frame to the thread that has the GPU's context, its calls, and the answer.
On a GPU the driver's own part comes on top. Frames are 64x36 px, so that copying one into its
buffer, which the Restorer does, takes next to nothing.

One frame at a time is in work: that is the longest way, with two changes of thread for each. The
variants take turns, so that a slow moment of the machine meets all of them; each figure is the
median of the rounds.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
from common import Limit, arguments, publish, result
from idle_libraries import HEIGHT, WIDTH, install_idle_libraries

from crispstream.runtime.engine.backends.tensorrt.backend import Plan, TensorRTBackend
from crispstream.runtime.engine.opening import Opened
from crispstream.runtime.restorer import Restorer

GOAL_MICROSECONDS = 150.0


def open_backend(cuda_graph: bool) -> TensorRTBackend:
    """Return a backend on the fakes."""
    return TensorRTBackend(
        lambda height, width: Plan(b""),
        flavour="tensorrt",
        precision="fp16",
        cuda_graph=cuda_graph,
    )


def time_backend(cuda_graph: bool, frames: int) -> list[float]:
    """Return the microseconds of each frame's submit and wait."""
    backend = open_backend(cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 4)
    if backend.replays_graphs != cuda_graph:
        raise SystemExit("the fakes captured no graph")

    def one(number: int) -> None:
        backend.submit(number % 4)
        backend.wait(number % 4)

    durations = _timed(one, frames)
    if backend.replays_graphs != cuda_graph:
        raise SystemExit("the canary took the fakes' graphs for stale")
    backend.close()
    return durations


def time_restorer(cuda_graph: bool, frames: int) -> list[float]:
    """Return the microseconds of each frame's submit and collect, with the guard's looks."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    opened = Opened(open_backend(cuda_graph), "idle", size_multiple=4, guarded=True)
    with Restorer(opened) as restorer:

        def one(_: int) -> None:
            restorer.submit(frame)
            restorer.collect()

        return _timed(one, frames)


def _timed(one: Callable[[int], None], frames: int) -> list[float]:
    for number in range(200):
        one(number)
    durations = []
    for number in range(frames):
        begun = time.perf_counter_ns()
        one(number)
        durations.append((time.perf_counter_ns() - begun) / 1000)
    return durations


def spread(durations: Sequence[float]) -> dict[str, float]:
    """Return percentiles."""
    p50, p99 = np.percentile(durations, (50, 99))
    return {"p50": float(p50), "p99": float(p99), "mean": statistics.fmean(durations)}


VARIANTS: Mapping[str, Callable[[int], list[float]]] = {
    f"{name}_{kind}_microseconds": partial(measure, kind == "graph")
    for name, measure in (("backend", time_backend), ("restorer", time_restorer))
    for kind in ("plain", "graph")
}
"""Name of a figure -> what returns the microseconds of so many frames."""


def measure_in_turns(frames: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the percentiles of each variant: the medians of the rounds."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    with ExitStack() as stack:
        install_idle_libraries(stack)
        for _ in range(rounds):
            for name, measure in VARIANTS.items():
                found[name].append(spread(measure(frames)))
    return {
        name: {kind: statistics.median(each[kind] for each in spreads) for kind in spreads[0]}
        for name, spreads in found.items()
    }


def main() -> None:
    """Measure the backend and the Restorer, with and without CUDA graphs."""
    parser = arguments(__doc__)
    parser.add_argument("--frames", type=int, default=2000, help="frames of a round")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    if chosen.frames < 1 or chosen.rounds < 1:
        parser.error("--frames and --rounds must be 1 or more")
    figures = measure_in_turns(chosen.frames, chosen.rounds)
    limits = {
        f"{name}_p99": Limit(figure["p99"], GOAL_MICROSECONDS) for name, figure in figures.items()
    }
    settings = {
        "frames": chosen.frames,
        "rounds": chosen.rounds,
        "size": f"{WIDTH}x{HEIGHT}",
        "guarded": True,
    }
    publish(result("host_overhead", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
