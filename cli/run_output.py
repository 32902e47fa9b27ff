"""What `crispstream run` shows: progress while it runs, the figures and reports at the end."""

import json as json_text
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crispstream.core.errors import SinkError
from crispstream.core.uris import masked

from .warn import say

if TYPE_CHECKING:
    from crispstream.runtime.frame import StreamInfo
    from crispstream.runtime.latency import Latencies
    from crispstream.runtime.measure.report import RunReport
    from crispstream.runtime.stream.ledger import Ledger

    from .run_one import Request

SIGNALLED = 128
"""A shell's exit code for a process that a signal ended, plus its number."""
_REDRAW_SECONDS = 0.1


@contextmanager
def shown_progress(
    info: "StreamInfo", limit: int | None, ledger: "Ledger", *, shown: bool
) -> "Iterator[Callable[[int, Latencies], None]]":
    """Show frames, frames/s, latency and what is lost on stderr; give the function per frame."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    counts = [count for count in (info.frame_count, limit) if count is not None]
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
    ) as bar:
        task = bar.add_task("frames", total=min(counts, default=None), pace="")
        shown_last = time.monotonic()

        def tick(count: int, latencies: "Latencies") -> None:
            nonlocal shown_last
            now = time.monotonic()
            if bar.disable or now - shown_last < _REDRAW_SECONDS:
                return
            shown_last = now
            bar.update(task, completed=count, pace=_pace(ledger, latencies, live=info.live))

        yield tick


def _pace(ledger: "Ledger", latencies: "Latencies", *, live: bool) -> str:
    books = ledger.snapshot()
    p95_ms = latencies["total"].percentile_ms(95)
    words = [f"{books.frames_per_second:.1f} frames/s", f"p95 {p95_ms:.0f} ms"]
    if live:
        words += [f"{sum(books.dropped.values())} dropped", books.state]
    if books.budget_ms is not None:
        words += [f"{books.late} late", books.rung]
    return ", ".join(words)


def finish(request: "Request", summary: "RunReport", why: str, signal_number: int) -> None:
    """Write the reports and print the figures; the exit code tells of signals and failed sinks.

    Raises:
        SinkError: if a report cannot be written.
        typer.Exit: with 128 + the signal's number, or 1 where a sink failed.
    """
    _write_reports(summary, request.report, request.html)
    if not signal_number:
        _print(summary, why, json=request.json)
        _exit_if_a_sink_failed(summary)
        return
    with suppress(OSError):  # after SIGHUP there may be nobody to read it
        typer.echo(stopped_line(signal_number, summary.stream.frames, request.sinks), err=True)
        _print(summary, why, json=request.json)
    raise typer.Exit(SIGNALLED + signal_number)


def stopped_line(signal_number: int, frames: int, sinks: Sequence[str]) -> str:
    """Return what a signal did to the outputs."""
    by = f"stopped by {signal.Signals(signal_number).name}"
    if not frames:
        return f"{by} before the first frame; nothing was written"
    names = " and ".join(f"'{masked(sink)}'" for sink in sinks)
    return f"{by}: the output {names} is partial, {frames} frames"


def _exit_if_a_sink_failed(summary: "RunReport") -> None:
    failed = [sink for sink in summary.stream.sinks if sink.error]
    for sink in failed:
        say(f"error: {sink.error}")
    if failed:
        raise typer.Exit(SinkError.exit_code)


def _write_reports(summary: "RunReport", report: Path | None, html: Path | None) -> None:
    from crispstream.runtime.measure.report import write_html, write_json

    for path, write in ((report, write_json), (html, write_html)):
        if path is None:
            continue
        try:
            write(summary, path)
        except OSError as error:
            raise SinkError(
                f"the report '{path}' cannot be written ({error.strerror}); name another file"
            ) from error


def _print(summary: "RunReport", why: str, *, json: bool) -> None:
    from rich.console import Console

    from crispstream.runtime.measure.summary import print_table

    if json:  # one line, however the file is laid out
        typer.echo(json_text.dumps(summary.as_json()))
    elif summary.stream.frames:
        typer.echo(why)
        print_table(summary, Console())
