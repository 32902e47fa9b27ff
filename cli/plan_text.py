"""A plan in words and tables, for a terminal of 80 columns."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from crispstream.core.sizes import Size, size_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from crispstream.runtime.measure.plan.record import PlannedLayer, PlanRecord, Sustained

MOST_LAYERS = 12
"""Rows of the table of layers; the others are one more."""

_LETTERS = {False: (20, 16), True: (18, 10)}
"""Whether there is a profile -> of a name and of operators, so that figures of 999.999 ms fit."""

_BOUNDS = {"memory": "memory", "compute": "arithmetic", "launch": "starting kernels"}


def print_plan(record: "PlanRecord", console: "Console") -> None:
    """Print the summary, the layers that take most, what is sustained, and the sources."""
    from crispstream.runtime.measure.from_json import printable

    def say(line: str) -> None:
        console.print(printable(line), highlight=False, markup=False)

    for line in summary_lines(record):
        say(line)
    say("")
    console.print(layer_table(record))
    say("")
    say(_sustained_title(record))
    console.print(sustained_table(record.sustained))
    for line in (*record.notes, *(f"source: {source}" for source in record.device.sources)):
        say(line)


def summary_lines(record: "PlanRecord") -> list[str]:
    """Return the main figures as sentences."""
    memory = ", ".join(f"{name} {amount:.1f}" for name, amount in record.memory_mb.items())
    return [
        f"{record.model} {record.precision} on {record.device.title}, frames of "
        f"{size_text(record.size)} px",
        *_time_lines(record),
        f"what sets it: {_bounds(record.layers)}",
        f"work a frame: {record.macs / 1e9:.2f} GMAC, {record.bytes / 1e6:.1f} MB moved, "
        f"{record.macs / max(1, record.bytes):.1f} MAC a byte",
        f"memory: {sum(record.memory_mb.values()):.1f} MB ({memory})",
        *_profile_lines(record),
    ]


def _time_lines(record: "PlanRecord") -> Iterator[str]:
    rate = 1e3 / record.roof_ms
    if record.device.measured:
        yield f"estimate: {record.roof_ms:.2f} ms a frame, {rate:.1f} frames/s"
        return
    share = record.expected_share
    yield f"at the roof, a lower bound: {record.roof_ms:.3f} ms a frame, {rate:.0f} frames/s"
    expected = f"{record.roof_ms / share:.2f} ms, {share * rate:.0f} frames/s"
    yield f"expected, at {_percent(share)} of the roof (an assumption): {expected}"


def _bounds(layers: "Sequence[PlannedLayer]") -> str:
    total_ms = sum(layer.roof_ms for layer in layers)
    spent = {
        words: sum(layer.roof_ms for layer in layers if layer.bound == bound) / total_ms
        for bound, words in _BOUNDS.items()
    }
    told = sorted(((share, words) for words, share in spent.items() if share), reverse=True)
    return ", ".join(f"{words} {_percent(share)}" for share, words in told)


def _profile_lines(record: "PlanRecord") -> Iterator[str]:
    if not record.profile:
        return
    timed = [layer for layer in record.layers if layer.measured_ms is not None]
    took_ms = sum(layer.measured_ms or 0.0 for layer in timed)
    roof_ms = sum(layer.roof_ms for layer in timed)
    beside = f"the {'estimate' if record.device.measured else 'roof'} of these is {roof_ms:.2f} ms"
    yield (
        f"'{record.profile}': {len(timed)} of {len(record.layers)} steps have a time of their own, "
        f"{took_ms:.2f} ms together; {beside}"
    )


def layer_table(record: "PlanRecord") -> "Table":
    """Return the steps that take most, or with a profile lose most, and the sum of the others."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=_layers_title(record), title_justify="left")
    table.add_column("step", no_wrap=True)
    table.add_column("computes", no_wrap=True)
    for heading in _headings(record):
        table.add_column(heading, justify="right", no_wrap=True)
    most, most_words = _LETTERS[bool(record.profile)]
    ranked = sorted(record.layers, key=lambda layer: _weight(record, layer), reverse=True)
    first, rest = ranked[:MOST_LAYERS], ranked[MOST_LAYERS:]
    for layer in first:
        what = f"{_short(layer.op)} {layer.precision}".removesuffix(" other")
        names = (Text(_cut(layer.name, most)), Text(_cut(what, most_words)))
        table.add_row(*names, *_cells(record, [layer]))
    if rest:
        table.add_section()
        table.add_row(f"{len(rest)} others", "", *_cells(record, rest))
    return table


def _short(operators: str) -> str:
    """Return operators with the usual letters for the longest of them."""
    return operators.replace("DequantizeLinear", "DQ").replace("QuantizeLinear", "Q")


def _cut(text: str, most: int) -> str:
    """Return a text as a terminal can print it, of at most so many characters.

    So no figure beside it is cut.

    >>> _cut("/sharpen/sharpen.0/Conv", 12)
    '/sharpen/sh~'
    """
    from crispstream.runtime.measure.from_json import printable

    shown = " ".join(printable(text).split())
    return shown if len(shown) <= most else f"{shown[: most - 1]}~"


def _layers_title(record: "PlanRecord") -> str:
    return "steps that lose most, ms" if record.profile else "steps that take most, ms"


def _weight(record: "PlanRecord", layer: "PlannedLayer") -> float:
    return (layer.lost_ms or 0.0) if record.profile else layer.roof_ms


def _headings(record: "PlanRecord") -> tuple[str, ...]:
    if record.profile and record.device.measured:
        return ("estimate", "took", "lost", "measured /\nestimate")
    if record.profile:
        return ("roof", "took", "lost", "reached")
    return ("GMAC", "MB", "takes" if record.device.measured else "roof", "bound")


def _cells(record: "PlanRecord", layers: "Sequence[PlannedLayer]") -> tuple[str, ...]:
    roof = f"{sum(layer.roof_ms for layer in layers):.3f}"
    if record.profile:
        return (roof, *_profile_cells(layers, record.device.measured))
    macs, moved = sum(layer.macs for layer in layers), sum(layer.bytes for layer in layers)
    bounds = {layer.bound for layer in layers}
    bound = bounds.pop() if len(bounds) == 1 else ""
    return f"{macs / 1e9:.2f}", f"{moved / 1e6:.1f}", roof, bound


def _profile_cells(layers: "Sequence[PlannedLayer]", estimated: bool) -> tuple[str, str, str]:
    """Return what layers took, what they lost, and how that compares with the plan.

    A layer that is faster than planned loses nothing, and makes up for no other.
    """
    timed = [layer for layer in layers if layer.measured_ms is not None]
    took_ms = sum(layer.measured_ms or 0.0 for layer in timed)
    if not took_ms:
        return "-", "-", "-"
    roof_ms = sum(layer.roof_ms for layer in timed)
    lost_ms = sum(max(0.0, layer.lost_ms or 0.0) for layer in timed)
    share = took_ms / roof_ms if estimated else roof_ms / took_ms
    return f"{took_ms:.3f}", f"{lost_ms:.3f}", _percent(share)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _sustained_title(record: "PlanRecord") -> str:
    if record.device.measured:
        return "frames/s that each model sustains, estimated"
    share = _percent(record.expected_share)
    return f"frames/s that each model sustains: at the roof, and expected at {share} of it"


def sustained_table(rows: "Sequence[Sustained]") -> "Table":
    """Return a row for each graph and a column for each size."""
    from rich.table import Table
    from rich.text import Text

    sizes: dict[Size, None] = dict.fromkeys(row.size for row in rows)
    table = Table()
    table.add_column("model", no_wrap=True, max_width=20)
    for size in sizes:
        table.add_column(size_text(size), justify="right")
    for model, precision in dict.fromkeys((row.model, row.precision) for row in rows):
        cells = {row.size: row for row in rows if (row.model, row.precision) == (model, precision)}
        table.add_row(
            Text(_cut(f"{model} {precision}", 20)),
            *(_rates(cells[size]) if size in cells else "" for size in sizes),
        )
    return table


def _rates(row: "Sustained") -> str:
    expected = f"{row.expected_frames_per_second:.0f}"
    if row.frames_per_second == row.expected_frames_per_second:
        return expected
    return f"{row.frames_per_second:.0f}, {expected}"
