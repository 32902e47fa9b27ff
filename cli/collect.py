"""`crispstream data collect`: frames that cover what cameras see, for calibration."""

import json as json_text
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispstream.core.sizes import parse_size

if TYPE_CHECKING:
    from crispstream.calib.collect.collect import Collected, Request

INTERRUPTED = 130  # 128 + SIGINT, what shells expect
EXAMPLE = "crispstream data collect gate.mp4 yard.mp4 photos/ --model edge-s -o sets/site"
_REDRAW_SECONDS = 0.1


def collect(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="Videos, images, folders of images, or synth://pattern."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the set: new, or to go on with.")
    ],
    frames: Annotated[int, typer.Option(min=2, help="How many frames to keep.")] = 128,
    size: Annotated[
        str | None,
        typer.Option(help="Cut the middle of each frame, WIDTHxHEIGHT in pixels; whole without."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model the set is for: shipped name or path of a bundle.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a set, or start an unfinished one anew.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line only.")] = False,
) -> None:
    """Collect a calibration set: frames that differ, spread over how they look.

    An interrupted collection goes on when the same command is run again.
    """
    from crispstream.calib.collect import collect as stage

    request = _request(sources, frames, size, model)
    try:
        with _progress(shown=not json) as on_frame:
            done = stage.collect(request, output, overwrite=overwrite, on_frame=on_frame)
    except KeyboardInterrupt:
        typer.echo(
            f"\nstopped; '{output}' keeps what was collected: run the same command again", err=True
        )
        raise typer.Exit(INTERRUPTED) from None
    if json:
        typer.echo(json_text.dumps(_content(done)))
    else:
        _tell(done, model or "BUNDLE")


def _request(sources: list[str], frames: int, size: str | None, model: str | None) -> "Request":
    from crispstream.calib.collect.collect import Request
    from crispstream.runtime.engine.models import find_model

    bundle = find_model(model) if model else None
    return Request(
        tuple(sources),
        frames,
        parse_size(size) if size else None,
        bundle.name if bundle else None,
        bundle.size_multiple if bundle else 1,
    )


@contextmanager
def _progress(*, shown: bool) -> "Iterator[Callable[[str, int, int | None], None]]":
    """Show on stderr which source is read and how far; give the function to call per frame."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from crispstream.core.uris import masked

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
    ) as bar:
        task = bar.add_task("", total=None)
        shown_last = 0.0

        def on_frame(uri: str, seen: int, total: int | None) -> None:
            nonlocal shown_last
            now = time.monotonic()
            if bar.disable or (now - shown_last < _REDRAW_SECONDS and seen > 1):
                return
            shown_last = now
            name = masked(uri).rstrip("/").rpartition("/")[2]
            bar.update(task, description=f"{name:<32.32}", completed=seen, total=total)

        yield on_frame


def _content(done: "Collected") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "set": str(done.path),
        "frames": len(done.frames),
        "report": str(done.report),
        "sources": [asdict(source) for source in done.sources],
        "warnings": done.warnings,
        "lacking": done.lacking,
    }


def _tell(done: "Collected", bundle: str) -> None:
    seen, candidates, different = (
        sum(getattr(source, name) for source in done.sources)
        for name in ("seen", "candidates", "different")
    )
    typer.echo(
        f"{done.path}: {len(done.frames)} frames chosen; {seen:,} seen, {candidates:,} candidates, "
        f"{candidates - different:,} near duplicates"
    )
    kinds = ", ".join(done.lacking)
    lacking = f" (no {kinds} frames: it says what to collect)" if kinds else ""
    typer.echo(f"coverage: {done.report}{lacking}")
    for text in done.warnings:
        typer.echo(f"warning: {text}", err=True)
    words = ["crispstream", "calibrate", bundle, "--set", str(done.path)]
    typer.echo(f"next: {shlex.join(words)} -o NEW")
