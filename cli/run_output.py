"""What `crispstream run` tells at its end: the figures, the reports, what a signal did."""

import json as json_text
import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crispstream.core.errors import SinkError
from crispstream.core.uris import masked

from .warn import counted, say
from .written import written

if TYPE_CHECKING:
    from crispstream.runtime.measure.report import RunReport
    from crispstream.runtime.stream.outcome import StreamReport

    from .run_one import Request

SIGNALLED = 128
"""A shell's exit code for a process that a signal ended, plus its number."""


def finish(request: "Request", summary: "RunReport", why: str, signal_number: int) -> None:
    """Write the reports and print the figures; the exit code tells of signals and failed sinks.

    Raises:
        SinkError: if a report cannot be written.
        typer.Exit: with 128 + the signal's number, or 1 where a sink failed.
    """
    _write_reports(summary, request.report, request.html)
    failed = [sink.error for sink in summary.stream.sinks if sink.error]
    # After SIGHUP there may be nobody to read it.
    with nobody_may_read() if signal_number else nullcontext():
        if signal_number:
            said = stopped_line(signal_number, request.sinks, summary.stream)
            typer.echo(said, err=True)
        try:
            _print(summary, why, json=request.json)
        finally:  # also where nobody reads the figures
            for error in failed:
                say(f"error: {error}")
    if signal_number:
        raise typer.Exit(SIGNALLED + signal_number)
    if failed:
        raise typer.Exit(SinkError.exit_code)


def nobody_may_read() -> AbstractContextManager[None]:
    """Let output go where nobody reads it any more; rich makes a broken pipe an exit."""
    return suppress(OSError, SystemExit)


def stopped_line(
    signal_number: int, sinks: Sequence[str], stream: "StreamReport | None" = None
) -> str:
    """Return what a signal did to the outputs; `stream` is None if it never began."""
    by = f"stopped by {signal.Signals(signal_number).name}"
    if stream is None or not stream.frames:
        return f"{by} before the first frame; nothing was written"
    frames = counted(stream.frames, "frame")
    if stream.live:  # which has no end that would be missing
        return f"{by} after {frames}; {finished(failed=any(s.error for s in stream.sinks))}"
    names = " and ".join(f"'{masked(sink)}'" for sink in sinks)
    what = f"the output {names} is" if len(sinks) == 1 else f"the outputs {names} are"
    return f"{by}: {what} partial, {frames}"


def finished(*, failed: bool) -> str:
    """Return what has become of live outputs, of which some may have failed."""
    return f"{'the outputs that did not fail' if failed else 'all outputs'} are finished"


def _write_reports(summary: "RunReport", report: Path | None, html: Path | None) -> None:
    from crispstream.runtime.measure.pages.run import write_html
    from crispstream.runtime.measure.report import write_json

    for path, write in ((report, write_json), (html, write_html)):
        if path is None:
            continue
        with written(path):
            write(summary, path)


def _print(summary: "RunReport", why: str, *, json: bool) -> None:
    from rich.console import Console

    from crispstream.runtime.measure.summary import print_table

    if json:  # one line, however the file is laid out
        typer.echo(json_text.dumps(summary.as_json()))
    elif summary.stream.frames:
        typer.echo(why)
        print_table(summary, Console())
