"""The chart of the search: gain over cost, one point a candidate, the best at each cost joined."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from crispstream.runtime.measure.pages.scales import Scale, linear_around, log_around

_WIDTH, _PANEL_HEIGHT = 760, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 56, 52
_COLOURS = ("#1a6fb5", "#c2571a", "#2f8f4e", "#8a4fb0", "#7a6a1f", "#b53a5c")
_MARKS = (
    '<circle r="5"/>',
    '<rect x="-4.5" y="-4.5" width="9" height="9"/>',
    '<path d="M0-6 6 5H-6Z"/>',
    '<path d="M0-6.5 6.5 0 0 6.5-6.5 0Z"/>',
)
_NEAR = 2.5
"""Costs whose ratio is less are on a linear axis."""
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:15px;font-weight:600}"
    ".grid{stroke:#e3e3e3}.axis{stroke:#888}.name{font-size:11px}"
    ".front{fill:none;stroke-width:1.6;opacity:.75}"
)


@dataclass(frozen=True)
class Point:
    """A candidate in the chart."""

    name: str
    series: str
    """What it was trained alike with."""
    cost: float
    gain_db: float


@dataclass(frozen=True)
class _Box:
    """What a mark or a name covers, in px."""

    left: float
    top: float
    width: float
    height: float

    def touches(self, other: "_Box") -> bool:
        across = self.left < other.left + other.width and other.left < self.left + self.width
        return across and self.top < other.top + other.height and other.top < self.top + self.height


def front(points: Iterable[Point]) -> list[Point]:
    """Return the points that no other beats in both, from cheap to dear.

    >>> [p.name for p in front([Point("a", "", 1, 1), Point("b", "", 2, 1), Point("c", "", 3, 2)])]
    ['a', 'c']
    """
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.gain_db)):
        if not best or point.gain_db > best[-1].gain_db:
            best.append(point)
    return best


def points_of(figures: Mapping[str, Any], cost: str, of_set: str) -> list[Point]:
    """Return the candidates that have this cost: kmac_per_lr_pixel, cpu_ms, gpu_ms."""
    return [
        Point(row["variant"], row["series"], row[cost], row["gain_db"][of_set])
        for row in figures.values()
        if row.get(cost) is not None
    ]


def chart(figures: Mapping[str, Any], costs: Mapping[str, str], of_set: str) -> str:
    """Return an SVG file with a panel for each of `costs` (key -> words) that was measured."""
    panels = [(words, points_of(figures, key, of_set)) for key, words in costs.items()]
    panels = [(words, points) for words, points in panels if points]
    names = list(dict.fromkeys(point.series for _, points in panels for point in points))
    height = _PANEL_HEIGHT * len(panels) + 22 * len(names)
    drawn = [
        f'<g transform="translate(0 {_PANEL_HEIGHT * index})">{_panel(points, words, names)}</g>'
        for index, (words, points) in enumerate(panels)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="Gain over cost">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(drawn)}{_legend(names, _PANEL_HEIGHT * len(panels))}</svg>\n"
    )


def _panel(points: Sequence[Point], words: str, names: Sequence[str]) -> str:
    across, up = _scales(points)
    parts = [f'<text class="title" x="16" y="26">Gain over bicubic against {escape(words)}</text>']
    parts += [*_grid(across, up), *_fronts(points, names, across, up)]
    parts += [_mark(point, names, across, up) for point in points]
    parts += _labels(points, across, up)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{_PANEL_HEIGHT - 10}" text-anchor="middle">{escape(words)}</text>'
        f'<text x="16" y="{_TOP - 12}">dB</text>'
    )
    return "".join(parts)


def _scales(points: Sequence[Point]) -> tuple[Scale, Scale]:
    """Return the axes, with room for names to the right of the points and below them."""
    costs, gains = [p.cost for p in points], [p.gain_db for p in points]
    costs = [*costs, 1.05 * max(costs)]
    near = max(costs) < _NEAR * min(costs)
    across: Scale = linear_around(costs, zero_below=0) if near else log_around(costs)
    return across, linear_around(gains, zero_below=0)


def _x(scale: Scale, value: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * scale.place(value)


def _y(scale: Scale, value: float) -> float:
    return _TOP + (_PANEL_HEIGHT - _TOP - _BOTTOM) * (1 - scale.place(value))


def _grid(across: Scale, up: Scale) -> list[str]:
    floor = _PANEL_HEIGHT - _BOTTOM
    lines = [
        f'<line class="grid" x1="{_x(across, tick):.1f}" x2="{_x(across, tick):.1f}" y1="{_TOP}" '
        f'y2="{floor}"/><text x="{_x(across, tick):.1f}" y="{floor + 18}" text-anchor="middle">'
        f"{tick:g}</text>"
        for tick in across.ticks
    ]
    lines += [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(up, tick):.1f}" '
        f'y2="{_y(up, tick):.1f}"/><text x="{_LEFT - 8}" y="{_y(up, tick) + 4:.1f}" '
        f'text-anchor="end">{tick:g}</text>'
        for tick in up.ticks
    ]
    return [
        *lines,
        f'<path class="axis" fill="none" d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}"/>',
    ]


def _fronts(points: Sequence[Point], names: Sequence[str], across: Scale, up: Scale) -> list[str]:
    lines = []
    for number, name in enumerate(names):
        best = front(point for point in points if point.series == name)
        places = " ".join(f"{_x(across, p.cost):.1f},{_y(up, p.gain_db):.1f}" for p in best)
        if len(best) > 1:
            colour = _COLOURS[number % len(_COLOURS)]
            lines.append(f'<polyline class="front" stroke="{colour}" points="{places}"/>')
    return lines


def _mark(point: Point, names: Sequence[str], across: Scale, up: Scale) -> str:
    x, y, number = _x(across, point.cost), _y(up, point.gain_db), names.index(point.series)
    told = f"{point.name}, {point.series}: {point.gain_db:+.3f} dB at {point.cost:.4g}"
    shape, colour = _MARKS[number % len(_MARKS)], _COLOURS[number % len(_COLOURS)]
    return (
        f'<g transform="translate({x:.1f} {y:.1f})" fill="{colour}"><title>{escape(told)}</title>'
        f"{shape}</g>"
    )


def _labels(points: Sequence[Point], across: Scale, up: Scale) -> list[str]:
    """Return the names of the points, best first, that have room beside their marks."""
    places = {point: (_x(across, point.cost), _y(up, point.gain_db)) for point in points}
    taken = [_Box(x - 6, y - 6, 12, 12) for x, y in places.values()]
    labels = []
    for point in sorted(points, key=lambda point: -point.gain_db):
        x, y = places[point]
        width = 7.0 * len(point.name)
        beside = (8, -6), (-8 - width, -6), (-width / 2, -19), (-width / 2, 7)
        boxes = [_Box(x + right, y + down, width, 12) for right, down in beside]
        free = [box for box in boxes if not any(box.touches(other) for other in taken)]
        if free:
            taken.append(free[0])
            labels.append(
                f'<text class="name" x="{free[0].left:.1f}" y="{free[0].top + 10:.1f}">'
                f"{escape(point.name)}</text>"
            )
    return labels


def _legend(names: Sequence[str], top: int) -> str:
    rows = []
    for number, name in enumerate(names):
        shape, colour = _MARKS[number % len(_MARKS)], _COLOURS[number % len(_COLOURS)]
        rows.append(
            f'<g transform="translate({_LEFT} {top + 8 + 22 * number})"><g fill="{colour}">{shape}'
            f'</g><text x="14" y="4">{escape(name)}</text></g>'
        )
    return "".join(rows)
