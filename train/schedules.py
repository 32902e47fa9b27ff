"""What moves over a training: the learning rate, one formula a schedule, and the patches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

KINDS = ("warm-cosine", "constant", "steps", "cosine")


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves from its base."""

    kind: str = "warm-cosine"
    """warm-cosine: up over 2 % of the steps, then half a cosine to a hundredth. constant.
    steps: times `decay` every `period`. cosine: half a cosine over each `period`, then anew."""
    period: int = 0
    """Steps, or epochs if `per_epoch`, of a plateau or of a cosine."""
    per_epoch: bool = False
    """Whether `period` counts passes over the data set."""
    decay: float = 1.0
    """steps: factor at the end of each period. cosine: factor of all periods after the first."""
    lowest: float = 0.0
    """Rate that the schedule does not go below."""
    warm_up_steps: int = 0
    """cosine: steps of a linear start, counted inside the first period."""

    def __post_init__(self) -> None:
        """Refuse what would fail later."""
        if self.kind not in KINDS:
            raise ValueError(f"there is no schedule '{self.kind}'; choose one of {KINDS}")
        if self.kind in ("steps", "cosine") and self.period < 1:
            raise ValueError(f"the schedule '{self.kind}' needs a period, got {self.period}")

    def in_steps(self, steps_per_epoch: int) -> "Schedule":
        """Return the same schedule with its period counted in steps.

        >>> Schedule("steps", period=7, per_epoch=True).in_steps(100).period
        700
        """
        if not self.per_epoch:
            return self
        return replace(self, period=self.period * steps_per_epoch, per_epoch=False)

    def rate(self, base: float, step: int, steps: int) -> float:
        """Return the learning rate of 0-based `step` out of `steps`.

        >>> [Schedule("steps", period=2, decay=0.1).rate(1.0, step, 4) for step in range(4)]
        [1.0, 1.0, 0.1, 0.1]
        """
        if self.kind == "constant":
            return base
        if self.kind == "steps":
            return max(self.lowest, float(base * self.decay ** (step // self.period)))
        if self.kind == "cosine":
            return self._restarting(base, step)
        warm = max(1, steps // 50)
        share = max(0, step - warm) / max(1, steps - warm)
        return base * min(1.0, (step + 1) / warm) * (0.01 + 0.99 * _half_cosine(share))

    def _restarting(self, base: float, step: int) -> float:
        """SGDR, Loshchilov and Hutter 2017, with a weight for the restarts."""
        peak = base if step < self.period else base * self.decay
        share = step % self.period / self.period
        rate = self.lowest + (peak - self.lowest) * _half_cosine(share)
        return rate * min(1.0, (step + 1) / max(1, self.warm_up_steps))


def _half_cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


class Phase(NamedTuple):
    """Steps in a row whose batches are alike."""

    steps: int
    patch_px: int
    """Side of an LR patch; 0 takes samples whole."""
    batch: int


def phases_of(steps: int, shares: Sequence[tuple[float, int, int]]) -> tuple[Phase, ...]:
    """Return the phases of so many steps, `shares` being (share, patch_px, batch) of each.

    Every step is in a phase; a phase whose share is less than a step is left out.

    >>> phases_of(10, [(0.75, 32, 8), (0.25, 64, 2)])
    (Phase(steps=8, patch_px=32, batch=8), Phase(steps=2, patch_px=64, batch=2))
    """
    phases, begin, whole = [], 0, 0.0
    for share, patch_px, batch in shares:
        whole += share
        end = min(steps, round(whole * steps))
        phases.append(Phase(end - begin, patch_px, batch))
        begin = end
    return tuple(phase for phase in phases if phase.steps)
