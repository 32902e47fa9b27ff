"""What profiling itself costs: measured on the spot, with the same calls the loop makes."""

import statistics

from crispstream.core.clock import monotonic_ns
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.figures import Observer

from .watching import Profiler

_ROUNDS = 15
_SPANS = 400
_STAGE = "wait"
"""One of those at whose end the queues are looked at, which are the dearer half."""


def span_cost_ns(*, keeps_trace: bool) -> float:
    """Return what a watched stage costs more than one that is only counted, in nanoseconds.

    The two take turns; the median over the rounds leaves out what interrupted one of them.
    """
    profiler = Profiler(keeps_trace=keeps_trace)
    profiler.watch_queues(lambda: {"slot": 1, "queue": 1})
    watched, plain = profiler.latencies((_STAGE,)), Latencies((_STAGE,))
    differences = [_cost_ns(watched) - _cost_ns(plain) for _ in range(_ROUNDS)]
    return max(0.0, statistics.median(differences))


def _cost_ns(latencies: Latencies) -> float:
    begun_ns = monotonic_ns()
    for serial in range(_SPANS):
        at_ns = monotonic_ns()
        latencies.span(_STAGE, at_ns - 1000, at_ns, serial=serial)
    return (monotonic_ns() - begun_ns) / _SPANS


def observer(profiler: Profiler, frames: int, frame_ms: float, *, keeps_trace: bool) -> Observer:
    """Return what watching a run cost, beside a frame of it.

    Args:
        profiler: which watched the run.
        frames: that were restored.
        frame_ms: what is held against it: the time of a frame.
        keeps_trace: whether each event was kept.
    """
    cost_ns = span_cost_ns(keeps_trace=keeps_trace)
    events = profiler.seen / frames if frames else 0.0
    share = cost_ns * events / (1e6 * frame_ms) if frame_ms else 0.0
    return Observer(
        share,
        f"{events:.1f} events a frame at {cost_ns / 1e3:.1f} microseconds each, measured right "
        "after the run in turns with calls that watch nothing; without a profiler nothing runs",
        {"events_per_frame": events, "event_us": cost_ns / 1e3, "frame_ms": frame_ms},
    )
