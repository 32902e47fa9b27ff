"""The record of `crispstream bench` as one HTML page."""

from pathlib import Path

from crispstream.core.files import write_atomically
from crispstream.core.sizes import size_text
from crispstream.runtime.measure.bench.record import (
    SCOPES,
    TRTEXEC,
    BenchRecord,
    Measured,
    Variant,
)

from . import frame
from .bench_words import SCOPE_NAMES, verdicts
from .chart_lines import Panel, timelines
from .chart_ratios import Compared, ratios
from .chart_spread import distributions, histogram_of
from .readings import readings_panels, readings_section
from .words import cost_words, counted, milliseconds, percent

_TERMS = {
    "p50, p99 ...": "durations that half, 99 % ... of the frames did not exceed (nearest rank); "
    "kept in buckets 2 % wide, so within 1 % of the true ones. Count, mean and maximum are exact. "
    "With fewer than 1000 frames p99.9 is the slowest frame.",
    "jitter": "mean difference between one frame's duration and the next one's.",
    "frames/s": "frames over the time they took; pauses between them are left out.",
    "ratio": "the variants took turns, a block of frames each. Each block's median is divided by "
    "that of the first variant in the same turn; the ratio is the median of these. Above 1 is "
    "slower. What slows the whole machine down slows both and cancels out.",
    "interval": "from a bootstrap of the turns. Where it holds 1 there is no difference that this "
    "run could show.",
    "first frame": "the very first after opening, part of nothing else here.",
}


def write_html(record: BenchRecord, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    write_atomically(path, bench_page(record).encode())


def bench_page(record: BenchRecord) -> str:
    """Return the page."""
    sections = (
        frame.notes(record.notes),
        _tiles(record),
        _verdicts(record),
        _ratios(record),
        _table(record),
        _misses(record),
        _distribution(record),
        _timeline(record),
        _variants(record),
        readings_section(record.readings),
        _definitions(record),
        _run(record),
    )
    names = [variant.name for variant in record.variants]
    title = f"{names[0] if len(names) == 1 else counted(len(names), 'variant')}: bench"
    listed = f"{', '.join(names)}; " if len(names) > 1 else ""
    about = f"{listed}frames of {size_text(record.settings.size)} px"
    footer = frame.footer_line(record.host, record.created, record.kind, record.schema)
    return frame.page(title, about, sections, footer)


def _tiles(record: BenchRecord) -> str:
    """Return the figures of the quickest variant in the widest scope."""
    scope, found = _widest(record)
    if not found:
        return ""
    best = min(found, key=lambda variant: variant.scopes[scope].spread.median_ms)
    measured = best.scopes[scope]
    label = f"{best.name}, {SCOPE_NAMES[scope]}"
    tiles = [
        (milliseconds(measured.spread.median_ms), "ms", f"median: {label}"),
        (milliseconds(_percentile(measured, "99")), "ms", "p99 of it"),
        (f"{measured.frames_per_second:.1f}", "", "frames/s of it"),
    ]
    if measured.misses is not None:
        misses = measured.misses
        label = f"of {counted(misses.of, 'frame')} over {misses.deadline_ms:g} ms"
        tiles.append((str(misses.missed), "", label))
    return frame.tiles(tiles)


def _widest(record: BenchRecord) -> tuple[str, list[Variant]]:
    """Return the last scope that any variant has, and those that have it."""
    for scope in reversed(SCOPES):
        if found := [variant for variant in record.variants if scope in variant.scopes]:
            return scope, found
    return "", []


def _percentile(measured: Measured, name: str) -> float:
    return measured.spread.percentiles_ms.get(name, measured.spread.max_ms)


def _verdicts(record: BenchRecord) -> str:
    lines = verdicts(record)
    items = "".join(f"<li>{line}</li>" for line in lines)
    return frame.section("What came out", f'<ul class="said">{items}</ul>') if lines else ""


def _ratios(record: BenchRecord) -> str:
    rows = [
        Compared(name, by_scope[scope], _pairs(record, name, scope), SCOPE_NAMES[scope])
        for scope in SCOPES
        for name, by_scope in record.ratios.items()
        if scope in by_scope
    ]
    if not rows:
        return ""
    first = record.variants[0].name
    return frame.section(
        f"Against {first}",
        frame.legend(("interval-key", f"{percent(record.settings.confidence)} interval"))
        + ratios(f"Ratios to {first}", rows),
        f"Time of a frame over that of {first}, turn by turn: left of 1 is faster. Point and bar "
        "are the median and its interval, faint lines single turns.",
    )


def _pairs(record: BenchRecord, name: str, scope: str) -> list[float]:
    """Return the ratios of the rounds, as the medians of their blocks give them."""
    by_name = {variant.name: variant.scopes.get(scope) for variant in record.variants}
    first, other = record.variants[0].scopes.get(scope), by_name.get(name)
    if first is None or other is None:
        return []
    pairs = zip(other.rounds_ms, first.rounds_ms, strict=False)
    return [above_ms / below_ms for above_ms, below_ms in pairs if below_ms > 0]


def _each(record: BenchRecord) -> list[tuple[str, Variant, Measured]]:
    """Return every measurement, scope by scope."""
    return [
        (scope, variant, variant.scopes[scope])
        for scope in SCOPES
        for variant in record.variants
        if scope in variant.scopes
    ]


def _table(record: BenchRecord) -> str:
    each = _each(record)
    keys = sorted({key for _, _, one in each for key in one.spread.percentiles_ms}, key=float)
    heads = ["ms", *(f"p{key}" for key in keys), "max", "mean", "jitter", "frames/s", "frames"]
    groups = []
    for scope in dict.fromkeys(scope for scope, _, _ in each):
        rows = [_row(variant.name, one, keys) for at, variant, one in each if at == scope]
        content = frame.table(heads, rows, kind="many")
        groups.append(f"<h3>{SCOPE_NAMES[scope]}</h3>{content}")
    return frame.section("Times", "".join(groups), "Milliseconds.") if groups else ""


def _row(name: str, one: Measured, keys: list[str]) -> list[object]:
    spread = one.spread
    times = [_percentile(one, key) for key in keys]
    times += [spread.max_ms, spread.mean_ms, spread.jitter_ms]
    row: list[object] = [name, *map(milliseconds, times)]
    row += [f"{one.frames_per_second:.1f}", spread.count]
    return row


def _misses(record: BenchRecord) -> str:
    rows = [
        (
            variant.name,
            SCOPE_NAMES[scope],
            one.misses.missed,
            one.misses.of,
            percent(one.misses.missed / one.misses.of) if one.misses.of else "",
            one.misses.in_a_row,
        )
        for scope, variant, one in _each(record)
        if one.misses is not None
    ]
    if not rows:
        return ""
    heads = ("variant", "scope", "missed", "of", "share", "in a row, at most")
    return frame.section(
        "Misses of the deadline",
        frame.table(heads, rows, words=("scope",), kind="many"),
        f"Frames that took longer than {record.settings.deadline_ms or 0:g} ms.",
    )


def _distribution(record: BenchRecord) -> str:
    rows = [
        histogram_of(variant.name, one.spread, group=SCOPE_NAMES[scope])
        for scope, variant, one in _each(record)
    ]
    chart = distributions("Distribution of each variant's durations", rows)
    if not chart:
        return ""
    return frame.section(
        "How times are spread",
        frame.legend(("rule", "median (p50)"), ("rule dashed", "99th percentile")) + chart,
        "Across: the duration in ms, on a logarithmic axis that all share. Up: the share of "
        "frames, each row to its own peak.",
    )


def _timeline(record: BenchRecord) -> str:
    panels = [
        Panel(
            variant.name,
            f"mean {milliseconds(one.spread.mean_ms)} ms, highest "
            f"{milliseconds(one.spread.max_ms)} ms",
            one.timeline,
            SCOPE_NAMES[scope],
        )
        for scope, variant, one in _each(record)
    ]
    panels += readings_panels(record.readings)
    chart = timelines("Durations over the run", panels)
    if not chart:
        return ""
    return frame.section(
        "Over the run",
        chart,
        "Mean of each stretch of the run, with the band from its lowest to its highest; each panel "
        "has its own scale, and a triangle marks what lies beyond it.",
    )


def _variants(record: BenchRecord) -> str:
    heads = ("variant", "precision", "backend", "graph", "warm-up frames", "first frame, ms")
    rows = [
        (
            variant.name,
            variant.precision,
            variant.backend,
            variant.graph_sha256[:12],
            variant.warm_up_frames,
            milliseconds(variant.first_frame_ms),
        )
        for variant in record.variants
    ]
    words = ("precision", "backend", "graph")
    table = frame.table(heads, rows, words=words, kind="many")
    why = frame.terms({variant.name: variant.why for variant in record.variants if variant.why})
    return frame.section("What was compared", table + why) if rows else ""


def _definitions(record: BenchRecord) -> str:
    measured = dict.fromkeys(scope for scope, _, _ in _each(record))
    scopes = {
        SCOPE_NAMES[scope]: f"{SCOPES[scope]}. Beside trtexec: {TRTEXEC[scope]}."
        for scope in measured
    }
    return frame.section("What the numbers hold", frame.terms({**scopes, **_TERMS}))


def _run(record: BenchRecord) -> str:
    asked = record.settings
    pace = (
        f"frames came at {asked.paced_fps:g} a second, as from a camera"
        if asked.paced_fps
        else "each frame as soon as the one before was done"
    )
    if asked.idle_ms:
        pace += f", {asked.idle_ms:g} ms of pause after each"
    terms: dict[str, object] = {
        "frames": f"{size_text(asked.size)} px",
        "pace": pace,
        "asked for": f"{asked.seconds:g} s in all, at least {counted(asked.iterations, 'frame')} "
        "of each variant and scope",
        "warm-up": f"{asked.warm_up_ms:g} ms of each variant, untimed",
        "turns": f"{counted(asked.block, 'frame')} of one variant, then of the next",
        "threads": "every usable core" if asked.threads is None else str(asked.threads),
        "interval": f"{percent(asked.confidence)}, bootstrap from seed {asked.seed}",
        "cost of measuring": cost_words(record.observer),
    }
    return frame.section(
        "The run and the machine", frame.terms(terms | frame.host_terms(record.host))
    )
