"""The roofline of a device with the layers of a graph below it, both axes logarithmic.

Across lies the arithmetic intensity, multiply-accumulates for each byte moved; up the rate. No
layer can be above the slope (memory bandwidth times intensity) nor above the level of its
precision. The chart is by Williams, Waterman and Patterson, "Roofline: an insightful visual
performance model for multicore architectures", Communications of the ACM 52 (4), 2009.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from crispstream.runtime.measure.plan.record import Device

from .charts import axis, grid, mark, svg
from .frame import breakable
from .scales import Log, log_around
from .words import figure, milliseconds

_TOP_PX = 26
_PLOT_PX = 330
_AXIS_PX = 36
_LARGEST_PX = 15.0
_SMALLEST_PX = 3.5
_LABELLED = 5
_NARROW_PX = 270.0
"""How wide the chart is on a telephone."""
_SLOPE_NAME_PX, _LEVEL_NAME_PX = 108.0, 70.0
"""How wide the names of the slope and of a level are."""
_DIGIT_PX, _GAP_PX, _LINE_PX = 6.5, 6.0, 13.0
"""A number's digit, what lies between two numbers at least, and how high one is."""


@dataclass(frozen=True)
class Dot:
    """One layer, or several that lie at one place."""

    name: str
    intensity: float
    """Multiply-accumulates a byte."""
    tera_macs: float
    """10^12 multiply-accumulates a second: at the roof, or as measured."""
    time_ms: float
    kind: str
    """What its roof is set by: compute, memory or launch."""
    roof_tera_macs: float | None = None
    """Where its roof is, for one that was measured."""
    count: int = 1


def roofline(device: Device, precisions: Sequence[str], dots: Sequence[Dot]) -> str:
    """Return the chart and the names of the layers that take longest; "" without any dot.

    Args:
        device: whose roofs are drawn.
        precisions: those that the graph computes in; each has a level.
        dots: layers with multiply-accumulates.
    """
    shown = sorted(merged(dots), key=lambda dot: -dot.time_ms)
    if not shown:
        return ""
    levels = {name: device.tera_macs[name] for name in precisions if name in device.tera_macs}
    across, up = _scales(device, levels, shown)
    largest_ms = shown[0].time_ms or 1.0
    parts = [grid(across, _TOP_PX + _PLOT_PX), *_levels(up)]
    parts += _roofs(device, levels, across, up)
    parts += [_losses(dot, across, up) for dot in shown]
    parts += [_dot(dot, across, up, largest_ms) for dot in shown]
    parts += _roof_names(device, levels, across, up)
    parts += _numbers(shown[:_LABELLED], across, up, largest_ms)
    parts.append(axis(across, _TOP_PX + _PLOT_PX + 16))
    parts.append('<text class="tick" x="-34" y="10">TMAC/s</text>')
    parts.append(_text("100%", _TOP_PX + _PLOT_PX + 32, "tick", "MAC/byte"))
    spoken = "; ".join(f"{dot.name} at {figure(dot.tera_macs)}" for dot in shown[:_LABELLED])
    height = _TOP_PX + _PLOT_PX + _AXIS_PX
    title = f"Roofline of {device.title}"
    drawing = svg(
        "roofline", title, f"TMAC/s of the largest: {spoken}.", height, parts, "chart levels"
    )
    return drawing + _names(shown)


def merged(dots: Sequence[Dot]) -> list[Dot]:
    """Return the dots, those that would hide one another as one: layers that repeat."""
    places: dict[tuple[str, int, int], list[Dot]] = {}
    for dot in dots:
        if dot.intensity > 0 and dot.tera_macs > 0:
            key = (dot.kind, round(40 * math.log10(dot.intensity)), _tenths(dot.tera_macs))
            places.setdefault(key, []).append(dot)
    return [_together(group) for group in places.values()]


def _tenths(tera_macs: float) -> int:
    return round(40 * math.log10(tera_macs))


def _together(group: Sequence[Dot]) -> Dot:
    first = group[0]
    time_ms = sum(dot.time_ms for dot in group)
    return Dot(
        first.name, first.intensity, first.tera_macs, time_ms, first.kind, first.roof_tera_macs,
        sum(dot.count for dot in group),
    )  # fmt: skip


def _scales(device: Device, levels: dict[str, float], dots: Sequence[Dot]) -> tuple[Log, Log]:
    ridges = [_ridge(device, level) for level in levels.values()]
    intensities = [dot.intensity for dot in dots]
    rates = [rate for dot in dots for rate in (dot.tera_macs, dot.roof_tera_macs) if rate]
    across = log_around(
        [*(0.8 * x for x in intensities), *(1.25 * x for x in intensities), *ridges]
    )
    return across, log_around([0.8 * min(rates), 1.15 * max([*levels.values(), *rates])], 1e-6)


def _ridge(device: Device, tera_macs: float) -> float:
    """Return the intensity from which on arithmetic sets the time, in MAC a byte."""
    return tera_macs * 1000 / device.memory_gb_per_second


def _y(up: Log, tera_macs: float) -> float:
    return _TOP_PX + _PLOT_PX * (1 - up.place(tera_macs))


def _levels(up: Log) -> list[str]:
    return [
        f'<line class="grid" x1="0" x2="100%" y1="{_y(up, tick):.1f}" y2="{_y(up, tick):.1f}"/>'
        + _text("-8", _y(up, tick) + 4, "tick", figure(tick))
        for tick in up.ticks
    ]


def _roofs(device: Device, levels: dict[str, float], across: Log, up: Log) -> list[str]:
    """Return the slope up to the highest level, and the levels from the slope on."""
    per_byte = device.memory_gb_per_second / 1000
    left = max(across.low, up.low / per_byte)
    ridge = min(_ridge(device, max(levels.values(), default=up.high)), across.high)
    ends = (100 * across.place(left), 100 * across.place(ridge))
    heights = (_y(up, left * per_byte), _y(up, ridge * per_byte))
    parts = [_roof(ends, heights)]
    for level in levels.values():
        begin, height = 100 * across.place(_ridge(device, level)), _y(up, level)
        parts.append(_roof((begin, 100.0), (height, height)))
    return parts


def _roof_names(device: Device, levels: dict[str, float], across: Log, up: Log) -> list[str]:
    """Return what the roofs are: levels on the left if the slope leaves place below them."""
    parts = []
    for name, level in levels.items():
        height, ridge = _y(up, level), across.place(_ridge(device, level))
        left = ridge * _NARROW_PX > _LEVEL_NAME_PX
        x, anchor = ("3", "start") if left else ("100%", "end")
        parts.append(
            f'<line class="loss" x1="0" x2="{100 * ridge:.3f}%" y1="{height:.1f}" '
            f'y2="{height:.1f}"/>'
        )
        parts.append(_text(x, height - 5, "tick halo", f"{name} {figure(level)}", anchor))
    words = f"memory {figure(device.memory_gb_per_second)} GB/s"
    place, height, anchor = _beside_slope(device, levels, across, up)
    return [*parts, _text(f"{100 * place:.2f}%", height, "tick halo", words, anchor)]


def _beside_slope(
    device: Device, levels: dict[str, float], across: Log, up: Log
) -> tuple[float, float, str]:
    """Return place, baseline and anchor of the slope's name: left of it if it fits there."""
    highest = max(levels.values(), default=up.high)
    ridge = across.place(_ridge(device, highest))
    taken = [_y(up, level) - 5 for level in levels.values()]
    free = []
    for share in (0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
        place = share * ridge
        rate = across.low * (across.high / across.low) ** place * device.memory_gb_per_second / 1000
        height = _y(up, rate)
        if height < _TOP_PX + _PLOT_PX and all(abs(height - other) > 16 for other in taken):
            free.append((place, height))
    for place, height in free:
        if place * _NARROW_PX > _SLOPE_NAME_PX:
            return place - 0.02, height - 4, "end"
    place, height = free[0] if free else (ridge / 2, _TOP_PX + _PLOT_PX / 2)
    return place + 0.03, height + 4, "start"


def _roof(ends: tuple[float, float], heights: tuple[float, float]) -> str:
    return (
        f'<line class="roof" x1="{ends[0]:.3f}%" x2="{ends[1]:.3f}%" y1="{heights[0]:.1f}" '
        f'y2="{heights[1]:.1f}"/>'
    )


def _losses(dot: Dot, across: Log, up: Log) -> str:
    """Return the way from a measured layer up to its roof."""
    if dot.roof_tera_macs is None:
        return ""
    place = 100 * across.place(dot.intensity)
    return (
        f'<line class="loss" x1="{place:.3f}%" x2="{place:.3f}%" '
        f'y1="{_y(up, dot.tera_macs):.1f}" y2="{_y(up, dot.roof_tera_macs):.1f}"/>'
    )


def _radius(dot: Dot, largest_ms: float) -> float:
    return max(_LARGEST_PX * math.sqrt(dot.time_ms / largest_ms), _SMALLEST_PX)


def _dot(dot: Dot, across: Log, up: Log, largest_ms: float) -> str:
    radius = _radius(dot, largest_ms)
    side = radius * math.sqrt(math.pi) / 2  # a square of the same area, half its side
    shape = (
        f'<rect x="{-side:.1f}" y="{-side:.1f}" width="{2 * side:.1f}" height="{2 * side:.1f}"/>'
        if dot.kind == "memory"
        else f'<circle r="{radius:.1f}"/>'
    )
    title = f"<title>{escape(_told(dot))}</title>"
    place = across.place(dot.intensity)
    return mark(place, round(_y(up, dot.tera_macs), 1), title + shape, f"dot {dot.kind}")


@dataclass(frozen=True)
class _Number:
    """What stands above a mark, or above several that lie too close to have one each."""

    numbers: tuple[int, ...]
    x_px: float
    """Of its middle, as wide as a telephone shows the chart."""
    bottom_px: float
    """Its baseline."""

    @property
    def words(self) -> str:
        return ", ".join(map(str, self.numbers))

    def touches(self, other: "_Number") -> bool:
        gap_px = _DIGIT_PX * (len(self.words) + len(other.words)) / 2 + _GAP_PX
        near = abs(self.x_px - other.x_px) < gap_px
        return near and abs(self.bottom_px - other.bottom_px) < _LINE_PX

    def distance_px(self, other: "_Number") -> float:
        return math.hypot(self.x_px - other.x_px, self.bottom_px - other.bottom_px)

    def with_(self, other: "_Number") -> "_Number":
        """Return both as one, in the middle of what they are above."""
        count, more = len(self.numbers), len(other.numbers)
        x_px = (count * self.x_px + more * other.x_px) / (count + more)
        numbers = tuple(sorted((*self.numbers, *other.numbers)))
        return _Number(numbers, x_px, min(self.bottom_px, other.bottom_px))


def _numbers(dots: Sequence[Dot], across: Log, up: Log, largest_ms: float) -> list[str]:
    """Return numbers above the dots; those that would touch are one: "3, 4"."""
    kept: list[_Number] = []
    for index, dot in enumerate(dots, 1):
        bottom_px = _y(up, dot.tera_macs) - _radius(dot, largest_ms) - 4
        number = _Number((index,), across.place(dot.intensity) * _NARROW_PX, bottom_px)
        while touched := list(filter(number.touches, kept)):
            nearest = min(touched, key=number.distance_px)
            kept.remove(nearest)
            number = number.with_(nearest)
        kept.append(number)
    return [
        f'<text class="tick halo strong" x="{100 * number.x_px / _NARROW_PX:.3f}%" '
        f'y="{number.bottom_px:.1f}" text-anchor="middle">{number.words}</text>'
        for number in kept
    ]


def _text(x: str, baseline: float, kind: str, words: str, anchor: str = "end") -> str:
    return (
        f'<text class="{kind}" x="{x}" y="{baseline:.1f}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _names(shown: Sequence[Dot]) -> str:
    items = "".join(f"<li>{breakable(_told(dot))}</li>" for dot in shown[:_LABELLED])
    return f'<ol class="keys">{items}</ol>'


def _told(dot: Dot) -> str:
    more = f" and {dot.count - 1} like it" if dot.count > 1 else ""
    roof = "" if dot.roof_tera_macs is None else f", planned {figure(dot.roof_tera_macs)}"
    return (
        f"{dot.name}{more}: {milliseconds(dot.time_ms)} ms, {dot.kind}-bound, "
        f"{figure(dot.tera_macs)} TMAC/s{roof}"
    )
