"""What `crispstream compare` found, as one HTML page."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from crispstream.core.files import write_atomically
from crispstream.runtime.measure.comparing import tables
from crispstream.runtime.measure.comparing.record import VERDICTS, Comparison, Row

from . import frame
from .bench_words import SCOPE_NAMES
from .chart_ratios import Compared, ratios
from .words import counted, joined, percent

_RUNS = dict.fromkeys(("bench", "profile", "run"), " (two runs, not in turns)")
"""Kinds of what was measured, each record in a run of its own."""
_TESTED_ON = {"bench": "medians of rounds", "profile": "means of stretches of the runs"}
"""Kind -> what is tested."""
_TERMS = {
    "B / A": "the times of B over those of A: below 1 is faster. Tested ones are of the "
    "medians of rounds (bench) or of the means of stretches of the runs (profile), others of the "
    "two medians.",
    "interval": "from a bootstrap that draws stretches of each run, not single values, so that "
    "what drifts inside a run widens it. Where it holds 1 there is no difference that these runs "
    "could show.",
    "not tested": "the records hold too little of the course over time, so nothing is claimed.",
}


def write_html(record: Comparison, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    write_atomically(path, compare_page(record).encode())


def compare_page(record: Comparison) -> str:
    """Return the page."""
    sections = (
        frame.notes(record.notes),
        _said(record),
        _grid(tables.differing(record)),
        _ratios(record),
        _grid(tables.times(record), _times_note(record)),
        *map(_grid, (tables.tails(record), tables.layers(record), tables.others(record))),
        _missing(record),
        frame.section("What the numbers hold", frame.terms(_TERMS)),
    )
    about = f"A: {escape(record.a.path)}<br>B: {escape(record.b.path)}"
    made = f"A of {record.a.created}, B of {record.b.created}"
    footer = frame.footer_line(None, made, record.kind, record.schema)
    return frame.page(
        f"{record.of}: B against A{_RUNS.get(record.of, '')}", frame.Html(about), sections, footer
    )


def _said(record: Comparison) -> str:
    """Return how many are slower, faster or the same."""
    counts = [(sum(row.verdict == verdict for row in record.rows), verdict) for verdict in VERDICTS]
    told = [f"{count} {verdict}" for count, verdict in counts if count]
    if not told:
        return ""
    tested = sum(count for count, _ in counts)
    runs = _RUNS.get(record.of, "")
    said = f"Of {counted(tested, 'comparison')} with a test, B against A{runs}: {joined(told)}."
    return frame.section("What came out", f"<p>{escape(said)}</p>")


def _ratios(record: Comparison) -> str:
    tested = [_compared(row) for row in record.rows if row.tested is not None]
    rows = [row for row in tested if row is not None]
    if not rows:
        return ""
    confidence = percent(max(row.ratio.confidence for row in rows))
    return frame.section(
        "B against A",
        frame.legend(("interval-key", f"{confidence} interval"))
        + ratios("Ratios of B to A", _by_group(rows)),
        "Time of B over that of A: left of 1 is faster. Point and bar are the median and its "
        "interval.",
    )


def _compared(row: Row) -> Compared | None:
    if row.tested is None:
        return None
    return Compared(row.name, row.tested, group=SCOPE_NAMES.get(row.scope, row.scope))


def _by_group(rows: Sequence[Compared]) -> list[Compared]:
    groups = list(dict.fromkeys(row.group for row in rows))
    return sorted(rows, key=lambda row: groups.index(row.group))


def _grid(grid: tables.Grid, note: str = "") -> str:
    if not grid.rows:
        return ""
    heads = [heading or "figure" for heading in grid.headings]
    words = [heads[number] for number in grid.words]
    rows = [[SCOPE_NAMES.get(cell, cell) for cell in row] for row in grid.rows]
    title = f"{grid.title[0].upper()}{grid.title[1:]}"
    return frame.section(title, frame.table(heads, rows, words=words, kind="many"), note)


def _times_note(record: Comparison) -> str:
    """Return what A, B and their ratio are, beside the table that has all three."""
    if all(row.tested is None for row in record.rows):
        return ""
    return (
        "A and B are medians of all frames. A ratio with an interval is of the "
        f"{_TESTED_ON.get(record.of, 'parts of the runs')}: where a run was uneven the two need "
        "not agree, not even in direction."
    )


def _missing(record: Comparison) -> str:
    found = tables.only_in_one(record)
    terms: dict[str, object] = {f"only in {letter}": ", ".join(of) for letter, of in found.items()}
    return frame.section("What could not be compared", frame.terms(terms)) if terms else ""
