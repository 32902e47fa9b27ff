"""Ahead-of-time engines: ONNX bytes in, engine bytes out, for one frame size.

`tensorrt-rtx` builds on a machine with no GPU; `tensorrt` builds for the GPU it runs on. Networks
are strongly typed, so the precision is the graph's own and no flag can change it.
"""

import importlib.metadata
from types import ModuleType
from typing import NamedTuple

from crispstream.core.bundle import Bundle
from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import EngineError, UsageError
from crispstream.core.files import sha256_of
from crispstream.core.optional import require
from crispstream.core.pixels import padded_size

from .choose import choose_graph
from .layers import EngineLayer, convolution_types
from .record import EngineRecord
from .workbench import Progress, Workbench, dotted

FLAVOURS = {"tensorrt-rtx": ("tensorrt_rtx", "rtx"), "tensorrt": ("tensorrt", "tensorrt")}
"""Flavour -> the Python module that builds it, and the extra that brings the module."""


class Built(NamedTuple):
    """An engine and what the builder said of it."""

    plan: bytes
    """The engine file."""
    layers: tuple[EngineLayer, ...]
    """Its kernels; empty where the library lists none."""


def build_engine(
    onnx_bytes: bytes,
    *,
    flavour: str = "tensorrt-rtx",
    size: tuple[int, int],
    compute_capability: tuple[int, int] | None = None,
    on_progress: Progress | None = None,
) -> Built:
    """Build an engine for frames of exactly `size` (width, height), in pixels.

    `compute_capability` is the GPU's, (8, 6) for instance; None leaves the choice to the library.
    One build at a time in a process. An exception from `on_progress` cancels the build and is
    raised again here.

    Raises:
        UsageError: for an unknown flavour or compute capability, or a size the graph cannot have.
        MissingExtraError: if the flavour's Python package is not installed.
        EngineError: if the library refuses; `native_log` keeps its first error line.
    """
    trt = load_flavour(flavour)
    with Workbench(trt, flavour) as bench:
        bench.parse(onnx_bytes)
        bench.fix_size(size)
        bench.aim_at(compute_capability)
        return Built(bench.build(on_progress), bench.layers())


def build_from_bundle(
    bundle: Bundle,
    *,
    flavour: str = "tensorrt-rtx",
    precision: str = "auto",
    size: tuple[int, int],
    compute_capability: tuple[int, int] | None = None,
    allow_uncertified: bool = False,
    on_progress: Progress | None = None,
    clock: Clock = monotonic_ns,
) -> tuple[bytes, EngineRecord]:
    """Build a bundle's graph for frames of `size` (width, height); return engine and record.

    `choose_graph` tells which graph that is.

    Raises:
        UsageError: as `build_engine`; also if `size` is no multiple of what the bundle needs, or
            the graph is not certified and not allowed to be.
        BundleError: if the bundle lacks the precision or is damaged.
        MissingExtraError: if the flavour's Python package is not installed.
        EngineError: if the library refuses.
    """
    width, height = size
    _check_size(bundle, width, height)
    trt = load_flavour(flavour)
    graph = choose_graph(bundle, precision, flavour, allow_uncertified)
    onnx_bytes = bundle.graph_bytes(graph)
    begun_ns = clock()
    engine, layers = build_engine(
        onnx_bytes,
        flavour=flavour,
        size=size,
        compute_capability=compute_capability,
        on_progress=on_progress,
    )
    return engine, EngineRecord(
        bundle=bundle.name,
        graph_sha256=graph.sha256,
        precision=graph.precision,
        width=width,
        height=height,
        flavour=flavour,
        flavour_version=str(trt.__version__),
        compute_capability=None if compute_capability is None else dotted(compute_capability),
        engine_sha256=sha256_of(engine),
        engine_bytes=len(engine),
        build_seconds=round((clock() - begun_ns) / 1e9, 3),
        crispstream_version=_own_version(),
        convolutions=convolution_types(layers),
    )


def load_flavour(flavour: str) -> ModuleType:
    """Return the Python module of a flavour, if it can build what the kit needs.

    Raises:
        UsageError: if the flavour is unknown.
        MissingExtraError: if the package is not installed.
        EngineError: if it is older than TensorRT 10.
    """
    if flavour not in FLAVOURS:
        raise UsageError(
            f"no engine can be built for '{flavour}'; choose one of {', '.join(FLAVOURS)}"
        )
    trt = require(*FLAVOURS[flavour])
    if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        raise EngineError(
            f"TensorRT {trt.__version__} cannot build strongly typed networks, where the graph "
            "alone decides the precision; install TensorRT 10.0 or newer"
        )
    return trt


def _check_size(bundle: Bundle, width: int, height: int) -> None:
    if min(width, height) < 1:
        raise UsageError(f"no frame has the size {width}x{height}; give for instance 320x180")
    fit_height, fit_width = padded_size(height, width, bundle.size_multiple)
    if (fit_width, fit_height) != (width, height):
        raise UsageError(
            f"{bundle.name} takes sizes that are multiples of {bundle.size_multiple}, not "
            f"{width}x{height}; build for {fit_width}x{fit_height}, to which such frames are padded"
        )


def _own_version() -> str:
    try:
        return importlib.metadata.version("crispstream")
    except importlib.metadata.PackageNotFoundError:  # run from a clone through the link folder
        return "unknown"
