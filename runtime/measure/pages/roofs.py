"""The section of the roofline, as the pages of `plan` and of `profile` have it."""

from collections.abc import Sequence

from crispstream.runtime.measure.plan.record import Device, PlannedLayer, PlanRecord

from . import frame
from .chart_roofline import Dot, roofline
from .words import counted, milliseconds, percent

BOUNDS = {
    "compute": "arithmetic sets its time",
    "memory": "moving bytes does",
    "launch": "starting it does",
}
"""What sets a layer's roof -> in words."""


def planned_dots(layers: Sequence[PlannedLayer]) -> list[Dot]:
    """Return where layers lie: as measured where they were, else at their roof."""
    return [_dot(layer) for layer in layers if layer.macs and layer.roof_ms]


def _dot(layer: PlannedLayer) -> Dot:
    tera_macs_ms = layer.macs / 1e9
    roof = tera_macs_ms / layer.roof_ms
    if not layer.measured_ms:
        return Dot(layer.name, layer.intensity, roof, layer.roof_ms, layer.bound)
    reached = tera_macs_ms / layer.measured_ms
    return Dot(layer.name, layer.intensity, reached, layer.measured_ms, layer.bound, roof)


def roof_word(device: Device) -> str:
    """Return what the least time of a layer is called: of rates measured it is an estimate."""
    return "estimate" if device.measured else "roof"


def against(device: Device) -> str:
    """Return what the column is called that sets layers against their roof or estimate."""
    return "measured / estimate" if device.measured else "of the roof"


def set_against(device: Device, roof_ms: float, measured_ms: float) -> str:
    """Return that figure: of a roof the share that was reached, of an estimate the ratio to it."""
    return f"{measured_ms / roof_ms:.2f}" if device.measured else percent(roof_ms / measured_ms)


def roofline_section(plan: PlanRecord) -> str:
    """Return the section; nothing where no layer has multiply-accumulates."""
    computing = [layer for layer in plan.layers if layer.macs]
    dots = planned_dots(plan.layers)
    precisions = list(dict.fromkeys(layer.precision for layer in computing))
    chart = roofline(plan.device, precisions, dots)
    if not chart:
        return ""
    measured = any(dot.roof_tera_macs is not None for dot in dots)
    keys = [(f"key {kind}", f"{kind}: {BOUNDS[kind]}") for kind in BOUNDS if _has(dots, kind)]
    if measured:
        keys.append(("key loss", f"from measured to the {roof_word(plan.device)}"))
    return frame.section(
        f"Roofline of {plan.device.title}",
        frame.legend(*keys) + chart,
        _note(plan, measured=measured),
    )


def _has(dots: Sequence[Dot], kind: str) -> bool:
    return any(dot.kind == kind for dot in dots)


def _note(plan: PlanRecord, *, measured: bool) -> str:
    return " ".join(
        [
            "Across: multiply-accumulates for each byte moved. Up: 10^12 multiply-accumulates a "
            "second (TMAC/s). Both logarithmic. The slope is memory, the levels arithmetic; the "
            "area of a mark is its time.",
            "The lines are an estimate, by rates that were measured, so layers may lie above them."
            if plan.device.measured
            else "No layer can be above the lines, other than one whose tensors a cache keeps.",
            "Marks are as measured." if measured else _UNMEASURED[plan.device.measured],
            _hidden(plan),
        ]
    ).strip()


_UNMEASURED = {
    False: "Marks are where the roof lets layers be; those below the lines are held by their "
    "launch.",
    True: "Marks are where the estimate has the layers.",
}


def _hidden(plan: PlanRecord) -> str:
    without = [layer for layer in plan.layers if not layer.macs]
    if not without:
        return ""
    together = milliseconds(sum(layer.roof_ms for layer in without))
    return (
        f"{counted(len(without), 'layer')} without multiply-accumulates, {together} ms by their "
        f"{roof_word(plan.device)}, cannot be shown here."
    )
