"""What the turns of one variant come to, scope by scope, in memory that does not grow."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from crispstream.runtime.measure.figures import Misses, Reading
from crispstream.runtime.measure.gather import Gather

from .record import Measured

MOST_ROUNDS = 1024
"""Medians kept of a variant and scope; a multiple of 2, so that both orders of turns are in each
mean of neighbours."""
MOST_READINGS = 240
_NS_PER_MS = 1e6


class Track:
    """The times of one variant in one scope.

    Attributes:
        rounds: the medians, which whoever runs the rounds adds.
        overrun: of a camera's grid, how many frames took longer than until its next point.
    """

    def __init__(
        self, gather: Gather, deadline_ms: float | None = None, period_ms: float | None = None
    ) -> None:
        """Take an empty gather; `period_ms` lies between two frames of a camera."""
        self.rounds = Rounds()
        self.overrun = None if period_ms is None else Deadline(period_ms)
        self._gather = gather
        self._deadline = None if deadline_ms is None else Deadline(deadline_ms)

    def record(self, duration_ns: int, ended_ns: int) -> None:
        """Add a frame."""
        self._gather.record(duration_ns, ended_ns)
        for limit in (self._deadline, self.overrun):
            if limit is not None:
                limit.record(duration_ns)

    def measured(self) -> Measured | None:
        """Return what came together; None without a frame."""
        if not self._gather.count:
            return None
        spread = self._gather.spread()
        return Measured(
            spread=spread,
            rounds_ms=tuple(self.rounds.medians_ms),
            timeline=self._gather.moments(),
            frames_per_second=1e3 / spread.mean_ms if spread.mean_ms else 0.0,
            misses=None if self._deadline is None else self._deadline.misses(),
        )


class Rounds:
    """The median of each round; once they are too many, the mean of neighbouring rounds.

    >>> rounds = Rounds()
    >>> for number in range(MOST_ROUNDS):
    ...     rounds.add([1_000_000 * number])
    >>> rounds.medians_ms[:3], len(rounds.medians_ms)
    ([0.5, 2.5, 4.5], 512)
    """

    def __init__(self) -> None:
        """Start empty."""
        self.medians_ms: list[float] = []
        self._each = 1
        self._waiting, self._waiting_ms = 0, 0.0

    def add(self, durations_ns: Sequence[int]) -> None:
        """Add the frames of one round."""
        self._waiting += 1
        self._waiting_ms += statistics.median(durations_ns) / _NS_PER_MS
        if self._waiting < self._each:
            return
        self.medians_ms.append(self._waiting_ms / self._each)
        self._waiting, self._waiting_ms = 0, 0.0
        if len(self.medians_ms) == MOST_ROUNDS:
            pairs = zip(self.medians_ms[::2], self.medians_ms[1::2], strict=True)
            self.medians_ms = [statistics.fmean(pair) for pair in pairs]
            self._each *= 2


@dataclass
class Deadline:
    """Counts the frames that took longer than `deadline_ms`."""

    deadline_ms: float
    missed: int = 0
    of: int = 0
    worst_run: int = 0
    _run: int = 0

    def record(self, duration_ns: int) -> None:
        """Add a frame."""
        late = duration_ns > self.deadline_ms * _NS_PER_MS
        self._run = self._run + 1 if late else 0
        self.worst_run = max(self.worst_run, self._run)
        self.missed += late
        self.of += 1

    def misses(self) -> Misses:
        """Return the counts."""
        return Misses(self.deadline_ms, self.missed, self.of, self.worst_run)


class Readings:
    """What the machine told between rounds; of a long run every second reading, every fourth ...

    >>> readings = Readings()
    >>> for number in range(2 * MOST_READINGS):
    ...     readings.add(Reading(number, {}))
    >>> [reading.seconds for reading in readings.kept[:3]], len(readings.kept)
    ([0, 4, 8], 120)
    """

    def __init__(self) -> None:
        """Start empty."""
        self.kept: list[Reading] = []
        self._each = 1
        self._seen = 0

    def add(self, reading: Reading | None) -> None:
        """Keep a reading, if there is one and it is its turn."""
        if reading is None:
            return
        if self._seen % self._each == 0:
            self.kept.append(reading)
        self._seen += 1
        if len(self.kept) == MOST_READINGS:
            self.kept = self.kept[::2]
            self._each *= 2

    def end(self, reading: Reading | None) -> None:
        """Keep the last one, whose counts are those of the whole run."""
        if reading is not None:
            self.kept.append(reading)
