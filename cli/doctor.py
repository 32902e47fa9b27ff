"""`crispstream doctor`: is this machine fit to run the kit, and with what."""

import itertools
import json as json_text
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from crispstream.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from crispstream.runtime.doctor.examine import Examination

_STYLES = {"fine": "green", "note": "yellow", "problem": "bold red", "yes": "green", "no": ""}
_WORD_WIDTH, _TOPIC_WIDTH = 11, 18
"""Columns of the page, in characters: the verdict and the topic."""


def doctor(
    colour: Annotated[
        bool,
        typer.Option(
            "--colour",
            help="Instead send a chart through the whole path, and fail if a level is off by "
            "more than 1.",
        ),
    ] = False,
    output_size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="Instead list the cameras, and suggest a mode of each for an output of this size.",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the findings as one line of JSON.")
    ] = False,
) -> None:
    """Look at this machine: driver, GPU, libraries, clocks, folders; and how to mend what is wrong.

    The exit code is 1 if there is a problem; notes, as of a machine without a GPU, do not count.
    """
    if colour and output_size is not None:
        raise UsageError("--colour and --output-size are two questions; ask one after the other")
    if colour:
        from .doctor_colour import show_colours

        show_colours(json=json)
    elif output_size is not None:
        from .doctor_camera import show_camera_modes

        show_camera_modes(output_size, json)
    else:
        _examine(json=json)


def _examine(*, json: bool) -> None:
    from crispstream.runtime.doctor.examine import examine
    from crispstream.runtime.doctor.machine import Machine

    examination = examine(Machine())
    if json:
        typer.echo(json_text.dumps(examination.as_json()))
    else:
        _print(examination)
    if examination.problems:
        raise typer.Exit(1)


def _print(examination: "Examination") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"crispstream {examination.version or '(not installed)'} on this machine", style="bold"
    )
    for found in examination.findings:
        _row(console, found.state, found.topic, found.seen)
    console.print("\nbackends, better ones first", style="bold")
    for backend in examination.backends:
        _row(console, "yes" if backend.usable else "no", backend.name, backend.why)
    fixes = _fixes(examination)
    if fixes:
        console.print("\nto mend, or to gain something", style="bold")
    for fix, topic in fixes.items():  # each in one piece, however long, so that it can be copied
        console.print(f"  {topic}:\n    {fix}")
    console.print(f"\nruns with: {examination.runs_with.reason}")


def _row(console: "Console", word: str, topic: str, seen: str) -> None:
    """Three columns; the last is folded at the terminal's width."""
    from rich.text import Text

    head = f"{topic:<{_TOPIC_WIDTH}}"
    indent = " " * (_WORD_WIDTH + len(head))
    width = max(20, console.width - len(indent))
    lines = textwrap.wrap(seen, width, break_on_hyphens=False) or [""]
    coloured = (f"  {word:<{_WORD_WIDTH - 2}}", _STYLES[word])
    console.print(Text.assemble(coloured, head, lines[0]))
    for line in lines[1:]:
        console.print(f"{indent}{line}")


def _fixes(examination: "Examination") -> dict[str, str]:
    """Return each line to type, in the order to type them in, with what it is for."""
    runs_with = examination.runs_with.name
    better = itertools.takewhile(lambda found: found.name != runs_with, examination.backends)
    found = [
        (finding.fix, f"{finding.topic} ({finding.state})") for finding in examination.findings
    ]
    fixes: dict[str, str] = {}
    for fix, topic in (*found, *((backend.fix, backend.name) for backend in better)):
        if fix:
            fixes.setdefault(fix, topic)
    return fixes
