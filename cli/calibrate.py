"""`crispstream calibrate`: frames and a bundle make a bundle with certified INT8 graphs."""

import json as json_text
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .verify import FAILED, check_page, show

if TYPE_CHECKING:
    from crispstream.calib.calibrate import Calibrated, Progress
    from crispstream.calib.quantise.sensitivity import Sensitivity


def calibrate(
    bundle: Annotated[str, typer.Argument(help="Shipped name (edge-n) or path of a bundle.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new bundle.")],
    frames: Annotated[
        Path | None,
        typer.Option("--set", help="Calibration set, made by: crispstream data collect."),
    ] = None,
    ranges: Annotated[
        Path | None,
        typer.Option(help="Use this ranges.json, of a calibrated bundle or of fine-tuning."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="How ranges are chosen: mse (default), percentile, entropy or max."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Measure what each layer loses, and choose the layers.")
    ] = False,
    keep: Annotated[
        float | None,
        typer.Option(help="With --plan: PSNR to the fp32 graph to keep at least, dB; 52."),
    ] = None,
    layers: Annotated[
        Path | None, typer.Option(help="Quantise the layers that this plan.json names.")
    ] = None,
    skip_sides: Annotated[
        bool, typer.Option("--skip-sides", help="Quantise the skip side of residual adds too.")
    ] = False,
    pairs: Annotated[
        Path | None, typer.Option(help="Folder with lr/ and hr/ to certify on; the kit's own pairs")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write what was found to this page.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make INT8 graphs of a bundle from real frames and certify all; exit code 1 if one fails."""
    from crispstream.core.optional import require

    require("onnx", "calib")
    from crispstream.calib.calibrate import Wanted
    from crispstream.calib.calibrate import calibrate as make
    from crispstream.calib.certify.pairs import read_pairs
    from crispstream.calib.collect.sets import CalibrationSet
    from crispstream.runtime.engine.models import find_model

    check_page(html)
    chosen = None if frames is None else CalibrationSet.load(frames)
    wanted = Wanted(chosen, ranges, method, layers, plan, keep, skip_sides)
    with progress_bar(shown=not json) as progress:
        made = make(
            find_model(bundle),
            wanted,
            read_pairs(pairs),
            output,
            overwrite=overwrite,
            progress=progress,
        )
    if html is not None:
        _write_page(made, html)
    if json:
        typer.echo(json_text.dumps(_facts(made)))
    else:
        _tell(made)
    if not made.verification.passed:
        raise typer.Exit(FAILED)


@contextmanager
def progress_bar(*, shown: bool) -> Iterator["Progress"]:
    """Show steps as a bar on standard error where it is a terminal; give what is to be called."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
    ) as bar:
        task = bar.add_task("reading the bundle", total=None)

        def step(what: str, done: int, count: int) -> None:
            bar.update(task, description=what, completed=done, total=count or None)

        yield step


def _tell(made: "Calibrated") -> None:
    ranges = made.ranges
    kept = " (kept from an earlier run)" if made.cache_hit else ""
    typer.echo(f"ranges: {ranges.method} over {ranges.frames} frames{kept}")
    for one in made.sensitivities:
        _show_points(one)
    for flavour, form in made.forms.items():
        names = f"; fp16 cannot hold the scales of {', '.join(form.kept)}" if form.kept else ""
        count = f"{len(form.int8_layers)} of {len(made.plan.layers)} convolutions"
        typer.echo(f"{flavour}.onnx: {count} in INT8{names}")
    show(made.verification)
    path = made.bundle.path
    if made.verification.passed:
        typer.echo(f"wrote {path}; next: crispstream run clip.mp4 sharp.mp4 --model {path}")
    else:
        typer.echo(
            f"wrote {path}; graphs that failed are kept there with the evidence, but not offered. "
            "Try other frames, --plan --keep 55, or fine-tuning, see docs/int8.md"
        )


def _show_points(found: "Sensitivity") -> None:
    """Print the choices of layers that no other beats, least time first."""
    from rich.console import Console
    from rich.table import Table

    heads = (f"{found.flavour}: layers", "dB to fp32", "convolutions' time", "weights", "")
    table = Table(*heads, box=None, padding=(0, 2, 0, 0), header_style="bold")
    for point in found.points:
        chosen = "chosen" if point == found.chosen else ""
        size = f"{point.weight_bytes / 1000:.0f} kB"
        cells = (str(len(point.layers)), f"{point.kept_db:.1f}", f"{point.work:.0%}", size, chosen)
        table.add_row(*cells)
    Console().print(table)


def _facts(made: "Calibrated") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "bundle": str(made.bundle.path),
        "passed": made.verification.passed,
        "method": made.ranges.method,
        "frames": made.ranges.frames,
        "cache_hit": made.cache_hit,
        "layers": {flavour: list(form.int8_layers) for flavour, form in made.forms.items()},
        "certificate": dict(made.verification.entries),
        "sensitivity": [asdict(one) for one in made.sensitivities],
    }


def _write_page(made: "Calibrated", path: Path) -> None:
    from crispstream.calib.pages import calibration_page, write_page

    write_page(path, calibration_page(made))
