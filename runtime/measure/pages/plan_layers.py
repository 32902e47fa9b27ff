"""The layers of a plan: where the time goes, in order, and those to look at first."""

from collections.abc import Sequence

from crispstream.runtime.measure.plan.record import PlannedLayer, PlanRecord

from . import frame
from .bars import Bar, bars, group_name, neighbours
from .profile_layers import MOST_LAYERS, layer_cell
from .roofs import BOUNDS, against, roof_word, set_against
from .words import figure, milliseconds, percent


def _longer_ms(layer: PlannedLayer) -> float:
    return max(layer.measured_ms or 0.0, layer.roof_ms)


def layer_sections(record: PlanRecord) -> list[str]:
    """Return the sections; none without layers."""
    return [_bars(record), _table(record)] if record.layers else []


def _bars(record: PlanRecord) -> str:
    groups = neighbours(record.layers, _longer_ms)
    longest_ms = max(sum(map(_longer_ms, group)) for group in groups) or 1.0
    rows = [_bar(group, longest_ms) for group in groups]
    kinds = [kind for kind in BOUNDS if any(layer.bound == kind for layer in record.layers)]
    keys = [(kind, f"{kind}: {BOUNDS[kind]}") for kind in kinds]
    if record.profile:
        keys.append(("behind", "measured"))
    return frame.section(
        "Where the time goes",
        frame.legend(*keys) + bars("Time of each layer", rows),
        f"Layers in order of execution, each with its time by the {roof_word(record.device)}"
        + (f" and as measured ({record.profile})." if record.profile else "."),
    )


def _bar(group: Sequence[PlannedLayer], longest_ms: float) -> Bar:
    roof_ms = sum(layer.roof_ms for layer in group)
    measured_ms = sum(layer.measured_ms or 0.0 for layer in group)
    kind = max(group, key=lambda layer: layer.roof_ms).bound
    value = f"{kind} {milliseconds(roof_ms)} ms"
    if measured_ms:
        value = f"{kind} {milliseconds(roof_ms)}, measured {milliseconds(measured_ms)} ms"
    name = group_name([layer.name for layer in group])
    return Bar(name, value, roof_ms / longest_ms, kind, measured_ms / longest_ms)


def _table(record: PlanRecord) -> str:
    measured = any(layer.measured_ms is not None for layer in record.layers)
    order = sorted(
        record.layers, key=lambda layer: -_loss_ms(layer) if measured else -layer.roof_ms
    )
    shown, rest = order[:MOST_LAYERS], order[MOST_LAYERS:]
    roof = roof_word(record.device)
    heads = ["layer", f"{roof}, ms", "set by"]
    heads += ["measured, ms", against(record.device)] if measured else ["share"]
    heads += ["GMAC", "MB"] if measured else ["GMAC", "MB", "MAC/byte"]
    rows = [_row(layer, record, measured=measured) for layer in shown]
    last = _rest(rest, record, measured=measured) if rest else None
    order_words = f"Those that take most beyond their {roof} first" if measured else "Longest first"
    return frame.section(
        "The layers",
        frame.table(heads, rows, words=("set by",), last=last, kind="many layers"),
        f"{order_words}; below each its operators, precision and output.",
    )


def _loss_ms(layer: PlannedLayer) -> float:
    return layer.lost_ms if layer.lost_ms is not None else -1.0


def _row(layer: PlannedLayer, record: PlanRecord, *, measured: bool) -> list[object]:
    share = layer.roof_ms / record.roof_ms if record.roof_ms else 0.0
    name = layer_cell(layer.name, (), layer.op, layer.precision, layer.shape)
    row: list[object] = [name, milliseconds(layer.roof_ms)]
    row.append(layer.bound)
    if measured:
        row.append("" if layer.measured_ms is None else milliseconds(layer.measured_ms))
        row.append(_against(layer, record))
    else:
        row.append(frame.share_bar(share))
    row += [figure(layer.macs / 1e9) if layer.macs else "", figure(layer.bytes / 1e6)]
    return row if measured else [*row, figure(layer.intensity) if layer.macs else ""]


def _against(layer: PlannedLayer, record: PlanRecord) -> str:
    if not layer.measured_ms or not layer.roof_ms:
        return ""
    return set_against(record.device, layer.roof_ms, layer.measured_ms)


def _rest(layers: Sequence[PlannedLayer], record: PlanRecord, *, measured: bool) -> list[object]:
    roof_ms = sum(layer.roof_ms for layer in layers)
    share = roof_ms / record.roof_ms if record.roof_ms else 0.0
    row: list[object] = [f"{len(layers)} more", milliseconds(roof_ms), ""]
    if measured:
        row += [milliseconds(sum(layer.measured_ms or 0.0 for layer in layers)), ""]
    else:
        row.append(percent(share))
    row.append(figure(sum(layer.macs for layer in layers) / 1e9))
    row.append(figure(sum(layer.bytes for layer in layers) / 1e6))
    return row if measured else [*row, ""]
