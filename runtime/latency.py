"""Durations kept in constant memory, however long the run: histograms with log-spaced buckets.

A bucket spans 2 %; its geometric middle is within 1 % of everything in it. Spread over 1 ns to
3 hours that is 1,504 counters a stage.
"""

import math
from array import array
from collections.abc import Sequence

_GROWTH = 1.02
_LOG_GROWTH = math.log(_GROWTH)
_LONGEST_NS = 10_800 * 10**9
_BUCKETS = math.ceil(math.log(_LONGEST_NS) / _LOG_GROWTH) + 1
_NS_PER_MS = 1e6


class Histogram:
    """Counts durations; percentiles come back within 1 % of the true ones.

    Count, mean and maximum are exact. One thread records; others may read at any time and see
    a state at most one record old.

    >>> histogram = Histogram()
    >>> for milliseconds in range(1, 101):
    ...     histogram.record(milliseconds * 1_000_000)
    >>> histogram.count, histogram.mean_ms, histogram.max_ms
    (100, 50.5, 100.0)
    >>> abs(histogram.percentile_ms(50) - 50) <= 0.5
    True
    """

    __slots__ = ("_buckets", "_count", "_max_ns", "_min_ns", "_total_ns")

    def __init__(self) -> None:
        """Start empty."""
        self.clear()

    def clear(self) -> None:
        """Forget everything recorded."""
        # Not a list: its numbers would grow into objects of their own with the counts.
        self._buckets = array("Q", bytes(8 * _BUCKETS))
        self._count = 0
        self._total_ns = 0
        self._min_ns = 0
        self._max_ns = 0

    def record(self, duration_ns: int) -> None:
        """Add one duration in nanoseconds; beyond 3 hours only the maximum stays exact.

        Raises:
            ValueError: if the duration is negative, which a monotonic clock cannot give.
        """
        if duration_ns < 0:
            raise ValueError(
                f"a duration of {duration_ns} ns; stamps come from one clock, in order"
            )
        bucket = int(math.log(duration_ns) / _LOG_GROWTH) if duration_ns > 1 else 0
        self._buckets[min(bucket, _BUCKETS - 1)] += 1
        self._min_ns = duration_ns if self._count == 0 else min(self._min_ns, duration_ns)
        self._max_ns = max(self._max_ns, duration_ns)
        self._total_ns += duration_ns
        self._count += 1

    @property
    def count(self) -> int:
        """How many durations were recorded."""
        return self._count

    @property
    def total_ns(self) -> int:
        """Sum of all durations in nanoseconds, exact."""
        return self._total_ns

    @property
    def mean_ms(self) -> float:
        """Mean in milliseconds; 0 when empty."""
        return self._total_ns / self._count / _NS_PER_MS if self._count else 0.0

    @property
    def max_ms(self) -> float:
        """Largest duration in milliseconds; 0 when empty."""
        return self._max_ns / _NS_PER_MS

    def percentile_ms(self, q: float) -> float:
        """Return the smallest duration, in ms, that at least `q` % of all do not exceed.

        Nearest rank, `q` from 0 to 100; 0 when empty.

        Raises:
            ValueError: if `q` lies outside 0..100.
        """
        if not 0 <= q <= 100:
            raise ValueError(f"percentile {q} lies outside 0..100")
        # 99.9 is a little more than 999 / 1000 in binary: of 1,000 it would be the 1,000th.
        rank = max(1, math.ceil(math.nextafter(q, 0) / 100 * self._count))
        seen = 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if seen >= rank:
                middle_ns = math.exp((bucket + 0.5) * _LOG_GROWTH)
                return min(max(middle_ns, self._min_ns), self._max_ns) / _NS_PER_MS
        return 0.0

    def buckets(self) -> list[tuple[float, int]]:
        """Return (upper edge in ms, count) of each bucket that is not empty, shortest first.

        >>> histogram = Histogram()
        >>> histogram.record(1_000_000)
        >>> [(round(upper_ms, 2), count) for upper_ms, count in histogram.buckets()]
        [(1.01, 1)]
        """
        return [
            (_GROWTH ** (bucket + 1) / _NS_PER_MS, count)
            for bucket, count in enumerate(self._buckets)
            if count
        ]

    def summary(self) -> dict[str, float]:
        """Return count, mean_ms, p50_ms, p95_ms, p99_ms and max_ms."""
        return {
            "count": float(self._count),
            "mean_ms": self.mean_ms,
            "p50_ms": self.percentile_ms(50),
            "p95_ms": self.percentile_ms(95),
            "p99_ms": self.percentile_ms(99),
            "max_ms": self.max_ms,
        }


class Latencies:
    """One histogram a stage, in a fixed order.

    Each stage is recorded by one thread; different stages may be recorded by different ones.

    >>> latencies = Latencies(("decode", "infer"))
    >>> latencies.record("infer", 2_000_000)
    >>> latencies.summary()["infer"]["max_ms"]
    2.0
    """

    def __init__(self, stages: Sequence[str]) -> None:
        """Make one empty histogram for each name; their order is the order of reports."""
        self._histograms = {stage: Histogram() for stage in stages}

    def clear(self) -> None:
        """Forget everything recorded, as after a warm-up."""
        for histogram in self._histograms.values():
            histogram.clear()

    @property
    def stages(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(self._histograms)

    def __getitem__(self, stage: str) -> Histogram:
        """Return the histogram of one stage; KeyError for an unknown one."""
        return self._histograms[stage]

    def record(self, stage: str, duration_ns: int) -> None:
        """Add one duration in nanoseconds to a stage; KeyError for an unknown one."""
        self._histograms[stage].record(duration_ns)

    def span(
        self, stage: str, begin_ns: int, end_ns: int, /, *more_ns: int, serial: int = -1
    ) -> None:
        """Add the time between pairs of stamps: begin, end, begin, end ... in nanoseconds.

        What keeps more than durations wants to know when, and of which frame: its `serial`, -1
        where that is not known.
        """
        del serial
        more = sum(more_ns[1::2]) - sum(more_ns[::2]) if more_ns else 0
        self._histograms[stage].record(end_ns - begin_ns + more)

    def summary(self) -> dict[str, dict[str, float]]:
        """Return stage -> {count, mean_ms, p50_ms, p95_ms, p99_ms, max_ms}, in order."""
        return {stage: histogram.summary() for stage, histogram in self._histograms.items()}
