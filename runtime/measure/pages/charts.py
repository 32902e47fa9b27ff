"""Charts as inline SVG: positions across in percent, so that they fit any width.

Without a viewBox nothing is scaled: text keeps its size on a telephone, only bars get shorter.
What a chart shows is text beside it too: strips have their name and value above as HTML, which
wraps, and drawings that stand alone a title and a description.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from crispstream.runtime.measure.report import STAGE_NOTES, WAITING_STAGES

from .scales import Scale
from .words import figure, milliseconds

AXIS_PX = 20
_ROW_PX = 46
_BAR_PX = 12

IN_FLIGHT = "in flight, loop with another frame"
IN_FLIGHT_NOTE = (
    "the mean of total less those of the stages from capture on: between a frame's own stages the "
    "loop is with other frames, and this one waits in the engine, is computed there, or waits for "
    "an output to give a buffer back"
)
"""What of the total is in no stage."""
_NOTES = {**STAGE_NOTES, IN_FLIGHT: IN_FLIGHT_NOTE}


@dataclass(frozen=True)
class Strip:
    """One row of a chart whose rows share an axis."""

    name: str
    value: str
    """What it shows, in figures."""
    parts: str
    """SVG, `height_px` high."""
    height_px: int
    group: str = ""
    """A heading above the first strip of a group."""


def strips(
    title: str, rows: Sequence[Strip], scale: Scale, unit: str, *, levels: bool = False
) -> str:
    """Return a chart of strips with the axis they share below.

    Args:
        title: for those who cannot see it.
        rows: from above; those of a group follow one another.
        scale: of the axis.
        unit: of its ticks.
        levels: leave place on the left for what the rows write beside their own levels.
    """
    told: list[str] = []
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            told.append(f"<h3>{escape(group)}</h3>")
        told.append(
            f'<div class="strip"><span class="name">{escape(row.name)}</span>'
            f'<span class="value">{escape(row.value)}</span>'
            f"{bare(row.height_px, grid(scale, row.height_px) + row.parts)}</div>"
        )
    below = bare(AXIS_PX, axis(scale, 14, unit))
    kind = "strips levels" if levels else "strips"
    return f'<figure class="{kind}" aria-label="{escape(title)}">{"".join(told)}{below}</figure>'


def bare(height_px: int, parts: str) -> str:
    """Return a drawing that its neighbours say in words."""
    return f'<svg class="chart" aria-hidden="true" width="100%" height="{height_px}">{parts}</svg>'


def svg(
    name: str,
    title: str,
    description: str,
    height_px: int,
    parts: Sequence[str],
    kind: str = "chart",
) -> str:
    """Return a drawing that stands alone; `name` is its own on the page."""
    return (
        f'<svg class="{kind}" role="img" width="100%" height="{height_px}" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>{"".join(parts)}</svg>'
    )


def grid(scale: Scale, height_px: float) -> str:
    """Return hairlines up from the ticks of an axis."""
    return "".join(
        f'<line class="grid" x1="{place:.3f}%" x2="{place:.3f}%" y1="0" y2="{height_px:g}"/>'
        for place in (100 * scale.place(tick) for tick in scale.ticks)
    )


def axis(scale: Scale, baseline: float, unit: str = "") -> str:
    """Return the values of the ticks; the last one has the unit."""
    parts = []
    for tick in scale.ticks:
        place = scale.place(tick)
        anchor = "start" if place < 0.04 else "end" if place > 0.92 else "middle"
        words = f"{figure(tick)} {unit}" if unit and tick == scale.ticks[-1] else figure(tick)
        parts.append(
            f'<text class="tick" x="{100 * place:.3f}%" y="{baseline:g}" '
            f'text-anchor="{anchor}">{escape(words)}</text>'
        )
    return "".join(parts)


def mark(place: float, top: float, shape: str, kind: str) -> str:
    """Return a shape that is drawn around (0, 0), at a place across from 0 to 1."""
    return (
        f'<svg class="{kind}" x="{100 * place:.3f}%" y="{top:g}" overflow="visible">{shape}</svg>'
    )


def waterfall(means_ms: Mapping[str, float]) -> str:
    """Return the life of a frame: the mean of each stage, one after the other.

    The total has a bar of its own from the moment of capture, which is where decode ends.
    """
    steps = [name for name in means_ms if name != "total"]
    starts = dict(zip(steps, _starts([means_ms[name] for name in steps]), strict=True))
    if "total" in means_ms:
        starts["total"] = means_ms.get("decode", 0.0)
    end_ms = max((starts[name] + means_ms[name] for name in starts), default=0.0)
    rows = [
        _bar_row(index, name, starts[name], means_ms[name], end_ms or 1.0)
        for index, name in enumerate(starts)
    ]
    spoken = "; ".join(f"{name} {milliseconds(means_ms[name])} ms" for name in starts)
    title = "Waterfall of the stages"
    return svg("waterfall", title, f"Means in order: {spoken}.", _ROW_PX * len(rows), rows)


def _starts(durations_ms: Sequence[float]) -> list[float]:
    return [sum(durations_ms[:index]) for index in range(len(durations_ms))]


def _bar_row(index: int, name: str, start_ms: float, mean_ms: float, end_ms: float) -> str:
    top = index * _ROW_PX
    left, width = 100 * start_ms / end_ms, 100 * mean_ms / end_ms
    bar_top = top + 24
    return (
        f'<text class="name" x="0" y="{top + 16}">{escape(name)}</text>'
        f'<text class="value" x="100%" y="{top + 16}" text-anchor="end">'
        f"{milliseconds(mean_ms)} ms</text>"
        f'<rect class="track" x="0" y="{bar_top}" width="100%" height="{_BAR_PX}" rx="3"/>'
        f'<rect class="{stage_kind(name)}" x="{left:.3f}%" y="{bar_top}" '
        f'width="{max(width, 0.35):.3f}%" height="{_BAR_PX}" rx="2">'
        f"<title>{escape(_NOTES.get(name, name))}</title></rect>"
    )


def stage_kind(stage: str) -> str:
    """Return the style class of a stage: work, waiting, in flight, or the total."""
    if stage in WAITING_STAGES:
        return "wait"
    return {"total": "all", IN_FLIGHT: "flight"}.get(stage, "work")
