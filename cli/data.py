"""`crispstream data`: published data sets in the form that the recipes learn from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispstream.core.errors import UsageError
from crispstream.core.layouts import LAYOUTS

from .collect import EXAMPLE as COLLECT_EXAMPLE
from .collect import collect

if TYPE_CHECKING:
    from crispstream.train.data.builders import Builder

INTERRUPTED = 130  # 128 + SIGINT, what shells expect

EXAMPLE = "crispstream data build lr-gopro GOPRO_Large data/lr-gopro --workers 8"
# A paragraph a line: a path that is broken in two cannot be copied.
PAGE = "\n\n".join(
    ["What SRC holds, by KIND:"]
    + [line for kind, layout in LAYOUTS.items() for line in (f"{kind}:", *layout.split("\n"))]
    + [f"Example: {EXAMPLE}"]
)

data_app = typer.Typer(
    help="Build the data sets that systems learn from, collect the frames of a calibration set.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@data_app.callback()
def options() -> None:
    """Build the data sets that systems learn from, collect the frames of a calibration set."""


@data_app.command(epilog=PAGE)
def build(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help=f"Which data set: {', '.join(LAYOUTS)}.")
    ],
    src: Annotated[
        Path, typer.Argument(metavar="SRC", help="Folder of the unpacked data set, only read.")
    ],
    dst: Annotated[
        Path | None,
        typer.Argument(
            metavar="DST",
            help="Folder to build in: new, or of an earlier build. The benchmark crisp-v1 goes "
            "to the cache if none is named.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that work at once.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line only.")] = False,
) -> None:
    """Build a data set from its official folders; run it again to go on after an interruption."""
    from crispstream.train.data.builders import BUILDERS, build_data_set, summary_of

    about = BUILDERS.get(kind)()
    dst = dst or _default_folder(kind, about)
    try:
        build_data_set(kind, src, dst, workers=workers, progress=_teller(quiet=as_json))
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; '{dst}' keeps what is done: run the same command again", err=True)
        raise typer.Exit(INTERRUPTED) from None
    summary = summary_of(dst)
    if about.changed is not None:
        summary["changed_parts"] = about.changed(dst)
    if as_json:
        typer.echo(json.dumps({"data_set": str(dst), **summary}))
        return
    typer.echo(f"{_sentence(dst, summary, about.whole)}; {_next(dst, summary, about)}")


def _default_folder(kind: str, about: "Builder") -> Path:
    """Return where a suite is looked for; other sets may be large, so a place must be named."""
    if about.changed is None:
        raise UsageError(f"name a folder DST to build in: crispstream data build {kind} SRC DST")
    from .evaluate_suite import default_folder

    return default_folder(kind)


def _teller(*, quiet: bool) -> Callable[[str], None]:
    """Return what shows one line on stderr: renewed on a terminal, a line each in a log."""
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    end = "\r" if console.is_terminal else "\n"
    width = console.width - 1 if console.is_terminal else 0  # blanks hide what was there before
    return lambda text: console.print(f"{text:<{width}}", end=end)


def _sentence(dst: Path, summary: dict[str, Any], whole: int) -> str:
    """Return what was made, and of how much: a layout may be complete and still lack sequences."""
    known = f" (the published set has {whole:,})" if whole not in (0, summary["items"]) else ""
    return (
        f"{dst} is ready: {summary['items']:,} items{known} made {summary['samples']:,} training "
        f"samples and {summary['pictures']:,} pictures, {summary['bytes'] / 1e9:.2f} GB"
    )


def _next(dst: Path, summary: dict[str, Any], about: "Builder") -> str:
    """Return what to do with the set."""
    if "changed_parts" in summary:
        return _judge(dst, summary)
    recipe, protocol = about.recipe, about.protocol
    if recipe and not summary["samples"]:
        return "nothing can be trained on it, for every picture is too small or too flat"
    if recipe:
        train = f"crispstream train {recipe} --data {dst} -o runs/{recipe}"
        return f"next: {train}\nits test set is judged with --protocol {protocol}"
    return f"next: crispstream evaluate edge-s bicubic --data {dst}/test --protocol {protocol}"


def _judge(dst: Path, summary: dict[str, Any]) -> str:
    """Return how to judge on a suite, and whether its figures compare with the published ones."""
    changed = ", ".join(summary["changed_parts"])
    told = "its pictures are the published ones, bit by bit"
    if changed:
        told = (
            f"pictures that are not the published ones, for another version of a library has made "
            f"them: {changed}; their figures compare only among themselves"
        )
    kind = summary["kind"]
    return f"{told}\nnext: crispstream evaluate --suite {kind} edge-s bicubic --data {dst}"


data_app.command(epilog=f"Example: {COLLECT_EXAMPLE}")(collect)
