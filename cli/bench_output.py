"""What `crispstream bench` shows and writes."""

import json as json_text
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from .written import written

if TYPE_CHECKING:
    from crispstream.runtime.measure.bench.record import BenchRecord

Step = Callable[[int, float], None]
"""Called between rounds with their number and how much is done, 0 to 1."""

_DRAW_EVERY_SECONDS = 0.25


@contextmanager
def bench_bar(*, shown: bool, console: Console | None = None) -> Iterator[Step]:
    """Show how far a bench is on standard error where that is a terminal; give what to call.

    It is drawn when it is called and never by a thread of its own, which would take time from what
    is measured.
    """
    console = console or Console(stderr=True)  # standard output is for the result
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    disabled = not (shown and console.is_terminal)
    with Progress(
        *columns, console=console, transient=True, auto_refresh=False, disable=disabled
    ) as progress:
        task = progress.add_task("warm-up", total=1.0)
        progress.refresh()
        drawn = 0.0

        def step(rounds: int, share: float) -> None:
            nonlocal drawn
            if disabled or time.monotonic() - drawn < _DRAW_EVERY_SECONDS:
                return
            progress.update(task, completed=share, description=f"round {rounds + 1}", refresh=True)
            drawn = time.monotonic()

        yield step


def tell(record: "BenchRecord", report: Path | None, html: Path | None, *, json: bool) -> None:
    """Write the files that were asked for, and print the figures.

    Raises:
        SinkError: if a file cannot be written.
    """
    from crispstream.runtime.measure.bench.summary import print_bench
    from crispstream.runtime.measure.records import as_json, write_record

    if report is not None:
        with written(report):
            write_record(record, report)
    if html is not None:
        from crispstream.runtime.measure.pages.bench import write_html

        with written(html):
            write_html(record, html)
    if json:
        typer.echo(json_text.dumps(as_json(record)))
    else:
        print_bench(record, Console())
