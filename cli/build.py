"""`crispstream build`: a bundle's graph into an engine, ahead of time."""

import json as json_text
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crispstream.core.errors import EngineError, MissingExtraError, UsageError
from crispstream.core.sizes import SizeRange

from . import build_options as given
from .build_output import file_place, output_path, tell, tell_file, tell_kept
from .build_triton import REPOSITORY, tell_how_to_serve, triton_place, write_graph
from .warn import say, warn_uncertified

if TYPE_CHECKING:
    from crispstream.core.bundle import Bundle, Graph
    from crispstream.runtime.engine.building.options import BuildOptions
    from crispstream.runtime.engine.device.gpu import Gpu
    from crispstream.runtime.engine.wish import Obtained, Wish

    from .build_output import Keep


_ELSEWHERE = "give -o FILE, or set CRISPSTREAM_CACHE to a folder that can be written"


@dataclass(frozen=True)
class _Request:
    """What was asked for, as it is used."""

    model: "Bundle"
    options: "BuildOptions"
    precision: str
    allow_uncertified: bool
    output: str | None
    triton: bool
    overwrite: bool
    rebuild: bool
    json: bool

    @property
    def repository(self) -> Path:
        """Where a model for Triton goes."""
        return REPOSITORY if self.output is None else output_path(self.output)


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
    fp32: given.Fp32 = False,
    fp16: given.Fp16 = False,
    bf16: given.Bf16 = False,
    int8: given.Int8 = False,
    best: given.Best = False,
    min_shapes: given.MinShapes = None,
    opt_shapes: given.OptShapes = None,
    max_shapes: given.MaxShapes = None,
    mem_pool_size: given.MemPoolSize = None,
    onnx: given.Onnx = None,
) -> None:
    """Build an engine from a bundle, ahead of time, for one frame size or several."""
    from crispstream.runtime.engine.building.options import BuildOptions
    from crispstream.runtime.engine.models import find_model

    if output_format not in ("engine", "triton"):
        raise UsageError(f"there is no format '{output_format}'; choose engine or triton")
    triton = output_format == "triton"
    given.check_backend(backend, triton=triton)
    hardware = given.one_of(
        "--hardware-compatible",
        hardware_compatible,
        "--hardwareCompatibilityLevel",
        hardware_compatibility_level,
    )
    options = BuildOptions(
        tuple(SizeRange.parse(text) for text in size or ["320x180"]),
        tuple(_parse_capability(text) for text in compute_capability or ()),
        workspace,
        given.one_of(
            "--optimisation-level",
            optimisation_level,
            "--builderOptimizationLevel",
            builder_optimization_level,
        ),
        version_compatible or version_compatible_too,
        given.hardware_level(hardware),
    )
    request = _Request(
        find_model(bundle),
        options,
        precision,
        allow_uncertified,
        given.one_of("--output", output, "--saveEngine", save_engine),
        triton,
        overwrite,
        rebuild,
        json,
    )
    if triton and backend == "onnxruntime":
        _serve_graph(request)
        return
    flavour = _flavour(backend)
    if triton and (backend, flavour) == ("auto", "tensorrt-rtx"):
        raise UsageError(
            "--backend auto takes tensorrt-rtx here, whose engines Triton Inference Server cannot "
            "load; choose --backend tensorrt on a machine like the server, or onnxruntime"
        )
    _build_engine(request, flavour)


def _parse_capability(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", text.strip())
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
    from crispstream.runtime.engine.building.orders import remark_on
    from crispstream.runtime.engine.choose import needs_permission

    model = request.model
    graph = _checked_graph(request, flavour)
    keep = _place(request, flavour)
    if remark := remark_on(request.options, flavour, graph.precision):
        say(f"note: {remark}")
    obtained = _obtained(request, flavour, graph)
    if needs_permission(model, graph):
        warn_uncertified(model.name, graph.precision)
    path = keep(obtained.engine, obtained.record) if keep else _kept_at(obtained)
    if request.json:
        what = "model" if request.triton else "engine"
        facts = {"fresh": obtained.fresh, **asdict(obtained.record)}
        typer.echo(json_text.dumps({what: str(path), **facts}))
        return
    tell(obtained)
    if request.triton:
        tell_how_to_serve(path, version_compatible=obtained.record.options["version_compatible"])
    elif keep:
        tell_file(path, obtained)
    else:
        tell_kept(path, fresh=obtained.fresh)


def _checked_graph(request: _Request, flavour: str) -> "Graph":
    """Return the graph to build, once the orders are known to be possible; cheap checks first."""
    from crispstream.runtime.engine.building.build import check_sizes
    from crispstream.runtime.engine.building.orders import refuse_unfit, refuse_unknown_aims
    from crispstream.runtime.engine.choose import choose_graph
    from crispstream.runtime.engine.native import load_flavour

    refuse_unfit(request.options, flavour)
    check_sizes(request.model, request.options.profiles)
    refuse_unknown_aims(load_flavour(flavour), request.options, flavour)
    return choose_graph(request.model, request.precision, flavour, request.allow_uncertified)


def _place(request: _Request, flavour: str) -> "Keep | None":
    """Return what writes the engine, once it is sure that it may; None: the store is enough."""
    overwrite = request.overwrite
    if request.triton:
        return triton_place(request.model, flavour, request.repository, overwrite=overwrite)
    return None if request.output is None else file_place(request.output, overwrite=overwrite)


def _obtained(request: _Request, flavour: str, graph: "Graph") -> "Obtained":
    from crispstream.runtime.engine.obtain import obtain
    from crispstream.runtime.engine.wish import Wish

    from .build_progress import build_bar, cancelled_by_signals

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
    if request.output is None and not request.triton:
        _refuse_to_build_in_vain(wish, request)
    expected_seconds = wish.store.expected_seconds(wish.key(request.options))
    with (
        cancelled_by_signals(),
        build_bar(shown=not request.json, expected_seconds=expected_seconds) as step,
    ):
        return obtain(replace(wish, on_build=step), request.options, rebuild=request.rebuild)


def _refuse_to_build_in_vain(wish: "Wish", request: _Request) -> None:
    """Raise EngineError if an engine would have to be built and nothing could keep it."""
    reason = wish.store.refusal()
    if not reason:
        return
    if request.rebuild or wish.store.find(wish.key(request.options)).engine is None:
        raise EngineError(
            f"no engine can be kept in {wish.store.engines} ({reason}), so none is built; "
            f"{_ELSEWHERE}"
        )


def _kept_at(obtained: "Obtained") -> Path:
    """Return where the store has an engine that was asked for without -o."""
    if obtained.path is None:  # a note has said where it could not be kept, and why
        raise EngineError(f"the engine was built but could not be kept; {_ELSEWHERE}")
    return obtained.path


def _serve_graph(request: _Request) -> None:
    """Write a graph for Triton's ONNX Runtime backend and tell."""
    from crispstream.runtime.engine.choose import needs_permission

    model = request.model
    path, graph = write_graph(
        model,
        request.options,
        request.precision,
        request.repository,
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
