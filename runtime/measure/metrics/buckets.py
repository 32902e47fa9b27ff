"""The kit's histograms as Prometheus has them: how many durations lie at or below fixed edges."""

from bisect import bisect_left
from itertools import accumulate
from typing import NamedTuple

from crispstream.runtime.latency import Histogram

EDGES_SECONDS = (
    0.00025, 0.0005, 0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.033, 0.05, 0.075,
    0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper edges; densest where frames have 16 to 100 ms."""
_ROUNDING = 1.01
_MS_PER_SECOND = 1e3


class Cumulative(NamedTuple):
    """One histogram at one moment."""

    counts: tuple[int, ...]
    """Durations at or below each of `EDGES_SECONDS`, and in the end all of them."""
    sum_seconds: float
    """Of all durations, exact."""


def cumulative(histogram: Histogram) -> Cumulative:
    """Return a histogram's counts at the edges; it may be written meanwhile.

    An edge counts as the end of the 2 % bucket that is nearest to it, which is within 1 % of it.
    The last count is the sum of the buckets that were read, so that they agree; no count is ever
    less than it was before.

    >>> histogram = Histogram()
    >>> for milliseconds in (1, 3, 40_000):
    ...     histogram.record(milliseconds * 1_000_000)
    >>> found = cumulative(histogram)
    >>> found.counts[2:5], found.counts[-2:], found.sum_seconds
    ((1, 1, 2), (2, 3), 40.004)
    """
    counts = [0] * (len(EDGES_SECONDS) + 1)
    for upper_ms, count in histogram.buckets():
        counts[bisect_left(EDGES_SECONDS, upper_ms / _ROUNDING / _MS_PER_SECOND)] += count
    return Cumulative(tuple(accumulate(counts)), histogram.total_ns / 1e9)
