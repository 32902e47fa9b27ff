"""Timing for the GPU check: variants in turns, A B A B, until rounds or time are up.

A round runs one burst of every variant, so that all feel the same clocks and temperature, and
their ratios can be taken in pairs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.common import median_and_range, paired_ratio
from benchmarks.gpu_check.record import Comparison, Row
from benchmarks.gpu_check.steps import OUT_OF_TIME, Deadline, tried


@dataclass(frozen=True)
class Pace:
    """How long to measure."""

    rounds: int = 15
    burst_seconds: float = 0.03
    warm_seconds: float = 0.2
    """Of work before the first burst counts: an idle GPU runs at low clocks."""
    most_frames: int = 4096
    """In a burst."""


@dataclass(frozen=True)
class Variant:
    """One thing to be timed.

    Attributes:
        row: what it is.
        burst: runs so many frames and returns the seconds they took, until the last is done.
        clock: what those seconds were measured with, "cuda events" or "host".
        more: returns further figures, asked for after the last burst.
    """

    row: Row
    burst: Callable[[int], float]
    clock: str = "host"
    more: Callable[[], Mapping[str, object]] = dict


@dataclass(frozen=True)
class Timed:
    """What the bursts of a variant took."""

    frames_per_burst: int
    clock: str
    ms: dict[int, float] = field(default_factory=dict)
    """Round -> milliseconds a frame."""
    more: dict[str, object] = field(default_factory=dict)
    """Further figures."""

    def figures(self, least_ms: float | None = None) -> dict[str, object]:
        """Return the figures of a row; `least_ms` is what the roofs allow for a frame."""
        spread = median_and_range(list(self.ms.values()))
        return {
            "ms_per_frame": spread,
            "frames_per_second": 1e3 / spread["median"],
            "frames_per_burst": self.frames_per_burst,
            "clock": self.clock,
            "roof_share": None if least_ms is None else least_ms / spread["median"],
            **self.more,
        }


def in_turns(
    variants: Sequence[Variant], pace: Pace, deadline: Deadline, budget_seconds: float
) -> dict[Row, Timed | str]:
    """Time variants in turns; one that fails is left out of what follows, with its reason.

    Ends after the rounds of `pace`, or when the budget or the whole time is spent.
    """
    done: dict[Row, Timed | str] = {}
    alive = list(variants)
    end_at = deadline.spent_seconds + min(budget_seconds, deadline.left_seconds)
    for variant in variants:
        frames = tried(partial(_warmed, variant, pace, deadline))
        warm = isinstance(frames, int)
        done[variant.row] = Timed(frames, variant.clock) if isinstance(frames, int) else frames
        alive = alive if warm else [other for other in alive if other is not variant]
    for index in range(pace.rounds):
        if deadline.spent_seconds >= end_at:
            break
        alive = [variant for variant in alive if _burst(index, variant, done)]
    for variant in alive:
        timed = done[variant.row]
        if isinstance(timed, Timed):
            timed.more.update(variant.more())
    return {row: OUT_OF_TIME if _is_empty(found) else found for row, found in done.items()}


def _burst(index: int, variant: Variant, done: dict[Row, Timed | str]) -> bool:
    """Run one burst of a round; return whether it went well."""
    timed = done[variant.row]
    if isinstance(timed, str):
        return False
    frames = timed.frames_per_burst
    seconds = tried(partial(variant.burst, frames))
    if isinstance(seconds, str):
        done[variant.row] = seconds
        return False
    timed.ms[index] = 1e3 * seconds / frames
    return True


def _is_empty(found: Timed | str) -> bool:
    return isinstance(found, Timed) and not found.ms


def _warmed(variant: Variant, pace: Pace, deadline: Deadline) -> int:
    """Work for a while, and return how many frames make a burst."""
    least = frames = variant.row.streams
    spent = 0.0
    while True:
        deadline.check()
        seconds = max(variant.burst(frames), 1e-9)
        spent += seconds
        wanted = round(frames * pace.burst_seconds / seconds)
        frames = max(least, min(wanted, 8 * frames, pace.most_frames))
        if spent >= pace.warm_seconds:
            return frames


def compare(timed: Mapping[Row, Timed | str], of: Row, over: Row) -> Comparison | None:
    """Return how many times as fast `of` is as `over`; None where one was not run."""
    fast, slow = timed.get(of), timed.get(over)
    if not isinstance(fast, Timed) or not isinstance(slow, Timed):
        return None
    both = sorted(set(fast.ms) & set(slow.ms))
    if not both:
        return None
    ratio = paired_ratio([slow.ms[each] for each in both], [fast.ms[each] for each in both])
    return Comparison(of, over, ratio)
