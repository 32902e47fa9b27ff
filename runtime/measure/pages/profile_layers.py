"""The layers of a profile: in order, the dearest first, and against their roofs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crispstream.runtime.measure.plan.profiled import with_times
from crispstream.runtime.measure.plan.record import PlannedLayer, PlanRecord
from crispstream.runtime.measure.profiling.record import LayerProfile, LayerTime

from . import frame
from .bars import Bar, bars, group_name, neighbours
from .roofs import against, roof_word, roofline_section, set_against
from .words import counted, figure, milliseconds, percent

MOST_LAYERS = 24
"""Rows of the table; the rest is summed."""
_MOST_NODES = 3


@dataclass(frozen=True)
class _Row:
    """A layer with its roof."""

    layer: LayerTime
    steps: tuple[PlannedLayer, ...]
    """Of the plan: those whose main node it computes."""

    @property
    def median_ms(self) -> float:
        return self.layer.spread.median_ms

    @property
    def roof_ms(self) -> float:
        return sum(step.roof_ms for step in self.steps)


def layer_sections(profile: LayerProfile | None, plan: PlanRecord | None) -> list[str]:
    """Return the sections; none without layers."""
    if profile is None or not profile.layers:
        return []
    rows = _rows(profile.layers, plan)
    sections = [_bars(profile, rows), _table(rows, plan)]
    if plan is not None:
        timed, _ = with_times(plan.layers, profile.layers)
        sections.append(roofline_section(replace(plan, layers=timed)))
    return sections


def _rows(layers: Sequence[LayerTime], plan: PlanRecord | None) -> list[_Row]:
    """Return the layers with the steps of the plan; each step belongs to one layer at most."""
    steps = {step.name: step for step in (plan.layers if plan is not None else ())}
    rows = []
    for layer in layers:
        mine = [steps.pop(node) for node in layer.nodes if node in steps]
        rows.append(_Row(layer, tuple(mine)))
    return rows


def _bars(profile: LayerProfile, rows: Sequence[_Row]) -> str:
    groups = neighbours(rows, lambda row: row.median_ms)
    sums_ms = [sum(row.median_ms for row in group) for group in groups]
    longest_ms = max(sums_ms) or 1.0
    shown = [
        Bar(
            group_name([row.layer.name for row in group]),
            f"{milliseconds(sum_ms)} ms",
            sum_ms / longest_ms,
        )
        for group, sum_ms in zip(groups, sums_ms, strict=True)
    ]
    added = f", {percent(profile.added_share)} of it in what the engine added itself: reorders, "
    return frame.section(
        "Layers in order of execution",
        bars("Median time of each layer", shown),
        f"Medians of {counted(profile.frames, 'frame')}, timed by {profile.how}. Together the "
        f"layers take {milliseconds(profile.layers_ms)} ms"
        f"{f'{added}copies, casts' if profile.added_share else ''}; a frame in turns with them "
        f"{milliseconds(profile.plain_ms)} ms.",
    )


def _table(rows: Sequence[_Row], plan: PlanRecord | None) -> str:
    dearest = sorted(rows, key=lambda row: -row.median_ms)
    shown, rest = dearest[:MOST_LAYERS], dearest[MOST_LAYERS:]
    heads = ["layer", "median, ms", "share", "GMAC"]
    note = "Longest first; below each its operator, precision, output and nodes of the graph."
    if plan is not None:
        roof = roof_word(plan.device)
        heads += [f"{roof}, ms", against(plan.device)]
        note += f" {_AGAINST[roof]}"
    cells = [[*_cells(row), *_roof([row], plan)] for row in shown]
    last = None
    if rest:
        sums = [milliseconds(sum(row.median_ms for row in rest))]
        sums += [percent(sum(row.layer.share for row in rest))]
        sums += [_giga(sum(row.layer.macs for row in rest)), *_roof(rest, plan)]
        last = [f"{len(rest)} more", *sums]
    content = frame.table(heads, cells, last=last, kind="many layers")
    return frame.section("The dearest layers", content, note)


_AGAINST = {
    "roof": "Of the roof: the least that the device allows, over the time taken.",
    "estimate": "Measured / estimate: the time taken over what rates measured on the spot let "
    "expect; below 1 it was faster.",
}


def _cells(row: _Row) -> list[object]:
    layer = row.layer
    return [
        layer_cell(layer.name, layer.nodes, layer.op, layer.precision, layer.shape),
        milliseconds(row.median_ms),
        frame.share_bar(layer.share),
        _giga(layer.macs),
    ]


def _roof(rows: Sequence[_Row], plan: PlanRecord | None) -> list[str]:
    """Return the roof of the layers that have one, and how these stand against it."""
    if plan is None:
        return []
    having = [row for row in rows if row.roof_ms and row.median_ms]
    if not having:
        return ["", ""]
    roof_ms = sum(row.roof_ms for row in having)
    median_ms = sum(row.median_ms for row in having)
    return [milliseconds(roof_ms), set_against(plan.device, roof_ms, median_ms)]


def _giga(macs: int) -> str:
    return figure(macs / 1e9) if macs else ""


def layer_cell(
    name: str, nodes: Sequence[str], op: str, precision: str, shape: Sequence[int]
) -> frame.Html:
    """Return a layer's name, below it what it is, its output, and the nodes it is made of.

    >>> layer_cell("/a/Conv", ["/a/Conv"], "Conv", "fp16", (1, 48, 90, 160))
    '/a/<wbr>Conv<small>Conv fp16, 1x48x90x160</small>'
    """
    told = [" ".join(filter(None, (op, precision))), "x".join(map(str, shape))]
    others = [node for node in nodes if node != name]
    more = f" and {len(others) - _MOST_NODES} more" if len(others) > _MOST_NODES else ""
    if others:
        told.append(f"{'with' if name in nodes else 'of'} {' '.join(others[:_MOST_NODES])}{more}")
    below = frame.breakable(", ".join(filter(None, told)))
    return frame.Html(f"{frame.breakable(name)}<small>{below}</small>")
