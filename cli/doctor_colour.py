"""`crispstream doctor --colour`: the colour test as a table, and what came out wrong."""

import json as json_text
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from crispstream.runtime.doctor.colour import Verdict

_FAULTS_SHOWN = 8
"""Of one stream; where one patch is wrong, usually most are."""


def show_colours(*, json: bool) -> None:
    """Run the colour test and print what it saw.

    Raises:
        typer.Exit: with 1, if a stream came out wrong.
    """
    from crispstream.runtime.doctor.colour import as_json, examine_colours

    verdicts = examine_colours()
    if json:
        typer.echo(json_text.dumps(as_json(verdicts)))
    else:
        _print(verdicts)
    if any(verdict.faults for verdict in verdicts):
        raise typer.Exit(1)


def _print(verdicts: "list[Verdict]") -> None:
    from rich.console import Console

    from crispstream.runtime.doctor.colour import LIMIT
    from crispstream.runtime.doctor.colour_chart import PATCHES

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{len(PATCHES)} patches of known colour through the whole path, levels off at most",
        style="bold",
    )
    _print_table(console, verdicts)
    for verdict in verdicts:
        _print_faults(console, verdict)
    wrong = sum(bool(verdict.faults) for verdict in verdicts)
    said = f"colours come through within {LIMIT} level of 256"
    if wrong:
        said = f"colours come out wrong in {wrong} of {len(verdicts)} kinds of streams"
    console.print(f"\n{said}", style="bold red" if wrong else "green")


def _print_table(console: "Console", verdicts: "list[Verdict]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("stream", "output"):
        table.add_column(head)
    for head in ("read as RGB", "written as YUV"):
        table.add_column(head, justify="right")
    table.add_column("verdict")
    for verdict in verdicts:
        word = Text("wrong", style="bold red") if verdict.faults else Text("fine", style="green")
        off = str(verdict.read_off), str(verdict.written_off)
        table.add_row(verdict.stream, verdict.output, *off, word)
    console.print(table)


def _print_faults(console: "Console", verdict: "Verdict") -> None:
    if not verdict.faults:
        return
    console.print(f"\n{verdict.stream}", style="bold")
    for fault in verdict.faults[:_FAULTS_SHOWN]:
        what = f"{fault.where:<8}{fault.patch}".rstrip()
        console.print(f"  {what:<26}  expected {fault.expected}, seen {fault.seen}")
    rest = len(verdict.faults) - _FAULTS_SHOWN
    if rest > 0:
        console.print(f"  and {rest} more; see --json")
