"""`crispstream build`: a bundle's graph into an engine, ahead of time."""

import json as json_text
import re
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crispstream.core.errors import EngineError, MissingExtraError, UsageError
from crispstream.core.sizes import SizeRange

from . import build_options as given
from .build_triton import REPOSITORY, tell_how_to_serve, triton_place, write_graph
from .warn import say, warn_uncertified

if TYPE_CHECKING:
    from crispstream.core.bundle import Bundle, Graph
    from crispstream.runtime.engine.building.options import BuildOptions
    from crispstream.runtime.engine.device.gpu import Gpu
    from crispstream.runtime.engine.obtain import Obtained
    from crispstream.runtime.engine.store.record import EngineRecord

    Keep = Callable[[bytes, EngineRecord], Path]


@dataclass(frozen=True)
class _Request:
    """What was asked for, as it is used."""

    model: "Bundle"
    options: "BuildOptions"
    precision: str
    allow_uncertified: bool
    output: Path | None
    triton: bool
    overwrite: bool
    rebuild: bool
    json: bool


def build(
    bundle: given.BundleName,
    output: given.Output = None,
    size: given.Sizes = None,
    backend: given.Backend = "auto",
    precision: given.Precision = "auto",
    compute_capability: given.ComputeCapabilities = None,
    workspace: given.Workspace = None,
    optimisation_level: given.OptimisationLevel = None,
    version_compatible: given.VersionCompatible = False,
    hardware_compatible: given.HardwareCompatible = None,
    output_format: given.Format = "engine",
    allow_uncertified: given.AllowUncertified = False,
    overwrite: given.Overwrite = False,
    rebuild: given.Rebuild = False,
    json: given.Json = False,
    save_engine: given.SaveEngine = None,
    builder_optimization_level: given.BuilderOptimizationLevel = None,
    version_compatible_too: given.VersionCompatibleToo = False,
    hardware_compatibility_level: given.HardwareCompatibilityLevel = None,
    fp16: given.Fp16 = False,
    bf16: given.Bf16 = False,
    int8: given.Int8 = False,
    best: given.Best = False,
) -> None:
    """Build an engine from a bundle, ahead of time, for one frame size or several."""
    from crispstream.runtime.engine.building.options import BuildOptions
    from crispstream.runtime.engine.models import find_model

    given.refuse_precision_flags(fp16=fp16, bf16=bf16, int8=int8, best=best)
    if output_format not in ("engine", "triton"):
        raise UsageError(f"there is no format '{output_format}'; choose engine or triton")
    if optimisation_level is None:
        optimisation_level = builder_optimization_level
    options = BuildOptions(
        tuple(SizeRange.parse(text) for text in size or ["320x180"]),
        tuple(_parse_capability(text) for text in compute_capability or ()),
        workspace,
        optimisation_level,
        version_compatible or version_compatible_too,
        given.hardware_level(hardware_compatible or hardware_compatibility_level),
    )
    request = _Request(
        find_model(bundle),
        options,
        precision,
        allow_uncertified,
        output or save_engine,
        output_format == "triton",
        overwrite,
        rebuild,
        json,
    )
    if request.triton and backend == "onnxruntime":
        _serve_graph(request)
    else:
        _build_engine(request, _flavour(backend))


def _parse_capability(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,2})\.(\d)", text.strip())
    if not match:
        raise UsageError(
            f"the compute capability '{text}' is not MAJOR.MINOR; give for instance 8.6"
        )
    return int(match[1]), int(match[2])


def _flavour(backend: str) -> str:
    """Return the library to build with."""
    from crispstream.runtime.engine.available import is_installed

    if backend != "auto":
        return backend
    if is_installed("tensorrt") and not isinstance(_gpu(), str):
        return "tensorrt"
    if is_installed("tensorrt_rtx"):
        return "tensorrt-rtx"
    raise MissingExtraError(
        "nothing here can build engines; install TensorRT-RTX, which builds without a GPU: "
        'pip install "crispstream[rtx]", or TensorRT on the machine with the GPU: '
        'pip install "crispstream[tensorrt]"'
    )


def _gpu() -> "Gpu | str":
    """Return the GPU that TensorRT builds for, or why there is none."""
    from crispstream.runtime.engine.device.gpu import find_gpu

    return find_gpu()


def _build_engine(request: _Request, flavour: str) -> None:
    """Obtain and tell; what can be refused is refused before the work."""
    from crispstream.runtime.engine.building.orders import refuse_unfit
    from crispstream.runtime.engine.choose import choose_graph, needs_permission
    from crispstream.runtime.engine.native import load_flavour

    model = request.model
    refuse_unfit(request.options, flavour)
    load_flavour(flavour)
    graph = choose_graph(model, request.precision, flavour, request.allow_uncertified)
    keep: Keep | None
    if request.triton:
        repository = request.output or REPOSITORY
        keep = triton_place(model, flavour, repository, overwrite=request.overwrite)
    else:
        keep = _file_place(request)  # None: the store is enough
    obtained = _obtained(request, flavour, graph)
    if needs_permission(model, graph):
        warn_uncertified(model.name, graph.precision)
    path = keep(obtained.engine, obtained.record) if keep else obtained.path
    if request.json:
        what = "model" if request.triton else "engine"
        facts = {"fresh": obtained.fresh, **asdict(obtained.record)}
        typer.echo(json_text.dumps({what: None if path is None else str(path), **facts}))
        return
    _tell(obtained)
    _tell_where(request, obtained, path)


def _obtained(request: _Request, flavour: str, graph: "Graph") -> "Obtained":
    from crispstream.runtime.engine.obtain import Wish, obtain

    from .build_progress import build_bar

    gpu = _gpu()
    if isinstance(gpu, str) and flavour == "tensorrt":
        raise EngineError(
            f"TensorRT builds for the GPU that is here, and there is none to use: {gpu}; "
            "build with --backend tensorrt-rtx, or on the machine with the GPU"
        )
    wish = Wish(
        request.model,
        graph,
        flavour,
        None if isinstance(gpu, str) else gpu,
        allow_uncertified=request.allow_uncertified,
        on_note=lambda text: say(f"note: {text}"),
    )
    expected_seconds = wish.store.expected_seconds(wish.key(request.options))
    with build_bar(shown=not request.json, expected_seconds=expected_seconds) as step:
        return obtain(replace(wish, on_build=step), request.options, rebuild=request.rebuild)


def _file_place(request: _Request) -> "Keep | None":
    """Return what writes the engine to a file, once it is sure that it may; None without -o."""
    path = request.output
    if path is None:
        return None
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file, {path / 'x.engine'}")
    if path.exists() and not request.overwrite:
        raise UsageError(f"{path} exists; give another name, or --overwrite to replace it")
    return partial(_write, path)


def _write(path: Path, engine: bytes, record: "EngineRecord") -> Path:
    from crispstream.runtime.engine.store.record import write_engine

    write_engine(path, engine, record)
    return path


def _serve_graph(request: _Request) -> None:
    """Write a graph for Triton's ONNX Runtime backend and tell."""
    from crispstream.runtime.engine.choose import needs_permission

    model = request.model
    path, graph = write_graph(
        model,
        request.options,
        request.precision,
        request.output or REPOSITORY,
        allow_uncertified=request.allow_uncertified,
        overwrite=request.overwrite,
    )
    if needs_permission(model, graph):
        warn_uncertified(model.name, graph.precision)
    if request.json:
        facts = {"bundle": model.name, "precision": graph.precision, "graph_sha256": graph.sha256}
        typer.echo(json_text.dumps({"model": str(path), **facts}))
        return
    typer.echo(f"{path}: {model.name} {graph.precision} for Triton's ONNX Runtime backend")
    tell_how_to_serve(path)


def _tell(obtained: "Obtained") -> None:
    record = obtained.record
    aim = ", ".join(record.options["compute_capabilities"]) or "default GPUs"
    seconds = f"{record.build_seconds:.1f} s"
    when = f"built in {seconds}" if obtained.fresh else f"built at {record.built_at} in {seconds}"
    typer.echo(
        f"{record.bundle} {record.precision}, {record.sizes}: {record.engine_bytes / 1e6:.2f} MB, "
        f"{when} by {record.flavour} {record.flavour_version} for {record.gpu.get('name', aim)}"
    )
    if record.convolutions:
        kinds = ", ".join(f"{count} {kind.lower()}" for kind, count in record.convolutions.items())
        typer.echo(f"convolutions by what they read: {kinds}")
    typer.echo(f"re-check against fp32: {_recheck_text(record)}")


def _recheck_text(record: "EngineRecord") -> str:
    checked = record.recheck
    if not checked:
        return "not yet, for no GPU here can run it; done before its first frame"
    decibels = checked["psnr_to_fp32_db"]
    close = "equal" if decibels is None else f"{decibels:.1f} dB"
    return f"passed on {checked['gpu']['name']} ({close}, {checked['largest_levels']} levels)"


def _tell_where(request: _Request, obtained: "Obtained", path: Path | None) -> None:
    if path is None:
        return  # a note has said that it cannot be kept, and why
    if request.triton:
        tell_how_to_serve(path, version_compatible=obtained.record.options["version_compatible"])
        return
    if request.output:
        typer.echo(f"written to {path}")
        typer.echo(f"next, there or on the device: crispstream engines add {_quoted(path)}")
        return
    there = "" if obtained.fresh else " (it was there already; --rebuild builds it again)"
    typer.echo(f"kept as {path.name}{there}")
    typer.echo("next: crispstream engines list")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
