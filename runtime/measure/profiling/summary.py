"""A profile at a terminal: stages as a waterfall, the queues, and the layers that cost most."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from crispstream.runtime.measure.figures import Spread
from crispstream.runtime.measure.report import stage_name

from .record import LayerProfile, LayerTime, ProfileRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_BAR_CELLS = 24
_LAYERS = 12
_NAME_CELLS = 28
_OTHER_CELLS = 58
"""What the table of stages takes besides its bars, with times of up to four digits."""
_NARROW_CELLS, _WIDE_CELLS = 40, 56
"""What the table of layers takes besides their names, without and with their operators."""
_WORTH_TELLING = 0.02
"""Of a frame's way."""


def print_profile(record: ProfileRecord, console: "Console") -> None:
    """Print where the time of a frame went."""
    live = bool(record.run["live"])
    heading = f"{record.run['model']} ({record.run['precision']}, {record.run['backend']})"
    console.print(f"{heading}: a frame's way, ms", style="italic", highlight=False, markup=False)
    cells = max(0, min(_BAR_CELLS, console.width - _OTHER_CELLS))
    console.print(_stages(record.stages, cells, live=live))
    for line in lines(record):
        console.print(line, highlight=False, markup=False)
    if record.layers is not None:
        console.print(_layers(record.layers, console.width))
        for line in layer_lines(record.layers):
            console.print(line, highlight=False, markup=False)


def _stages(stages: Mapping[str, Spread], cells: int, *, live: bool) -> "Table":
    from rich.table import Table

    table = Table()
    table.add_column("stage", no_wrap=True)
    table.add_column(_fits("medians in order", cells), no_wrap=True)
    for heading in ("p50", "p95", "p99", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    ordered = {name: spread for name, spread in stages.items() if name != "total"}
    outside = ("decode",) if live else ()  # a camera's pace is no part of a frame's way
    whole_ms = sum(ordered[name].median_ms for name in ordered if name not in outside) or 1.0
    begun_ms = 0.0
    for name, spread in ordered.items():
        bar = ""
        if name not in outside:
            bar = _bar(begun_ms / whole_ms, spread.median_ms / whole_ms, cells)
            begun_ms += spread.median_ms
        table.add_row(stage_name(name, live=live), bar, *_times(spread))
    if "total" in stages:
        table.add_section()
        table.add_row("total", _fits("captured to written", cells), *_times(stages["total"]))
    return table


def _times(spread: Spread) -> Iterator[str]:
    shown = (spread.percentiles_ms[key] for key in ("50", "95", "99"))
    return (f"{value:.2f}" for value in (*shown, spread.max_ms))


def _fits(words: str, cells: int) -> str:
    return words if len(words) <= cells else ""


def _bar(begin: float, length: float, cells: int) -> str:
    """Return a bar that begins and ends at these shares of the cells.

    >>> _bar(0.5, 0.25, 24)
    '            ██████'
    """
    if not cells:
        return ""
    first = min(round(begin * cells), cells - 1)
    return " " * first + "█" * min(cells - first, max(1, round((begin + length) * cells) - first))


def lines(record: ProfileRecord) -> Iterator[str]:
    """Return the main figures as sentences."""
    run = record.run
    noun = "frame" if run["frames"] == 1 else "frames"
    yield (
        f"{run['frames']} {noun} in {run['elapsed_seconds']:.3g} s: "
        f"{run['frames_per_second']:.1f} frames/s, {run['cpu_ms_per_frame']:.0f} ms of CPU time a "
        "frame"
    )
    yield f"pipeline efficiency {record.efficiency:.0%}: {efficiency_words(record)}"
    aside_ms = in_flight_ms(record)
    if aside_ms > _WORTH_TELLING * record.end_to_end_ms:
        yield (
            f"besides its stages a frame was {aside_ms:.2f} ms in the engine, on average, while "
            "the loop was with another one"
        )
    for depth in record.depths:
        where = "before the restorer" if depth.name == "slot" else "before an output"
        yield f"frames waiting {where}: {depth.mean:.2f} on average, at most {depth.max}"
    read_ahead = ("stop",) if run["policy"] == "all" else ()  # of the end that was asked for
    lost = ", ".join(
        f"{cause} {count}"
        for cause, count in run["drops"].items()
        if count and cause not in read_ahead
    )
    yield f"dropped by cause: {lost}" if lost else "no frame was dropped"
    yield f"profiling cost {record.observer.share:.2%} of a frame: {record.observer.how}"
    yield from (f"note: {note}" for note in record.notes)


def in_flight_ms(record: ProfileRecord) -> float:
    """Return what is missing between the stages' means and the total's: time side by side."""
    told = {name: spread.mean_ms for name, spread in record.stages.items() if name != "decode"}
    total_ms = told.pop("total", 0.0)
    return max(0.0, total_ms - sum(told.values()))


def efficiency_words(record: ProfileRecord) -> str:
    """Return what the pipeline's efficiency is the share of."""
    if record.run["policy"] == "all":
        return "of the elapsed time the loop was with the network; the rest is everything else"
    return (
        f"of {record.end_to_end_ms:.2f} ms from captured to written the network takes "
        f"{record.engine_ms:.2f}"
    )


def _layers(profile: LayerProfile, width: int) -> "Table":
    from rich.table import Table

    wide = width >= _WIDE_CELLS + 16
    name_cells = max(8, min(_NAME_CELLS, width - (_WIDE_CELLS if wide else _NARROW_CELLS)))

    table = Table(title=f"layers that cost most, of {len(profile.layers)}", title_justify="left")
    table.add_column("layer", no_wrap=True)
    if wide:
        table.add_column("op", max_width=12, overflow="ellipsis", no_wrap=True)
    for heading in ("in", "ms", "share", "GMAC"):
        table.add_column(heading, justify="right", no_wrap=True)
    worst = sorted(profile.layers, key=lambda layer: layer.spread.median_ms, reverse=True)
    for layer in worst[:_LAYERS]:
        table.add_row(*_cells(layer, name_cells, wide=wide))
    rest = worst[_LAYERS:]
    if rest:
        table.add_section()
        table.add_row(
            f"{len(rest)} others",
            *([""] * (1 + wide)),
            f"{sum(layer.spread.median_ms for layer in rest):.2f}",
            f"{sum(layer.share for layer in rest):.0%}",
            f"{sum(layer.macs for layer in rest) / 1e9:.3f}",
        )  # fmt: skip
    return table


def _cells(layer: LayerTime, name_cells: int, *, wide: bool) -> tuple[str, ...]:
    from rich.markup import escape

    name = layer.name
    shown = name if len(name) <= name_cells else f"…{name[1 - name_cells :]}"
    gmac = f"{layer.macs / 1e9:.3f}" if layer.macs else ""
    return (
        escape(shown), *([escape(layer.op)] if wide else []), layer.precision,
        f"{layer.spread.median_ms:.2f}", f"{layer.share:.0%}", gmac,
    )  # fmt: skip


def layer_lines(profile: LayerProfile) -> Iterator[str]:
    """Return what the times of the layers hold, and what timing them cost."""
    joined = sum(layer.share for layer in profile.layers if layer.nodes)
    over = profile.engine_ms / profile.plain_ms - 1 if profile.plain_ms else 0.0
    yield (
        f"layers timed by {profile.how}, over {profile.frames} frames; medians; "
        f"{joined:.0%} of their time is joined to nodes of the ONNX graph"
    )
    yield (
        f"they add up to {profile.layers_ms:.2f} ms; a frame took {profile.engine_ms:.2f} ms while "
        f"they were timed and {profile.plain_ms:.2f} ms without, in turns: {over:+.1%}"
    )
