"""A comparison as GitHub-flavoured Markdown, short enough for a comment on a pull request."""

from collections.abc import Iterator

from .record import NOT_TESTED, VERDICTS, Comparison
from .tables import Grid, differing, layers, only_in_one, others, tails, times

_MOST_DIFFERENCES = 30
_DETAILS = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p99.9_ms", "max_ms", "jitter_ms")
_PUNCTUATION = "&<>|`*_[]\\~#@$"
"""What Markdown, or GitHub's links to people and issues, would make something of."""


def markdown(comparison: Comparison) -> str:
    """Return the comparison: what differs, the times, and the rest folded away."""
    return "\n\n".join(_parts(comparison)) + "\n"


def _parts(comparison: Comparison) -> Iterator[str]:
    yield f"### crispstream {comparison.of}: {_in_short(comparison)}{_caveat(comparison)}"
    sides = (("A", comparison.a), ("B", comparison.b))
    yield ", ".join(f"{letter}: {_code(side.path)} ({side.created})" for letter, side in sides)
    differs = differing(comparison)
    if differs.rows:
        shown = differs._replace(rows=differs.rows[:_MOST_DIFFERENCES])
        more = len(differs.rows) - len(shown.rows)
        yield f"**{differs.title}:**" + (f" (and {more} more)" if more else "")
        yield _table(shown)
    main = times(comparison)
    yield f"**{main.title}:**"
    yield _table(main)
    for letter, names in only_in_one(comparison).items():
        yield f"Only in {letter}: {', '.join(map(_code, names))}"
    for grid in (tails(comparison, _DETAILS), layers(comparison), others(comparison)):
        if grid.rows:
            yield _folded(grid)
    yield "\n".join(f"- {_escaped(note)}" for note in comparison.notes)


def _in_short(comparison: Comparison) -> str:
    """Return how many of the rows came out how: "1 slower, 3 no difference"."""
    verdicts = [row.verdict for row in comparison.rows]
    told = (each for each in (*VERDICTS, NOT_TESTED) if each in verdicts)
    return ", ".join(f"{verdicts.count(each)} {each}" for each in told)


def _caveat(comparison: Comparison) -> str:
    """Return what the headline must not be read without, where anything was tested."""
    tested = any(row.tested is not None for row in comparison.rows)
    return " (two runs, not in turns)" if tested else ""


def _folded(grid: Grid) -> str:
    return f"<details>\n<summary>{grid.title}</summary>\n\n{_table(grid)}\n\n</details>"


def _table(grid: Grid) -> str:
    rules = ("---" if number in grid.words else "--:" for number in range(len(grid.headings)))
    rows = [[_cell(cell, n in grid.words) for n, cell in enumerate(row)] for row in grid.rows]
    lines = (grid.headings, tuple(rules), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_BOLD = {"slower": "**slower**", "faster": "**faster**"}
_PLAIN = (*VERDICTS, NOT_TESTED, "-", "")


def _cell(text: str, in_words: bool) -> str:
    """Return a cell; names are shown as they are, whatever is in them."""
    if not in_words or text in _PLAIN:
        return _BOLD.get(text, text)
    return _code(text)


def _code(text: str) -> str:
    """Return text in the letters of code.

    >>> _code("edge-n fp32"), _code("a|b")
    ('`edge-n fp32`', '<code>a&#124;b</code>')
    """
    line = " ".join(text.split())
    if not set(line) & set("`|\\"):
        return f"`{line}`"
    return f"<code>{_escaped(line)}</code>"


def _escaped(text: str) -> str:
    """Return text in which nothing is Markdown, HTML, or a mention."""
    line = " ".join(text.split())
    return "".join(f"&#{ord(each)};" if each in _PUNCTUATION else each for each in line)
