"""Ahead-of-time engines: ONNX bytes in, engine bytes out, for one frame size.

`tensorrt-rtx` builds on a machine with no GPU; `tensorrt` builds for the GPU it runs on. Networks
are strongly typed, so the precision is the graph's own and no flag can change it.
"""

import importlib.metadata
from datetime import datetime, timezone
from typing import NamedTuple

from crispstream.core.bundle import Bundle
from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import UsageError
from crispstream.core.files import sha256_of
from crispstream.core.pixels import padded_size
from crispstream.runtime.engine.choose import choose_graph
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.native import load_flavour
from crispstream.runtime.engine.store.record import EngineRecord

from .layers import EngineLayer, convolution_types
from .options import BuildOptions
from .workbench import Progress, Workbench


class Built(NamedTuple):
    """An engine and what the builder said of it."""

    plan: bytes
    """The engine file."""
    layers: tuple[EngineLayer, ...]
    """Its kernels; empty where the library lists none."""


def build_engine(
    onnx_bytes: bytes,
    options: BuildOptions,
    *,
    flavour: str = "tensorrt-rtx",
    on_progress: Progress | None = None,
) -> Built:
    """Build an engine.

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
        for profile in options.profiles:
            bench.add_profile(profile)
        bench.aim_at(options.compute_capabilities)
        return Built(bench.build(on_progress), bench.layers())


def build_from_bundle(
    bundle: Bundle,
    options: BuildOptions,
    *,
    flavour: str = "tensorrt-rtx",
    precision: str = "auto",
    gpu: Gpu | None = None,
    allow_uncertified: bool = False,
    on_progress: Progress | None = None,
    clock: Clock = monotonic_ns,
) -> tuple[bytes, EngineRecord]:
    """Build a bundle's graph; return engine and record. `choose_graph` tells which graph that is.

    `gpu` is the one that the engine is bound to: needed for `tensorrt`, ignored otherwise.

    Raises:
        UsageError: as `build_engine`; also if a size is no multiple of what the bundle needs, or
            the graph is not certified and not allowed to be.
        BundleError: if the bundle lacks the precision or is damaged.
        MissingExtraError: if the flavour's Python package is not installed.
        EngineError: if the library refuses.
    """
    for profile in options.profiles:
        for size in profile:
            _check_size(bundle, *size)
    trt = load_flavour(flavour)
    graph = choose_graph(bundle, precision, flavour, allow_uncertified)
    onnx_bytes = bundle.graph_bytes(graph)
    begun_ns = clock()
    engine, layers = build_engine(onnx_bytes, options, flavour=flavour, on_progress=on_progress)
    return engine, EngineRecord(
        bundle=bundle.name,
        graph_sha256=graph.sha256,
        precision=graph.precision,
        flavour=flavour,
        flavour_version=str(trt.__version__),
        options=options.as_json(),
        gpu=gpu.as_json() if gpu and flavour == "tensorrt" else {},
        engine_sha256=sha256_of(engine),
        engine_bytes=len(engine),
        build_seconds=round((clock() - begun_ns) / 1e9, 3),
        built_at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        crispstream_version=_own_version(),
        convolutions=convolution_types(layers),
    )


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
