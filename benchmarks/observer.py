"""What profiling costs: the same stream plainly, profiled, and with a trace, in turns.

Each round runs all three, in an order that changes. A frame is given once the one before is
written, so that the time of a run over its frames is a frame's way from captured to written. CPU
time covers all threads of the process. Beside the ratios stands what `crispstream profile` prints:
the cost of an event, measured on the spot, times the events of a frame.
"""

import itertools
import time
from collections.abc import Callable, Sequence

from common import Limit, arguments, paired_ratio, publish, result, sample_frames

from crispstream.core.clock import monotonic_ns
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.bench.memory_source import MemorySource
from crispstream.runtime.measure.bench.pace import Pace
from crispstream.runtime.measure.profiling.cost import observer
from crispstream.runtime.measure.profiling.watching import Profiler
from crispstream.runtime.restorer import STAGES, Restorer
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.loop import StreamReport, run_stream
from crispstream.runtime.stream.sinks.null import NullSink

MODEL = "edge-s"
ROUNDS = 50
FRAMES = 60
WAYS = ("plain", "profiled", "traced")
MOST = 1.01


class LettingGo(NullSink):
    """Throws frames away, and tells the source of each."""

    def __init__(self, written: Callable[[], None]) -> None:
        """`written` is called after each frame."""
        super().__init__()
        self._written = written

    def write(self, frame: Frame, restored_hwc: Bytes) -> None:
        """Take a frame."""
        super().write(frame, restored_hwc)
        self._written()


def run(restorer: Restorer, frames: Sequence[Bytes], way: str) -> tuple[StreamReport, Profiler]:
    """Run one stream; the profiler took no part in a plain one."""
    profiler = Profiler(keeps_trace=way == "traced")
    make = Latencies if way == "plain" else profiler.latencies
    source = MemorySource(frames, Pace(None, 0.0, monotonic_ns, time.sleep), monotonic_ns)
    ledger = Ledger(source.health)
    profiler.watch_queues(lambda: ledger.depths())
    restorer.latencies = make(STAGES)
    sink = LettingGo(source.let_go)
    return run_stream(source, restorer, sink, latencies=make, ledger=ledger), profiler


def measure() -> dict[str, object]:
    """Run everything."""
    frames = [*itertools.islice(itertools.cycle(sample_frames()), FRAMES)]
    wall: dict[str, list[float]] = {way: [] for way in WAYS}
    cpu: dict[str, list[float]] = {way: [] for way in WAYS}
    told: dict[str, list[float]] = {way: [] for way in WAYS[1:]}
    with Restorer.open(MODEL, size=(320, 180), frames_in_flight=3) as restorer:
        run(restorer, frames, "plain")
        for index in range(ROUNDS):
            for way in (WAYS, WAYS[::-1])[index % 2]:
                report, profiler = run(restorer, frames, way)
                wall[way].append(report.elapsed_seconds)
                cpu[way].append(report.cpu_seconds)
                if way != "plain":
                    frame_ms = 1e3 * report.elapsed_seconds / report.frames
                    cost = observer(profiler, report.frames, frame_ms, keeps_trace=way == "traced")
                    told[way].append(cost.share)
    figures, limits = {}, {}
    for way in WAYS[1:]:
        times, work = paired_ratio(wall[way], wall["plain"]), paired_ratio(cpu[way], cpu["plain"])
        share = sorted(told[way])[ROUNDS // 2]
        figures[way] = {
            "time_ratio": times.median, "time_low": times.low, "time_high": times.high,
            "cpu_ratio": work.median, "cpu_low": work.low, "cpu_high": work.high,
            "told_share": share,
        }  # fmt: skip
        limits[f"{way}: end-to-end time over plain, median of pairs"] = Limit(
            times.median, at_most=MOST
        )
        limits[f"{way}: share of a frame, as printed"] = Limit(share, at_most=MOST - 1)
    return result(
        "observer",
        settings={"model": MODEL, "rounds": ROUNDS, "frames": FRAMES},
        figures=figures,
        limits=limits,
    )


def main() -> None:
    """Measure and publish."""
    publish(measure(), arguments(__doc__ or "").parse_args())


if __name__ == "__main__":
    main()
