"""Ahead-of-time engines: ONNX bytes in, engine bytes out.

`tensorrt-rtx` builds on a machine with no GPU; `tensorrt` builds for the GPU it runs on. Networks
are strongly typed, so the precision is the graph's own and no flag can change it.
"""

import importlib.metadata
import threading
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import NamedTuple

from crispstream.core.bundle import Bundle, StateTensor
from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import UsageError
from crispstream.core.files import sha256_of
from crispstream.core.pixels import padded_size
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.choose import choose_graph
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.native import RTX, TENSORRT, load_flavour
from crispstream.runtime.engine.store.record import EngineRecord

from .interrupts import held_interrupt
from .layers import EngineLayer, convolution_types
from .monitor import Progress
from .options import BuildOptions
from .orders import refuse_unfit
from .retry import Note, build_with_less
from .workbench import Workbench

# The library has one logger a process: what two builds say could not be told apart.
_one_at_a_time = threading.Lock()


class Built(NamedTuple):
    """An engine and what the builder said of it."""

    plan: bytes
    """The engine file."""
    layers: tuple[EngineLayer, ...]
    """Its kernels; empty where the library lists none."""
    warnings: tuple[str, ...] = ()
    """Sentences for the user: a timing cache that could not be used, or not be written."""


def build_engine(
    onnx_bytes: bytes,
    options: BuildOptions,
    *,
    flavour: str = RTX,
    states: Sequence[StateTensor] = (),
    timing_cache: Path | None = None,
    on_progress: Progress | None = None,
) -> Built:
    """Build an engine.

    One build at a time in a process: others wait. An exception from `on_progress` cancels the
    build and is raised again here; so does Ctrl-C, if this is the main thread.

    Args:
        onnx_bytes: the graph.
        options: the builder's orders.
        flavour: "tensorrt" or "tensorrt-rtx".
        states: what the graph carries from frame to frame, as its bundle says.
        timing_cache: file in which TensorRT keeps what it measured, to build faster the next
            time; made where there is none. TensorRT-RTX measures nothing and ignores it.
        on_progress: told of every step.

    Raises:
        UsageError: for an unknown flavour or compute capability, an order that the flavour cannot
            carry out, or a size the graph cannot have.
        MissingExtraError: if the flavour's Python package is not installed.
        OutOfMemoryError: if the memory does not suffice; it is an EngineError.
        EngineError: if the library refuses; `native_log` keeps its first error line.
        KeyboardInterrupt: if Ctrl-C was pressed; nothing is left behind.
    """
    trt = load_flavour(flavour)
    refuse_unfit(options, flavour)
    cache = None if flavour == RTX else timing_cache
    with held_interrupt() as interrupted, _one_at_a_time, Workbench(trt, flavour) as bench:
        bench.give_orders(options)
        bench.parse(onnx_bytes)
        for profile in options.profiles:
            bench.add_profile(profile, states)
        warnings = [bench.use_timing_cache(cache)] if cache else []
        plan = bench.build(on_progress, interrupted)
        warnings += [bench.keep_timing_cache(cache)] if cache else []
        return Built(plan, bench.layers(), tuple(filter(None, warnings)))


def build_from_bundle(
    bundle: Bundle,
    options: BuildOptions,
    *,
    flavour: str = RTX,
    precision: str = "auto",
    gpu: Gpu | None = None,
    allow_uncertified: bool = False,
    timing_cache: Path | None = None,
    on_progress: Progress | None = None,
    on_note: Note | None = None,
    clock: Clock = monotonic_ns,
) -> tuple[bytes, EngineRecord]:
    """Build a bundle's graph; return engine and record. `choose_graph` tells which graph that is.

    Where the memory does not suffice it is tried again with less, see `retry.build_with_less`: the
    record has the orders that the engine was built with, and what was given up.

    `gpu` is the one that the engine is bound to: needed for `tensorrt`, ignored otherwise.
    `on_note` is called with sentences for the user: what was given up, and warnings.

    Raises:
        UsageError: as `build_engine`; also if a size is no multiple of what the bundle needs, or
            the graph is not certified and not allowed to be.
        BundleError: if the bundle lacks the precision or is damaged.
        MissingExtraError: if the flavour's Python package is not installed.
        EngineError: if the library refuses.
        KeyboardInterrupt: if Ctrl-C was pressed; nothing is left behind.
    """
    check_sizes(bundle, options.profiles)
    trt = load_flavour(flavour)
    graph = choose_graph(bundle, precision, flavour, allow_uncertified)
    build = partial(
        build_engine,
        bundle.graph_bytes(graph),
        flavour=flavour,
        states=bundle.states,
        timing_cache=timing_cache,
        on_progress=on_progress,
    )
    begun_ns = clock()
    built, options, retries = build_with_less(build, options, on_note)
    if on_note is not None:
        for warning in built.warnings:
            on_note(warning)
    return built.plan, EngineRecord(
        bundle=bundle.name,
        graph_sha256=graph.sha256,
        precision=graph.precision,
        flavour=flavour,
        flavour_version=str(trt.__version__),
        options=options.as_json(),
        gpu=gpu.as_json() if gpu and flavour == TENSORRT else {},
        engine_sha256=sha256_of(built.plan),
        engine_bytes=len(built.plan),
        build_seconds=round((clock() - begun_ns) / 1e9, 3),
        built_at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        crispstream_version=_own_version(),
        convolutions=convolution_types(built.layers),
        retries=retries,
    )


def check_sizes(bundle: Bundle, profiles: Sequence[SizeRange]) -> None:
    """Raise UsageError for a size that is no multiple of what the bundle needs."""
    for profile in profiles:
        for size in profile:
            _check_size(bundle, *size)


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
