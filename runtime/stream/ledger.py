"""The books of one stream: what came, what went, what was lost and why, at any moment.

    captured = restored + dropped by the slot, the deadline or the stop (+ those in hand)
    restored = written + dropped, for each sink by itself

Frames that a source knows it never gave are in its `Health`, what each sink lost in its outlet.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.runtime.latency import Histogram, Latencies

from .health import Health

CAUSES = ("slot", "deadline", "stop")
"""slot: a newer frame came before the restorer was free. deadline: it could not be in time any
more. stop: it waited when the run was told to end."""

_RECENT_NS = 1_000_000_000


@dataclass(frozen=True)
class Snapshot:
    """The books at one moment."""

    seconds: float
    """Since they were opened."""
    state: str
    """Of the source; one of `health.STATES`."""
    reconnects: int
    captured: int
    restored: int
    dropped: Mapping[str, int]
    """Cause -> frames: `source`, those of `CAUSES`, and `sink`, summed over the sinks."""
    late: int
    """Frames restored later than the budget after their capture; 0 without a budget."""
    missed_in_a_row: int
    """The longest run of frames that were late or dropped by slot or deadline."""
    frames_per_second: float
    """Restored, over the last second or so."""
    latency_ms: float
    """From capture to restored, of the latest frame."""
    p50_ms: float
    p95_ms: float
    """Percentiles of the same over the whole stream."""
    budget_ms: float | None
    rung: str
    """What restored the latest frame, as `model precision`."""


class Ledger:
    """Counts of one stream; the loop's threads write, anyone reads.

    Attributes:
        health: of the source.
        budget_ms: from capture to restored; None without a deadline.
        ages: from capture to restored, of all frames.
        sink_losses: asked how many frames the sinks did not take; the loop sets it.
        depths: asked how many frames wait now, at `slot` and at `queue`; the loop sets it.
        histograms: of the stages of the loop, for whoever looks on; the loop sets it.
    """

    def __init__(
        self, health: Health, *, budget_ms: float | None = None, clock: Clock = monotonic_ns
    ) -> None:
        """Open the books of the source that `health` is of."""
        self.health = health
        self.budget_ms = budget_ms
        self.sink_losses: Callable[[], int] = lambda: 0
        self.depths: Callable[[], Mapping[str, int]] = dict
        self.histograms: tuple[Latencies, ...] = ()
        self.ages = Histogram()
        self._clock = clock
        self._lock = threading.Lock()
        self._begun_ns = clock()
        self._captured = self._restored = self._late = 0
        self._dropped = dict.fromkeys(CAUSES, 0)
        self._misses = self._worst_misses = 0
        self._rung = ""
        self._latest_ns = 0
        self._rate = _Rate(self._begun_ns)

    def capture(self) -> None:
        """Count a frame that the source gave."""
        with self._lock:
            self._captured += 1

    def drop(self, cause: str, frames: int = 1) -> None:
        """Count frames that will not be restored; `cause` is one of `CAUSES`."""
        with self._lock:
            self._dropped[cause] += frames
            if cause != "stop":
                self._miss(frames)

    def restore(self, age_ns: int, rung: str) -> bool:
        """Count a frame restored `age_ns` after its capture; return whether it is in time."""
        in_time = self.budget_ms is None or age_ns <= self.budget_ms * 1e6
        with self._lock:
            self.ages.record(max(0, age_ns))
            self._restored += 1
            self._rung = rung
            self._latest_ns = age_ns
            self._rate.count(self._clock())
            if in_time:
                self._misses = 0
            else:
                self._late += 1
                self._miss(1)
        return in_time

    def _miss(self, frames: int) -> None:
        self._misses += frames
        self._worst_misses = max(self._worst_misses, self._misses)

    @property
    def idle_seconds(self) -> float:
        """Since the latest frame was restored; before the first, since the books were opened."""
        with self._lock:
            return (self._clock() - self._rate.latest_ns) / 1e9

    def snapshot(self) -> Snapshot:
        """Return the books as of now."""
        at_sinks = self.sink_losses()
        with self._lock:
            now_ns = self._clock()
            return Snapshot(
                seconds=(now_ns - self._begun_ns) / 1e9,
                state=self.health.state,
                reconnects=self.health.reconnects,
                captured=self._captured,
                restored=self._restored,
                dropped={
                    "source": self.health.lost_frames,
                    **self._dropped,
                    "sink": at_sinks,
                },
                late=self._late,
                missed_in_a_row=self._worst_misses,
                frames_per_second=self._rate.per_second(now_ns),
                latency_ms=self._latest_ns / 1e6,
                p50_ms=self.ages.percentile_ms(50),
                p95_ms=self.ages.percentile_ms(95),
                budget_ms=self.budget_ms,
                rung=self._rung,
            )


class _Rate:
    """Events a second, over the last whole second and the one that runs.

    Attributes:
        latest_ns: when the latest one was; at first, when counting began.
    """

    def __init__(self, now_ns: int) -> None:
        self._begun_ns = self.latest_ns = now_ns
        self._count = self._before = 0
        self._before_ns = 0

    def count(self, now_ns: int) -> None:
        if now_ns - self.latest_ns > 2 * _RECENT_NS:  # what was before a gap is no rate of now
            self._begun_ns, self._count = now_ns, 0
            self._before = self._before_ns = 0
        self.latest_ns = now_ns
        self._count += 1
        if now_ns - self._begun_ns >= _RECENT_NS:
            self._before, self._before_ns = self._count, now_ns - self._begun_ns
            self._begun_ns, self._count = now_ns, 0

    def per_second(self, now_ns: int) -> float:
        span_ns = now_ns - self._begun_ns + self._before_ns
        if span_ns <= 0:
            return 0.0
        if now_ns - self.latest_ns > 2 * _RECENT_NS:
            return 0.0
        return (self._count + self._before) * 1e9 / span_ns
