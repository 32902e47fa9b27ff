"""`crispstream build`: a bundle's graph into an engine file, ahead of time."""

import json as json_text
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispstream.core.errors import UsageError
from crispstream.core.sizes import SizeRange

from .warn import warn_uncertified

if TYPE_CHECKING:
    from rich.progress import Progress

    from crispstream.runtime.engine.store.record import EngineRecord


def build(
    bundle: Annotated[str, typer.Argument(help="Shipped name (edge-n) or path of a bundle.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Engine file to write; default: NAME-PRECISION-SIZE.engine."
        ),
    ] = None,
    size: Annotated[
        str, typer.Option(help="Frame size it will take, WIDTHxHEIGHT in pixels.")
    ] = "320x180",
    backend: Annotated[
        str, typer.Option(help="tensorrt-rtx (builds without a GPU) or tensorrt.")
    ] = "tensorrt-rtx",
    precision: Annotated[
        str, typer.Option(help="fp32, fp16 or int8; auto: fp16 if it is certified, else fp32.")
    ] = "auto",
    compute_capability: Annotated[
        str | None, typer.Option(help="GPU to build for, 8.6 for instance (tensorrt-rtx only).")
    ] = None,
    allow_uncertified: Annotated[
        bool,
        typer.Option(
            "--allow-uncertified", help="Build a named fp16 or int8 as it is, unverified."
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Build an engine file from a bundle, ahead of time, for one frame size."""
    from crispstream.runtime.engine.building.build import build_from_bundle
    from crispstream.runtime.engine.building.options import BuildOptions
    from crispstream.runtime.engine.choose import choose_graph, needs_permission
    from crispstream.runtime.engine.models import find_model
    from crispstream.runtime.engine.native import load_flavour
    from crispstream.runtime.engine.store.record import write_engine

    capabilities = () if compute_capability is None else (_parse_capability(compute_capability),)
    options = BuildOptions((SizeRange.parse(size),), capabilities)
    model = find_model(bundle)
    load_flavour(backend)
    graph = choose_graph(model, precision, backend, allow_uncertified)
    output = output or Path(f"{model.name}-{graph.precision}-{size.strip().lower()}.engine")
    _check_output(output, overwrite=overwrite)
    with nullcontext() if json else _progress() as progress:
        engine, record = build_from_bundle(
            model,
            options,
            flavour=backend,
            precision=graph.precision,
            allow_uncertified=allow_uncertified,
            on_progress=_Bar(progress) if progress else None,
        )
    if needs_permission(model, graph):
        warn_uncertified(record.bundle, record.precision)
    write_engine(output, engine, record)
    if json:
        typer.echo(json_text.dumps({"engine": str(output), **asdict(record)}))
    else:
        _tell(output, record)


def _parse_capability(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,2})\.(\d)", text.strip())
    if not match:
        raise UsageError(
            f"the compute capability '{text}' is not MAJOR.MINOR; give for instance 8.6"
        )
    return int(match[1]), int(match[2])


def _check_output(output: Path, *, overwrite: bool) -> None:
    if output.is_dir():
        raise UsageError(f"{output} is a folder; give the name of a file, {output / 'x.engine'}")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists; give another name, or --overwrite to replace it")


def _progress() -> AbstractContextManager["Progress"]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),  # standard output is for the result
        transient=True,
    )


class _Bar:
    """Shows the outermost phase as a bar, and the innermost by its name.

    Phases nest: the one that started first is the whole build.
    """

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._whole = ""
        self._task = progress.add_task("Reading the graph", total=None)

    def __call__(self, phase: str, done: int, steps: int) -> None:
        self._whole = self._whole or phase
        if phase == self._whole:
            self._progress.update(self._task, completed=done, total=steps)
        self._progress.update(self._task, description=f"{phase:<32.32}")


def _tell(output: Path, record: "EngineRecord") -> None:
    aim = ", ".join(record.options["compute_capabilities"]) or "default GPUs"
    typer.echo(
        f"{output}: {record.engine_bytes / 1e6:.2f} MB in {record.build_seconds:.1f} s "
        f"({record.bundle} {record.precision}, {record.sizes}, "
        f"{record.flavour} {record.flavour_version}, {aim})"
    )
    if record.convolutions:
        kinds = ", ".join(f"{count} {kind.lower()}" for kind, count in record.convolutions.items())
        typer.echo(f"convolutions by what they read: {kinds}")
    typer.echo(f"next: crispstream inspect {_quoted(output)}")


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
