"""The record of `crispstream plan` as one HTML page."""

from pathlib import Path

from crispstream.core.files import write_atomically
from crispstream.core.sizes import size_text
from crispstream.runtime.measure.plan.record import PlanRecord

from . import frame
from .plan_layers import layer_sections
from .roofs import BOUNDS, roof_word, roofline_section
from .words import counted, figure, joined, milliseconds, percent

_METHOD = {
    "{} of a layer": "the longest of three times: its multiply-accumulates over the device's "
    "rate in its precision; its bytes over the memory's rate; and the launch of a kernel. A "
    "layer's bytes are activations read and written, each once, and weights.",
    "{} of a frame": "the sum over the layers: they follow one another.",
    "intensity": "multiply-accumulates for each byte moved. Low ones wait for memory.",
    "GMAC": "10^9 multiply-accumulates; each counts as two floating-point operations.",
}
_OF_ROOFS = {
    "lower bound": "reorders, tiles that do not fit and everything around the network are left "
    "out: they make a frame take longer. Only a cache can make it take less: tensors are counted "
    "as going to memory, and where a large L2 keeps them, steps bound by memory can be faster than "
    "their roof.",
    "expected": "the roof divided by the share of it that such networks reach.",
}
_OF_ESTIMATES = {
    "estimate": "the rates were measured on the spot: they are what such layers reach here, no "
    "bound, and can be missed to either side. Measured over estimate below 1 is faster.",
}


def write_html(record: PlanRecord, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    write_atomically(path, plan_page(record).encode())


def plan_page(record: PlanRecord) -> str:
    """Return the page."""
    sections = (
        frame.notes(record.notes),
        _tiles(record),
        _said(record),
        roofline_section(record),
        *layer_sections(record),
        _sustained(record),
        _memory(record),
        _device(record),
        frame.section("How this was worked out", frame.terms(_method(record))),
    )
    title = f"{record.model} on {record.device.title}: plan"
    about = f"{record.precision}, frames of {size_text(record.size)} px"
    footer = frame.footer_line(None, record.created, record.kind, record.schema)
    return frame.page(title, about, sections, footer)


def _method(record: PlanRecord) -> dict[str, object]:
    """Return how the figures come about; rates that were measured bound nothing."""
    word = roof_word(record.device)
    more = _OF_ESTIMATES if record.device.measured else _OF_ROOFS
    return {term.format(word): said for term, said in (_METHOD | more).items()}


def _per_second(record: PlanRecord) -> tuple[float, float]:
    """Return (at the roof, expected) in frames a second; 0 without any layer."""
    rate = 1000 / record.roof_ms if record.roof_ms else 0.0
    return rate, rate * record.expected_share


def _tiles(record: PlanRecord) -> str:
    roof, expected = _per_second(record)
    if record.device.measured:
        rates = [
            (milliseconds(record.roof_ms), "ms", "a frame, an estimate"),
            (figure(expected), "", "frames/s, an estimate"),
        ]
    else:
        rates = [
            (milliseconds(record.roof_ms), "ms", "a frame at the roof, a lower bound"),
            (figure(roof), "", "frames/s at the roof"),
            (figure(expected), "", f"frames/s expected, at {percent(record.expected_share)} of it"),
        ]
    work = [
        (figure(record.macs / 1e9), "GMAC", "a frame"),
        (figure(record.bytes / 1e6), "MB", "moved a frame"),
    ]
    return frame.tiles(rates + work)


def _said(record: PlanRecord) -> str:
    """Return the headline in words."""
    said = (
        f"On {record.device.title}, a frame of {size_text(record.size)} px takes {record.model} "
        f"{record.precision} no less than {milliseconds(record.roof_ms)} ms: a lower bound, not a "
        "forecast. "
    )
    if record.device.measured:
        said = (
            f"On {record.device.title}, a frame of {size_text(record.size)} px should take "
            f"{record.model} {record.precision} about {milliseconds(record.roof_ms)} ms: an "
            "estimate, by rates that were measured on the spot. "
        )
    else:
        said += (
            f"Networks like it reach about {percent(record.expected_share)} of that, which is an "
            f"assumption and makes {figure(_per_second(record)[1])} frames/s. "
        )
    return frame.section("What this says", f"<p>{frame.text(said + _bound_words(record))}</p>")


def _bound_words(record: PlanRecord) -> str:
    shares = {
        kind: sum(layer.roof_ms for layer in record.layers if layer.bound == kind) / record.roof_ms
        for kind in BOUNDS
        if record.roof_ms
    }
    told = [f"{kind} {percent(share)}" for kind, share in shares.items() if share]
    return f"What sets the time: {joined(told)}." if told else "There are no layers to tell of."


def _sustained(record: PlanRecord) -> str:
    if not record.sustained:
        return ""
    rates: list[str] = ["roof, ms", "frames/s at the roof", "expected frames/s"]
    if record.device.measured:
        rates = ["estimate, ms", "estimate, frames/s"]
    rows = [
        [
            one.model,
            one.precision,
            size_text(one.size),
            milliseconds(one.roof_ms),
            figure(one.frames_per_second),
            figure(one.expected_frames_per_second),
        ][: 3 + len(rates)]
        for one in record.sustained
    ]
    heads = ["model", "precision", "frames, px", *rates]
    note = "The network alone; capture and output come on top."
    table = frame.table(heads, rows, words=("precision",), kind="many")
    return frame.section("What the device keeps up with", table, note)


def _memory(record: PlanRecord) -> str:
    if not record.memory_mb:
        return ""
    whole_mb = sum(record.memory_mb.values())
    rows = [(name, figure(size_mb)) for name, size_mb in record.memory_mb.items()]
    share = whole_mb / (1000 * record.device.memory_gb) if record.device.memory_gb else 0.0
    note = f"Of {figure(record.device.memory_gb)} GB that the device has: {percent(share)}."
    table = frame.table(("for", "MB"), rows, last=("together", figure(whole_mb)))
    return frame.section("Memory", table, note)


def _device(record: PlanRecord) -> str:
    device = record.device
    rates = [f"{name} {figure(rate)}" for name, rate in device.tera_macs.items()]
    terms: dict[str, object] = {
        "name": device.name,
        "arithmetic": f"{', '.join(rates)}, in 10^12 multiply-accumulates a second, dense",
        "memory": f"{figure(device.memory_gb_per_second)} GB/s, {figure(device.memory_gb)} GB",
        "launch": f"{figure(device.launch_us)} µs a layer at least",
    }
    for frames, passes in (
        ("passes", device.passes_gb_per_second),
        ("passes, large frames", device.large_passes_gb_per_second),
    ):
        told = ", ".join(f"{name} {figure(speed)}" for name, speed in passes.items())
        terms |= {frames: f"{told}, in GB/s: operators that only move bytes"} if told else {}
    terms |= {"measured": "on this machine, on the spot"} if device.measured else {}
    sources = "".join(f"<li>{frame.text(source)}</li>" for source in device.sources)
    if sources:
        terms["sources"] = frame.Html(f'<ul class="plain">{sources}</ul>')
    terms["graph"] = record.graph_sha256[:12]
    heading = f"The device: {device.title}"
    layers = counted(len(record.layers), "layer")
    return frame.section(heading, frame.terms(terms), f"The plan is of {layers}.")
