"""The drift alarm: does a stream still look like what its INT8 graph was calibrated on?

The ranges of an INT8 graph are those of its calibration frames. Frames unlike them, at night or
through a dirty lens, saturate or drown in rounding, and no error tells. So about one frame a
second is measured and compared with the range that each figure had over the calibration set.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import inf
from typing import Any, Protocol

from crispstream.core.figures import Figures, FrameMeter
from crispstream.core.int8 import FLAVOURS
from crispstream.runtime.frame import Frame

Ranges = Mapping[str, tuple[float, float]]
"""Name of a figure (see `core.figures.Figures`) -> (low, high) over the calibration set."""

SECONDS_BETWEEN = 1
"""Seconds of presentation time from one watched frame to the next."""

MARGIN = 0.25
"""How far beyond the calibrated range is still inside: this share of the range's width, plus the
figure's allowance. At most half of the low end and `MOST_ALLOWANCES` above the high one, or the
margin of a set that covers much would swallow night, blur and glare."""

MOST_ALLOWANCES = 4

# About what a figure varies by within one clip of a steady camera: a set of a single scene has a
# narrower range than that.
_ALLOWANCES = Figures(brightness=5.0, contrast=3.0, sharpness=0.05, texture=0.5, noise=0.2)

# The alarm is raised when 5 of the last 8 watched frames are outside and is over when 2 are.
_LAST = 8
_RAISED_AT = 5
_OVER_AT = 2


@dataclass(frozen=True)
class Departure:
    """One figure of one frame that lies outside."""

    figure: str
    """Name, as in `core.figures.Figures`."""
    value: float
    calibrated_low: float
    calibrated_high: float


@dataclass(frozen=True)
class FigureDrift:
    """What one figure did over a stream, in the figure's unit."""

    figure: str
    """Name, as in `core.figures.Figures`."""
    calibrated_low: float
    calibrated_high: float
    lowest: float
    """Least value of the watched frames."""
    highest: float
    """Largest value of the watched frames."""
    outside: int
    """Watched frames in which it lay beyond the calibrated range and its margin."""

    @property
    def farthest(self) -> float:
        """The value that lay farther out, `lowest` or `highest`."""
        below = self.calibrated_low - self.lowest
        return self.lowest if below > self.highest - self.calibrated_high else self.highest


@dataclass(frozen=True)
class Drift:
    """How a stream compared with the calibration set."""

    watched: int
    """Frames measured, about one a second."""
    outside: int
    """Those of them in which any figure lay outside."""
    alarms: int
    """How often most of the last watched frames were outside after they had not been."""
    figures: tuple[FigureDrift, ...]
    """Each calibrated figure; empty where no frame was watched."""

    @property
    def outside_share(self) -> float:
        """Share of the watched frames that were outside, 0 to 1."""
        return self.outside / self.watched if self.watched else 0.0

    @property
    def worst(self) -> FigureDrift | None:
        """The figure that was outside most often, if any was."""
        worst = max(self.figures, key=lambda figure: figure.outside, default=None)
        return worst if worst is not None and worst.outside else None


Watch = Callable[[Frame], None]
"""What looks at each frame that is to be restored."""


def each_of(first: Watch | None, second: Watch | None) -> Watch | None:
    """Return what looks at each frame for both; None where neither wants to."""
    if first is None or second is None:
        return first or second

    def both(frame: Frame) -> None:
        first(frame)
        second(frame)

    return both


class DriftWatch:
    """Takes every frame of a stream and measures one a second; give it to `run_stream` as `watch`.

    One frame costs 0.3 ms at 320x180 and 4 ms at 1280x720; buffers are made once.
    """

    def __init__(
        self, ranges: Ranges, on_alarm: Callable[[Sequence[Departure]], None] | None = None
    ) -> None:
        """Watch the figures of `ranges`.

        `on_alarm` is called when the first alarm is raised, with the figures of that frame that
        are outside.
        """
        self._figures = [_Watched(name, *ends) for name, ends in ranges.items()]
        self._on_alarm = on_alarm
        self._meter = FrameMeter()
        self._last: deque[bool] = deque(maxlen=_LAST)
        self._watched_at: Fraction | None = None
        self._watched = 0
        self._outside = 0
        self._alarms = 0
        self._raised = False

    def __call__(self, frame: Frame) -> None:
        """Measure a frame, if a second has passed since the last one that was."""
        at = frame.pts * frame.time_base
        # Time that runs backwards, as where a recording starts over, is as good as a second.
        if self._watched_at is not None and 0 <= at - self._watched_at < SECONDS_BETWEEN:
            return
        self._watched_at = at
        measured = self._meter.measure(frame.pixels_hwc)._asdict()
        departures = [
            departure
            for watched in self._figures
            if (departure := watched.see(measured[watched.figure])) is not None
        ]
        self._watched += 1
        self._outside += bool(departures)
        self._last.append(bool(departures))
        self._judge(departures)

    def _judge(self, departures: Sequence[Departure]) -> None:
        outside = sum(self._last)
        if self._raised:
            self._raised = outside > _OVER_AT
        elif outside >= _RAISED_AT:
            self._raised = True
            self._alarms += 1
            if self._alarms == 1 and self._on_alarm is not None:
                self._on_alarm(departures)

    @property
    def raised(self) -> bool:
        """Whether the alarm is raised now: most of the last watched frames were outside."""
        return self._raised

    @property
    def alarms(self) -> int:
        """How often it was raised so far."""
        return self._alarms

    def drift(self) -> Drift:
        """Return what was seen so far."""
        figures = tuple(watched.drift() for watched in self._figures) if self._watched else ()
        return Drift(self._watched, self._outside, self._alarms, figures)


class _Watched:
    """One figure: its ranges, and what was seen of it."""

    def __init__(self, figure: str, low: float, high: float) -> None:
        self.figure = figure
        self._low, self._high = low, high
        allowance = float(getattr(_ALLOWANCES, figure))
        margin = MARGIN * (high - low) + allowance
        self._least = max(low - margin, low / 2)
        self._most = high + min(margin, MOST_ALLOWANCES * allowance)
        self._lowest, self._highest = inf, -inf
        self._outside = 0

    def see(self, value: float) -> Departure | None:
        self._lowest = min(self._lowest, value)
        self._highest = max(self._highest, value)
        if self._least <= value <= self._most:
            return None
        self._outside += 1
        return Departure(self.figure, value, self._low, self._high)

    def drift(self) -> FigureDrift:
        return FigureDrift(
            self.figure, self._low, self._high, self._lowest, self._highest, self._outside
        )


class Calibrated(Protocol):
    """What a watch needs of a restorer; `runtime.restorer.Restorer` is the real one."""

    @property
    def rung(self) -> str:
        """Model and precision."""

    @property
    def precision(self) -> str:
        """Of its graph."""

    @property
    def input_statistics(self) -> Mapping[str, Any]:
        """Of its bundle."""


def watch_of(
    restorers: Iterable[Calibrated], on_alarm: Callable[[str, Sequence[Departure]], None]
) -> DriftWatch | None:
    """Return the watch for what may restore a stream, best first; None where there is none.

    It knows the ranges of the first INT8 graph that has any, and looks on while another rung is in
    charge too: what comes next may be that graph's to restore. `on_alarm` is told the rung, and
    what `DriftWatch` tells.
    """
    watches = (
        drift_watch(each.precision, each.input_statistics, partial(on_alarm, each.rung))
        for each in restorers
    )
    return next((watch for watch in watches if watch is not None), None)


def drift_watch(
    precision: str,
    input_statistics: Mapping[str, Any],
    on_alarm: Callable[[Sequence[Departure]], None] | None = None,
) -> DriftWatch | None:
    """Return the watch for a graph of this precision, None where there is nothing to leave.

    Only INT8 graphs have ranges from a calibration set; what fp32 and fp16 can hold does not
    depend on one, even in a bundle that was calibrated.
    """
    ranges = calibrated_ranges(input_statistics) if precision in FLAVOURS else {}
    return DriftWatch(ranges, on_alarm) if ranges else None


def calibrated_ranges(input_statistics: Mapping[str, Any]) -> Ranges:
    """Return the ranges in a bundle's `input_statistics`, {} where it was not calibrated.

    Figures that are unknown or have no range are left out: a watch less must not end a stream.

    >>> calibrated_ranges({"figures": {"noise": {"mean": 1.1, "low": 0.5, "high": 2}}})
    {'noise': (0.5, 2.0)}
    """
    figures = input_statistics.get("figures") if isinstance(input_statistics, Mapping) else None
    if not isinstance(figures, Mapping):
        return {}
    found = {name: _range(figures.get(name)) for name in Figures._fields}
    return {name: ends for name, ends in found.items() if ends is not None}


def _range(figure: object) -> tuple[float, float] | None:
    if not isinstance(figure, Mapping):
        return None
    low, high = figure.get("low"), figure.get("high")
    if not (isinstance(low, int | float) and isinstance(high, int | float)):
        return None
    return (float(low), float(high)) if -inf < low <= high < inf else None
