"""What the rungs of a ladder did: frames, misses, time in charge, and every change."""

from collections.abc import Sequence
from dataclasses import dataclass

_SWITCHES_KEPT = 200


@dataclass(frozen=True)
class RungUse:
    """What one rung did."""

    name: str
    """As `model precision`."""
    frames: int
    """It restored."""
    missed: int
    """Of them beyond the budget, and frames skipped while it was in charge."""
    seconds: float
    """In charge, from the first frame to the latest."""
    entered: int
    """Changes of rung that ended here."""
    cost_ms: float
    """A frame, measured beside the other rungs before the stream."""
    left_out: bool
    """Whether it is never used, for a better one is as fast."""


@dataclass(frozen=True)
class Switch:
    """A change of rung."""

    seconds: float
    """Since the first frame."""
    left: str
    entered: str
    why: str
    """What was seen, in a few words."""


@dataclass(frozen=True)
class LadderUse:
    """What a ladder did."""

    budget_ms: float
    """From capture to restored."""
    rungs: tuple[RungUse, ...]
    """Best first."""
    changes: int
    """Of rung, in all."""
    switches: tuple[Switch, ...]
    """The latest of them, oldest first; a bounded number."""

    def line(self) -> str:
        """Return the time in each rung as a sentence.

        >>> rungs = RungUse("edge-n fp32", 30, 0, 1.0, 0, 9.5, False),
        >>> LadderUse(33.0, rungs, 0, ()).line()
        'rungs: edge-n fp32 1.0 s (30 frames, 0 missed); changes: 0'
        """
        told = [
            f"{rung.name} {rung.seconds:.1f} s ({rung.frames} frames, {rung.missed} missed)"
            for rung in self.rungs
            if rung.frames or rung.missed
        ]
        return f"rungs: {', '.join(told) or 'none used'}; changes: {self.changes}"


@dataclass
class _Counts:
    frames: int = 0
    missed: int = 0
    in_charge_ns: int = 0
    entered: int = 0
    cost_ns: int = 0
    left_out: bool = False


class Tally:
    """Counts for a ladder; one thread writes, any may ask for the `use`.

    Attributes:
        number: of the rung in charge.
    """

    def __init__(self, names: Sequence[str], budget_ms: float) -> None:
        """Begin with the first rung in charge; its time runs from the first `charge`."""
        self.number = 0
        self._names = tuple(names)
        self._budget_ms = budget_ms
        self._counts = [_Counts() for _ in names]
        self._switches: tuple[Switch, ...] = ()
        self._begun_ns: int | None = None
        self._charged_ns = 0

    @property
    def begun(self) -> bool:
        """Whether there was a frame."""
        return self._begun_ns is not None

    def measured(self, costs_ns: Sequence[int], used: Sequence[int]) -> None:
        """Note what each rung costs a frame, and the numbers of those in use."""
        for number, (counts, cost_ns) in enumerate(zip(self._counts, costs_ns, strict=True)):
            counts.cost_ns, counts.left_out = cost_ns, number not in used

    def charge(self, now_ns: int) -> None:
        """Put the time since the last call down to the rung in charge."""
        if self._begun_ns is None:
            self._begun_ns = self._charged_ns = now_ns
        self._counts[self.number].in_charge_ns += now_ns - self._charged_ns
        self._charged_ns = now_ns

    def restored(self, number: int) -> None:
        """Count a frame of one rung."""
        self._counts[number].frames += 1

    def missed(self, number: int) -> None:
        """Count a frame that was too late for one rung."""
        self._counts[number].missed += 1

    def switch(self, number: int, why: str) -> Switch:
        """Put another rung in charge, as of the last `charge`."""
        seconds = (self._charged_ns - (self._begun_ns or 0)) / 1e9
        switch = Switch(seconds, self._names[self.number], self._names[number], why)
        self._switches = (*self._switches, switch)[-_SWITCHES_KEPT:]
        self._counts[number].entered += 1
        self.number = number
        return switch

    def use(self) -> LadderUse:
        """Return the counts as of now."""
        rungs = tuple(
            RungUse(
                name=name,
                frames=counts.frames,
                missed=counts.missed,
                seconds=counts.in_charge_ns / 1e9,
                entered=counts.entered,
                cost_ms=counts.cost_ns / 1e6,
                left_out=counts.left_out,
            )
            for name, counts in zip(self._names, self._counts, strict=True)
        )
        changes = sum(counts.entered for counts in self._counts)
        return LadderUse(self._budget_ms, rungs, changes, self._switches)
