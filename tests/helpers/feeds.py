"""Fake feeds: connections that say what a script tells them to, on a fake clock."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from crispstream.core.clock import FakeClock
from crispstream.core.errors import SourceError
from crispstream.runtime.frame import Colour
from crispstream.runtime.stream.live.backoff import Backoff
from crispstream.runtime.stream.live.feed import Picture

FRAME_NS = 40_000_000


def picture(
    number: int, *, pts: int | None = -1, size: tuple[int, int] = (16, 8), skipped: int = 0
):
    """A picture of (width, height) that differs from those of other numbers; 25 a second."""
    pixels = np.full((size[1], size[0], 3), number % 251, np.uint8)
    return Picture(pixels, 40 * number if pts == -1 else pts, 40, skipped)


def pictures(count: int, first: int = 0, **kind):
    return [picture(number, **kind) for number in range(first, first + count)]


class FakeFeed:
    """Gives the steps of a script, a picture's time after one another, then breaks."""

    time_base = Fraction(1, 1000)
    frame_rate = Fraction(25)
    colour = Colour("bt709", full_range=False)

    def __init__(self, clock: FakeClock, steps: Sequence[object]) -> None:
        self._clock = clock
        self._steps = iter(steps)
        self.closed = False

    def read(self) -> Picture | None:
        assert not self.closed
        self._clock.advance(FRAME_NS)
        step = next(self._steps, SourceError("the fake feed's script is over"))
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed = True


class FakeCamera:
    """Opens one feed after another, of scripts or errors; the last entry again and again."""

    def __init__(self, *scripts: object) -> None:
        self.clock = FakeClock()
        self.feeds: list[FakeFeed] = []
        self.opened = 0
        self._scripts = scripts

    def __call__(self) -> FakeFeed:
        script = self._scripts[min(self.opened, len(self._scripts) - 1)]
        self.opened += 1
        if isinstance(script, Exception):
            raise script
        self.feeds.append(FakeFeed(self.clock, script))
        return self.feeds[-1]


class FakeBackoff(Backoff):
    """Never waits, and counts how often it was asked and reset."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.resets = 0

    def next_seconds(self) -> float:
        self.asked += 1
        return 0.0

    def reset(self) -> None:
        self.resets += 1
