"""How things went over a run: a line with the band from lowest to highest, panel by panel.

Each panel has a scale of its own, for a time line is looked at for what changes; all share the
axis of time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from crispstream.runtime.measure.figures import Moment

from .charts import Strip, mark, strips
from .scales import Linear, Scale, linear_around
from .words import figure

_PX = 56
_TOP_PX = 8
"""Left free for marks of what lies beyond the scale."""
_WIDE = 1000
_BEYOND = 1.6
"""The scale ends at this multiple of the highest mean; single spikes would flatten the rest."""
_UNITS = ((2 * 3600, 3600, "h"), (300, 60, "min"), (0, 1, "s"))
"""From so many seconds on, the axis is in units of so many, called so."""


@dataclass(frozen=True)
class Panel:
    """What one panel shows."""

    name: str
    value: str
    """What it shows, in figures."""
    moments: Sequence[Moment]
    group: str = ""
    unit: str = "ms"
    cut: bool = True
    """Whether spikes may lie beyond the scale."""


def timelines(title: str, panels: Sequence[Panel]) -> str:
    """Return the chart; panels without moments are left out, "" where all are."""
    shown = [panel for panel in panels if panel.moments]
    if not shown:
        return ""
    end_seconds = max(end for panel in shown for end in map(_end_seconds, panel.moments))
    scale = Linear(0.0, end_seconds or 1.0)
    unit_seconds, unit = next((long, name) for least, long, name in _UNITS if end_seconds >= least)
    axis = Linear(0.0, scale.high / unit_seconds)
    return strips(title, [_strip(panel, scale) for panel in shown], axis, unit, levels=True)


def _end_seconds(moment: Moment) -> float:
    return moment.begin_seconds + moment.seconds


def _strip(panel: Panel, across: Linear) -> Strip:
    up = _up(panel)
    marks = "".join(
        mark(across.place(_middle_seconds(moment)), 0, _BEYOND_SHAPE, "beyond")
        for moment in panel.moments
        if moment.max_ms > up.high * 1.0001
    )
    parts = _levels(panel, up) + _curves(panel.moments, across, up) + marks + _labels(panel, up)
    return Strip(panel.name, panel.value, parts, _PX, panel.group)


def _up(panel: Panel) -> Linear:
    mean = max(moment.mean_ms for moment in panel.moments)
    highest = max(moment.max_ms for moment in panel.moments)
    top = max(mean, min(highest, _BEYOND * mean)) if panel.cut else highest
    return linear_around([top, *(moment.min_ms for moment in panel.moments)])


_BEYOND_SHAPE = '<path d="M-4 6H4L0 0Z"/>'


def _middle_seconds(moment: Moment) -> float:
    return moment.begin_seconds + moment.seconds / 2


def _levels(panel: Panel, up: Scale) -> str:
    return "".join(
        f'<line class="{kind}" x1="0" x2="100%" y1="{height_px}" y2="{height_px}"/>'
        for kind, height_px in (("axis", _PX), ("grid", _TOP_PX))
    )


def _labels(panel: Panel, up: Linear) -> str:
    return "".join(
        f'<text class="tick" x="-8" y="{baseline}" text-anchor="end">'
        f"{escape(f'{figure(value)} {panel.unit}')}</text>"
        for value, baseline in ((up.high, _TOP_PX + 4), (up.low, _PX))
    )


def _curves(moments: Sequence[Moment], across: Linear, up: Linear) -> str:
    """Return band and line as steps: each moment is as wide as it was long."""
    upper = _steps(moments, across, [up.place(moment.max_ms) for moment in moments])
    lower = _steps(moments, across, [up.place(moment.min_ms) for moment in moments])
    line = _steps(moments, across, [up.place(moment.mean_ms) for moment in moments])
    band = "L".join([*upper, *reversed(lower)])
    return (
        f'<svg y="{_TOP_PX}" width="100%" height="{_PX - _TOP_PX}" viewBox="0 0 {_WIDE} 100" '
        f'preserveAspectRatio="none"><path class="band" d="M{band}Z"/>'
        f'<path class="line" d="M{"L".join(line)}"/></svg>'
    )


def _steps(moments: Sequence[Moment], across: Linear, heights: Sequence[float]) -> list[str]:
    return [
        f"{_WIDE * across.place(seconds):.1f} {100 - 100 * height:.1f}"
        for moment, height in zip(moments, heights, strict=True)
        for seconds in (moment.begin_seconds, _end_seconds(moment))
    ]
