"""What measuring itself cost, found out on the spot."""

import statistics

from crispstream.core.clock import Clock
from crispstream.runtime.measure.figures import Observer
from crispstream.runtime.measure.gather import Gather

_BATCHES = 5
_BATCH = 400
_HOW = (
    "the two stamps of a frame and the record of it, timed {count} times right after the run, over "
    "the shortest median; one stamp at most lies inside of what is timed, the record behind it"
)


def observer_of(shortest_ms: float, clock: Clock) -> Observer:
    """Return the cost of one frame's stamps and record over `shortest_ms`, the shortest median."""
    stamps_ns = statistics.median(_stamped_ns(clock) for _ in range(_BATCHES))
    records_ns = statistics.median(_recorded_ns(clock) for _ in range(_BATCHES))
    cost_ns = stamps_ns + records_ns
    return Observer(
        share=cost_ns / (shortest_ms * 1e6) if shortest_ms > 0 else 0.0,
        how=_HOW.format(count=f"{_BATCHES * _BATCH:,}"),
        details={
            "stamps_microseconds": stamps_ns / 1e3,
            "record_microseconds": records_ns / 1e3,
            "shortest_median_ms": shortest_ms,
        },
    )


def _stamped_ns(clock: Clock) -> float:
    begun_ns = clock()
    for _ in range(_BATCH):
        clock()
        clock()
    return (clock() - begun_ns) / _BATCH


def _recorded_ns(clock: Clock) -> float:
    gather = Gather(clock=clock)
    begun_ns = clock()
    for number in range(_BATCH):
        gather.record(1_000_000 + number, begun_ns)
    return (clock() - begun_ns) / _BATCH
