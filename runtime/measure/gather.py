"""Durations as they come, kept as a `Spread` and a time line in constant memory.

    record, record, record ... -> spread(), moments()

One thread records; others may read at any time and see a state at most one record old.
"""

from array import array
from collections.abc import Sequence

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import UsageError
from crispstream.runtime.latency import Histogram

from .figures import PERCENTILES, Moment, Spread

MOST_MOMENTS = 120
"""Bins of a time line: one a pixel or two of a chart."""
_FIRST_MOMENT_NS = 100_000_000
_NS_PER_MS = 1e6
_NS_PER_SECOND = 1e9


def percentile_key(q: float) -> str:
    """Return what a percentile is called in a `Spread`.

    >>> percentile_key(50.0), percentile_key(99.9)
    ('50', '99.9')

    Raises:
        UsageError: if it lies outside 0..100, or has more than six digits: the key of 99.9999999
            would be that of 100.
    """
    key = f"{q:g}"
    if not 0 <= q <= 100 or float(key) != q:
        raise UsageError(
            f"the percentile {q!r} is not one of 0 to 100 with six digits at most; give for "
            "instance 99.99"
        )
    return key


class Gather:
    """Takes durations of one kind; what it holds does not grow, however long the run.

    >>> gather = Gather(begun_ns=0)
    >>> for milliseconds in (2, 4, 3):
    ...     gather.record(milliseconds * 1_000_000, at_ns=5_000_000)
    >>> spread = gather.spread()
    >>> spread.count, spread.mean_ms, spread.min_ms, spread.max_ms, spread.jitter_ms
    (3, 3.0, 2.0, 4.0, 1.5)
    """

    def __init__(
        self,
        percentiles: Sequence[float] = PERCENTILES,
        clock: Clock = monotonic_ns,
        *,
        begun_ns: int | None = None,
    ) -> None:
        """Start empty.

        Args:
            percentiles: what `spread` tells, each from 0 to 100.
            clock: tells when a duration ended, where `record` is not told.
            begun_ns: when the run began, on that clock; by default now.

        Raises:
            UsageError: for a percentile that `percentile_key` refuses.
        """
        self._percentiles = {percentile_key(q): q for q in percentiles}
        self._clock = clock
        self._histogram = Histogram()
        self._timeline = Timeline(clock() if begun_ns is None else begun_ns)
        self._min_ns = self._before_ns = self._jumps_ns = 0

    def record(self, duration_ns: int, at_ns: int | None = None) -> None:
        """Add a duration in nanoseconds that ended `at_ns`, by default now.

        Raises:
            ValueError: if the duration is negative, which a monotonic clock cannot give.
        """
        first = self._histogram.count == 0
        self._histogram.record(duration_ns)
        self._timeline.record(duration_ns, self._clock() if at_ns is None else at_ns)
        if first:
            self._min_ns = duration_ns
        else:
            self._min_ns = min(self._min_ns, duration_ns)
            self._jumps_ns += abs(duration_ns - self._before_ns)
        self._before_ns = duration_ns

    @property
    def histogram(self) -> Histogram:
        """The durations' histogram; whoever else adds to it is missing in jitter and moments."""
        return self._histogram

    @property
    def count(self) -> int:
        """How many durations were recorded."""
        return self._histogram.count

    def spread(self) -> Spread:
        """Return count, mean, extremes, percentiles, jitter and buckets; all 0 when empty."""
        histogram = self._histogram
        return Spread(
            count=histogram.count,
            mean_ms=histogram.mean_ms,
            min_ms=self._min_ns / _NS_PER_MS,
            max_ms=histogram.max_ms,
            percentiles_ms={
                key: histogram.percentile_ms(q) for key, q in self._percentiles.items()
            },
            jitter_ms=self._jumps_ns / max(1, histogram.count - 1) / _NS_PER_MS,
            buckets=tuple(histogram.buckets()),
        )

    def moments(self) -> tuple[Moment, ...]:
        """Return the stretches in which something ended, all of one length, earliest first.

        At most `MOST_MOMENTS`: they last 0.1 s at first, and twice as long each time that they no
        longer reach to the end.
        """
        return self._timeline.moments()


class Timeline:
    """A fixed number of bins; arrays, since their numbers take no more room as they grow."""

    def __init__(self, begun_ns: int) -> None:
        """Begin the time line at a stamp."""
        self._begun_ns = begun_ns
        self._bin_ns = _FIRST_MOMENT_NS
        nothing = (0,) * MOST_MOMENTS
        self._counts = array("q", nothing)
        self._totals_ns = array("q", nothing)
        self._mins_ns = array("q", nothing)
        self._maxs_ns = array("q", nothing)

    def record(self, duration_ns: int, at_ns: int) -> None:
        """Add a duration to the bin of the stamp at which it ended."""
        number = max(0, at_ns - self._begun_ns) // self._bin_ns
        while number >= MOST_MOMENTS:
            self._merge()
            number //= 2
        self._put(number, 1, duration_ns, duration_ns, duration_ns)

    def _put(self, number: int, count: int, total_ns: int, min_ns: int, max_ns: int) -> None:
        if self._counts[number] == 0 or min_ns < self._mins_ns[number]:
            self._mins_ns[number] = min_ns
        if max_ns > self._maxs_ns[number]:
            self._maxs_ns[number] = max_ns
        self._totals_ns[number] += total_ns
        self._counts[number] += count

    def _merge(self) -> None:
        """Make one bin of every two; bins get twice as long."""
        columns = (self._counts, self._totals_ns, self._mins_ns, self._maxs_ns)
        for number in range(MOST_MOMENTS):
            count, total_ns, min_ns, max_ns = (column[number] for column in columns)
            for column in columns:
                column[number] = 0
            if count:
                self._put(number // 2, count, total_ns, min_ns, max_ns)
        self._bin_ns *= 2

    def moments(self) -> tuple[Moment, ...]:
        """Return the bins in which something ended; see `Gather.moments`."""
        columns = zip(self._counts, self._totals_ns, self._mins_ns, self._maxs_ns, strict=True)
        seconds = self._bin_ns / _NS_PER_SECOND
        return tuple(
            Moment(
                begin_seconds=number * seconds,
                seconds=seconds,
                count=count,
                mean_ms=total_ns / count / _NS_PER_MS,
                min_ms=min_ns / _NS_PER_MS,
                max_ms=max_ns / _NS_PER_MS,
            )
            for number, (count, total_ns, min_ns, max_ns) in enumerate(columns)
            if count
        )
