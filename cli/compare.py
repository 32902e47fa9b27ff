"""`crispstream compare`: two records of one kind, B against A, with significance."""

import json as json_text
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispstream.core.errors import CrispstreamError, UsageError

from .run_checks import check_files
from .warn import say
from .written import written

if TYPE_CHECKING:
    from crispstream.runtime.measure.comparing.record import Comparison


def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="The record to compare with.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="The other, of the same kind.")],
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a comment for a pull request on GitHub.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the comparison to this HTML page.")
    ] = None,
    fail_slower_than: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="Exit with 1 if the engine or the whole way is surely slower by more than this: "
            "the whole interval lies above.",
        ),
    ] = None,
) -> None:
    """Compare two files that --report of bench, profile, plan or run wrote.

    What both have is compared by name; what else differs comes first, it may be the reason.
    """
    from crispstream.runtime.measure.comparing.compare import compare_records
    from crispstream.runtime.measure.records import read_record

    if json and markdown:
        raise UsageError("--json and --markdown are two ways to print one thing; leave one out")
    _check_percent(fail_slower_than)
    _check_page(html, a, b)
    comparison = compare_records(read_record(a), read_record(b), str(a), str(b))
    if html is not None:
        _write(comparison, html)
    _print(comparison, json=json, markdown=markdown)
    if fail_slower_than is not None:
        _judge(comparison, fail_slower_than)


def _check_percent(percent: float | None) -> None:
    if percent is not None and not (percent >= 0 and math.isfinite(percent)):
        raise UsageError(f"--fail-slower-than is {percent:g}; give 0 or a finite number above")


def _check_page(html: Path | None, *records: Path) -> None:
    check_files({"--html": html})
    if html is not None and html.resolve() in [path.resolve() for path in records]:
        raise UsageError(f"--html '{html}' is one of the records; name another file")


def _write(comparison: "Comparison", html: Path) -> None:
    from crispstream.runtime.measure.pages.compare import write_html

    with written(html):
        write_html(comparison, html)


def _print(comparison: "Comparison", *, json: bool, markdown: bool) -> None:
    if json:
        typer.echo(json_text.dumps(comparison.as_json()))
    elif markdown:
        from crispstream.runtime.measure.comparing.markdown import markdown as as_markdown

        typer.echo(as_markdown(comparison), nl=False)
    else:
        from rich.console import Console

        from crispstream.runtime.measure.comparing.text import print_comparison

        print_comparison(comparison, Console())


def _judge(comparison: "Comparison", percent: float) -> None:
    """Say which rows are slower by more than was allowed, and end with 1 if any is.

    Raises:
        UsageError: if no row could be tested.
        typer.Exit: with 1.
    """
    from crispstream.runtime.measure.comparing.compare import slower_than

    slower = slower_than(comparison, percent)
    for row in slower:
        what = f"{row.name} {row.scope}".strip()
        low = row.tested.low if row.tested else 1.0
        say(f"error: {what} is slower by at least {100 * (low - 1):.1f} %, allowed {percent:g} %")
    if slower:
        raise typer.Exit(CrispstreamError.exit_code)
