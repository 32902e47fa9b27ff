"""A comparison at a terminal, 80 columns wide."""

from typing import TYPE_CHECKING

from .record import Comparison
from .tables import Grid, differing, layers, only_in_one, others, tails, times

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"slower": "red", "faster": "green"}


def print_comparison(comparison: Comparison, console: "Console") -> None:
    """Print what differs besides, then the times, then what a reader must know."""
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        _say(f"{letter}  {side.path}  {side.created}", console)
    for grid in (
        differing(comparison),
        times(comparison),
        tails(comparison),
        layers(comparison),
        others(comparison),
    ):
        if grid.rows:
            _print(grid, console)
    for letter, names in only_in_one(comparison).items():
        _say(f"only in {letter}: {', '.join(names)}", console)
    for note in comparison.notes:
        _say(note, console)


def _say(line: str, console: "Console") -> None:
    console.print(" ".join(line.splitlines()), highlight=False, markup=False)


def _print(grid: Grid, console: "Console") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console.print()
    console.print(Text(grid.title, style="italic"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for number, heading in enumerate(grid.headings):
        in_words = number in grid.words
        table.add_column(
            heading,
            justify="left" if in_words else "right",
            overflow="fold",
            no_wrap=not in_words,
        )
    for row in grid.rows:
        lines = (" ".join(cell.splitlines()) for cell in row)
        table.add_row(*(Text(line, style=_STYLES.get(line, "")) for line in lines))
    console.print(table)
