"""A comparison as tables of text, which a terminal and a pull request then show in their ways."""

from collections.abc import Sequence
from typing import NamedTuple

from .record import Both, Comparison, Row, ratio_of

MOST_LAYERS = 10
_MOST_NAMES = 6
_TAILS = ("p95_ms", "p99_ms", "max_ms")


class Grid(NamedTuple):
    """A table."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: tuple[int, ...]
    """Columns that hold words; the others hold figures."""


def heading(comparison: Comparison) -> str:
    """Return what was compared, in words."""
    return f"{comparison.of}: B against A, ms; B / A above 1 is slower"


def differing(comparison: Comparison) -> Grid:
    """Return what else differs."""
    rows = [(each.key, each.a or "-", each.b or "-") for each in comparison.differs]
    title = "What else differs, and may be the reason"
    return Grid(title, ("", "A", "B"), rows, words=(0, 1, 2))


def times(comparison: Comparison) -> Grid:
    """Return the main table."""
    names = _name_headings(comparison)
    rows = [(*_names(comparison, row), *_times(row)) for row in comparison.rows]
    headings = (*names, "A", "B", f"B / A{_confidence(comparison.rows)}", "verdict")
    return Grid(heading(comparison), headings, rows, words=(*range(len(names)), len(headings) - 1))


def tails(comparison: Comparison, keys: Sequence[str] = _TAILS) -> Grid:
    """Return the ends of the distributions; no rows where there are none."""
    names = _name_headings(comparison)
    rows = [
        (*_names(comparison, row), *(_both(row.figures.get(key)) for key in keys))
        for row in comparison.rows
        if any(key in row.figures for key in keys)
    ]
    headings = (*names, *(key.removesuffix("_ms").replace("_", " ") for key in keys))
    return Grid("The distributions, A / B, ms", headings, rows, words=tuple(range(len(names))))


def layers(comparison: Comparison) -> Grid:
    """Return the layers that changed most."""
    rows = [
        (row.name, _ms(row.a_ms), _ms(row.b_ms), _signed(row.b_ms - row.a_ms), _ratio(row.ratio))
        for row in comparison.layers[:MOST_LAYERS]
    ]
    total = len(comparison.layers)
    title = f"Layers that changed most, {len(rows)} of {total}, by ONNX node, ms; not tested"
    return Grid(title, ("layer", "A", "B", "B - A", "B / A"), rows, words=(0,))


def others(comparison: Comparison) -> Grid:
    """Return the figures of the whole records."""
    rows = [
        (name, _figure(a), _figure(b), _ratio(ratio_of(a, b)))
        for name, (a, b) in comparison.figures.items()
    ]
    return Grid("Figures of the whole", ("", "A", "B", "B / A"), rows, words=(0,))


def only_in_one(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    """Return what could not be compared: "A" or "B" -> some names, and how many more."""
    sides = {"A": comparison.only_a, "B": comparison.only_b}
    return {letter: _first(names) for letter, names in sides.items() if names}


def _first(names: Sequence[str]) -> tuple[str, ...]:
    more = len(names) - _MOST_NAMES
    return (*names[:_MOST_NAMES], *([f"{more} more"] if more > 0 else []))


_COLUMNS = {"bench": ("variant", "scope"), "plan": ("",)}


def _name_headings(comparison: Comparison) -> tuple[str, ...]:
    return _COLUMNS.get(comparison.of, ("stage",))


def _names(comparison: Comparison, row: Row) -> tuple[str, ...]:
    return (row.name, row.scope)[: len(_name_headings(comparison))]


def _confidence(rows: Sequence[Row]) -> str:
    """Return how sure the intervals of a table are, "" where there are none."""
    found = {row.tested.confidence for row in rows if row.tested is not None}
    return f" ({100 * max(found):g} %)" if found else ""


def _times(row: Row) -> tuple[str, str, str, str]:
    ratio = _ratio(row.ratio)
    if row.tested is not None:
        ratio = f"{ratio} ({row.tested.low:.3f}-{row.tested.high:.3f})"
    return _ms(row.a_ms), _ms(row.b_ms), ratio, row.verdict


def _ms(milliseconds: float) -> str:
    """Return a duration in as many digits as mean something.

    >>> _ms(0.01234), _ms(1.2345), _ms(123.45), _ms(12345.6)
    ('0.0123', '1.23', '123.5', '12,346')
    """
    if milliseconds < 1:
        return f"{milliseconds:.3g}"
    digits = 2 if milliseconds < 100 else 1 if milliseconds < 1000 else 0
    return f"{milliseconds:,.{digits}f}"


def _signed(milliseconds: float) -> str:
    return f"{'-' if milliseconds < 0 else '+'}{_ms(abs(milliseconds))}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f}"


def _both(both: Both | None) -> str:
    return "-" if both is None else f"{_ms(both[0])} / {_ms(both[1])}"


def _figure(value: float) -> str:
    """Return any figure: whole numbers in full.

    >>> _figure(1200), _figure(66.123), _figure(0.5678)
    ('1,200', '66.12', '0.568')
    """
    return f"{value:,.0f}" if float(value).is_integer() else _ms(value)
