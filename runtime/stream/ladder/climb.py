"""When to go down a ladder of restorers, and when up again: the rules, without the restorers.

Rungs are numbered best first. Going down is quick: after a few misses of the last frames, to the
first rung that should fit. Climbing is slow: one rung at a time, after the better one has seemed
to fit with room to spare for a while; the while doubles each time the climb does not last.

What another rung would cost now is what the present one costs now, times the ratio of the two.
That was measured beside each other before the stream, and is learnt again at each change: both
sides of it are taken to have the same load. Where a rung feels no load, or the load ends with the
change, what was learnt would hold the stream down for ever; so once in a while the first
measurement is believed instead, and no room to spare is asked for.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MISSES, OF_FRAMES = 3, 10
"""So many misses among so many frames, and it goes down."""
VERY_LONG = 4
"""Budgets; one frame that takes more is reason enough."""
MARGIN = 0.8
"""Share of the time there is that a better rung may seem to need. The rest is hysteresis."""
FIRST_WAIT_NS = 2_000_000_000
LONGEST_WAIT_NS = 120_000_000_000
"""How long a better rung has to seem to fit: at first, and at most after climbs that failed."""
PATIENCE = 3
"""Times longer, where a rung seems to fit by the first measurement alone, or without room to
spare."""
LASTING = 5
"""Waits; a climb that lasts longer has not failed."""

_FASTER = 0.9
"""A rung that takes more than this share of the time of a better one is not worth having."""
_LATEST = 5
"""Frames that tell what a rung costs at this moment."""
_RECENT = 30
"""Frames that tell what it costs of late, jitter included."""
_TOP = 3
"""Of those, the longest that are left out: the 90th percentile remains."""
_OVERHEAD_SHARE = 1 / 16


def worthwhile(costs: Sequence[float]) -> list[int]:
    """Return the numbers of the rungs that are clearly faster than every better one.

    >>> worthwhile([18.0, 9.7, 9.5, 6.2, 54.0])
    [0, 1, 3]
    """
    kept = [0]
    for number, cost in enumerate(costs):
        if cost < _FASTER * costs[kept[-1]]:
            kept.append(number)
    return kept


class Outcome(NamedTuple):
    """What became of a frame."""

    now_ns: int
    age_ns: int
    """Since its capture."""
    missed: bool
    """Whether the budget was exceeded."""
    rung: int | None
    """What restored it, or would have; None for one that is in no use any more."""
    service_ns: int | None
    """What restoring took; None for a frame that was skipped."""


@dataclass
class _Rung:
    """What is known of one rung's cost."""

    first_ns: int
    """Measured beside the others before the stream."""
    unloaded_ns: float
    """Cost at a load of 1, as learnt at the latest change."""
    wait_ns: int = FIRST_WAIT_NS
    """How long it has to seem to fit before it is climbed to."""
    recent_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def latest_ns(self) -> int:
        """The typical cost of the latest frames; 0 if there are none."""
        latest = sorted(list(self.recent_ns)[-_LATEST:])
        return latest[len(latest) // 2] if latest else 0

    def high_ns(self) -> int | None:
        """What nine of ten recent frames stay below; None until there are enough."""
        return sorted(self.recent_ns)[-1 - _TOP] if len(self.recent_ns) == _RECENT else None

    def judge_climb(self, lasted_ns: int) -> None:
        """Wait longer for the next climb if the one that ends here failed."""
        failed = lasted_ns < LASTING * self.wait_ns
        self.wait_ns = min(2 * self.wait_ns, LONGEST_WAIT_NS) if failed else FIRST_WAIT_NS


class Controller:
    """Chooses the rung, told what becomes of each frame; knows neither frames nor a clock.

    Attributes:
        rung: number of the one that new frames should go to.
        helpless: whether even the last rung misses.
        interval_ns: time between two frames of the source: a rung that takes longer loses frames
            however long the budget is. None where the source waits.

    >>> controller = Controller([20, 10], budget_ns=100, now_ns=0)
    >>> for now_ns in (200, 300, 400):
    ...     why = controller.observe(Outcome(now_ns, 120, True, rung=0, service_ns=120))
    >>> controller.rung, why
    (1, '3 of the last 3 frames missed')
    """

    def __init__(
        self,
        costs_ns: Sequence[int],
        budget_ns: int,
        now_ns: int,
        interval_ns: int | None = None,
    ) -> None:
        """Begin on the best rung that fits, else the last.

        `costs_ns` are the service times of the rungs, best first, measured beside each other.
        """
        self.interval_ns = interval_ns
        self._budget_ns = budget_ns
        self._rungs = [_Rung(max(1, cost_ns), max(1, cost_ns)) for cost_ns in costs_ns]
        self._load = 1.0  # when the present rung was entered
        self._overhead_ns = 0.0
        self._misses: deque[bool] = deque(maxlen=OF_FRAMES)
        self._climbed = False
        self.helpless = False
        fitting = (n for n, rung in enumerate(self._rungs) if rung.first_ns <= self._room_ns())
        self.rung = next(fitting, len(self._rungs) - 1)
        self._learns = False  # the first rung has nothing to be compared with
        self._begin(now_ns)

    def observe(self, outcome: Outcome) -> str:
        """Take note of a frame; return why the rung changes, or "" if it does not."""
        if outcome.rung != self.rung:
            return ""
        if outcome.service_ns is not None:
            self._serve(outcome.service_ns)
        if outcome.now_ns - outcome.age_ns < self._entered_ns:
            return ""  # it waited while the rung before was at work: not this one's doing
        if outcome.service_ns is not None:
            waited_ns = max(0, outcome.age_ns - outcome.service_ns)
            self._overhead_ns += (waited_ns - self._overhead_ns) * _OVERHEAD_SHARE
        self._misses.append(outcome.missed or self._loses_frames(outcome.service_ns))
        why = self._trouble(outcome.service_ns)
        self.helpless = bool(why) and self.rung == len(self._rungs) - 1
        if self.helpless:
            return ""
        return self._go_down(outcome.now_ns, why) if why else self._climb(outcome.now_ns)

    def resize(self, larger: float, now_ns: int) -> None:
        """Go on with frames of another size, `larger` times as many pixels, and so as dear.

        The best rung that should fit under the load there is goes on; a better one than before
        only with room to spare.
        """
        load = self._cost_ns() / self._present.unloaded_ns
        for rung in self._rungs:
            rung.first_ns = max(1, round(rung.first_ns * larger))
            rung.unloaded_ns *= larger
        room_ns = self._room_ns()
        fitting = (
            number
            for number, rung in enumerate(self._rungs)
            if rung.unloaded_ns * load <= room_ns * (MARGIN if number < self.rung else 1)
        )
        self.rung = next(fitting, len(self._rungs) - 1)
        self._load = load
        self._learns = self._climbed = False  # what is not quite as large is so for all rungs
        self._begin(now_ns)

    @property
    def _present(self) -> _Rung:
        return self._rungs[self.rung]

    def _loses_frames(self, service_ns: int | None) -> bool:
        if service_ns is None or self.interval_ns is None:
            return False
        return service_ns > self.interval_ns

    def _room_ns(self, overhead_ns: float = 0.0) -> float:
        """The longest service time that loses nothing."""
        room_ns = self._budget_ns - overhead_ns
        return room_ns if self.interval_ns is None else min(room_ns, self.interval_ns)

    def _trouble(self, service_ns: int | None) -> str:
        misses = sum(self._misses)
        if misses >= MISSES:
            return f"{misses} of the last {len(self._misses)} frames missed"
        if service_ns is not None and service_ns > VERY_LONG * self._budget_ns:
            return f"a frame took {service_ns / 1e6:.0f} ms"
        return ""

    def _go_down(self, now_ns: int, why: str) -> str:
        if self._climbed:
            self._present.judge_climb(now_ns - self._entered_ns)
        # What frames wait for now is mostly the rung that is left, so it is no part of this.
        lower = range(self.rung + 1, len(self._rungs))
        cost_ns = self._cost_ns()
        room_ns = MARGIN * self._room_ns()
        fitting = (n for n in lower if self._likely_ns(n, cost_ns) <= room_ns)
        self._climbed = False
        self._enter(next(fitting, lower[-1]), now_ns)
        return why

    def _climb(self, now_ns: int) -> str:
        cost_ns = self._present.high_ns()
        if self.rung == 0 or cost_ns is None:
            return ""
        better = self._rungs[self.rung - 1]
        room_ns = self._room_ns(self._overhead_ns)
        likely_ns = self._likely_ns(self.rung - 1, cost_ns)
        hoped_ns = cost_ns * better.first_ns / self._present.first_ns
        likely = self._likely.lasts_ns(likely_ns <= MARGIN * room_ns, now_ns) >= better.wait_ns
        patience_ns = min(PATIENCE * better.wait_ns, LONGEST_WAIT_NS)
        hoped = self._hoped.lasts_ns(hoped_ns <= room_ns, now_ns) >= patience_ns
        if not (likely or hoped) or any(self._misses):
            return ""
        self._climbed = True
        self._enter(self.rung - 1, now_ns)
        expected_ns = likely_ns if likely else hoped_ns
        return f"it should take {expected_ns / 1e6:.1f} ms, of {room_ns / 1e6:.1f} ms it may"

    def _cost_ns(self) -> float:
        """What the present rung costs now; by the load it was entered at, before its frames."""
        return self._present.latest_ns() or self._present.unloaded_ns * self._load

    def _likely_ns(self, rung: int, cost_ns: float) -> float:
        """What another rung would cost while the present one costs `cost_ns`."""
        return cost_ns * self._rungs[rung].unloaded_ns / self._present.unloaded_ns

    def _serve(self, service_ns: int) -> None:
        present = self._present
        present.recent_ns.append(service_ns)
        if self._learns and len(present.recent_ns) <= _LATEST:
            present.unloaded_ns = max(1, present.latest_ns() / self._load)

    def _enter(self, rung: int, now_ns: int) -> None:
        """Change the rung; the load is taken to be the same on both sides."""
        self._load = self._cost_ns() / self._present.unloaded_ns
        self.rung = rung
        self._learns = True
        self._begin(now_ns)

    def _begin(self, now_ns: int) -> None:
        self._entered_ns = now_ns
        self._likely, self._hoped = _Lasting(), _Lasting()
        self._misses.clear()
        self._present.recent_ns.clear()


class _Lasting:
    """How long something has held without a break."""

    def __init__(self) -> None:
        self._since_ns: int | None = None

    def lasts_ns(self, holds: bool, now_ns: int) -> int:
        """Return how long it has held, -1 if it does not."""
        if not holds:
            self._since_ns = None
            return -1
        if self._since_ns is None:
            self._since_ns = now_ns
        return now_ns - self._since_ns
