"""From what the user asked for to a model that runs: its backend, and why that one."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.errors import EngineError, UsageError, first_line

from .available import (
    BROKEN,
    CPU,
    CUDA,
    MEND_ONNXRUNTIME,
    Choice,
    choose_backend,
)
from .backends.base import Backend
from .backends.bicubic import BicubicBackend
from .building.monitor import Progress
from .choose import choose_graph, needs_permission
from .device.gpu import find_gpu
from .models import find_model


class Opened(NamedTuple):
    """A model, ready to run."""

    backend: Backend
    name: str
    size_multiple: int
    """Frame sides must divide by this."""
    why: str = ""
    """One line: what runs it, and why not something faster."""
    uncertified: bool = False
    """Whether its graph runs only because uncertified ones were allowed."""
    input_statistics: Mapping[str, Any] = {}
    """How the frames looked that it is made for; may be empty."""
    guarded: bool = False
    """Whether its frames are looked at now and then; a CPU's are the reference."""


def open_model(
    model: str | Path,
    precision: str = "auto",
    backend: str = "auto",
    *,
    threads: int | None = None,
    side_by_side: int = 1,
    allow_uncertified: bool = False,
    cuda_graph: bool = True,
    on_build: Progress | None = None,
) -> Opened:
    """Start the backend that runs a model; `Restorer.open` tells what the arguments mean.

    Raises:
        UsageError: if a name is unknown, the backend does not serve the precision, or the graph
            is not certified and need be.
        BundleError: if the bundle is damaged or lacks the graph.
        MissingExtraError: if the backend's Python package is not installed.
        EngineError: if the backend cannot work here or refuses the graph.
    """
    if str(model) == "bicubic":
        _refuse_for_bicubic(precision, backend)
        return Opened(BicubicBackend(), "bicubic", 1, why="bicubic: computed, no model")
    bundle, choice = find_model(model), choose_backend(backend)
    start = partial(_started, bundle, precision, allow_uncertified)
    how = (threads, side_by_side, cuda_graph, on_build)
    try:
        return start(choice, *how)
    except EngineError as error:
        if backend != "auto" or choice.name == CPU:
            raise
        # Some of what a GPU needs shows only at the start: its memory, or cuDNN.
        return start(Choice(CPU, f"onnxruntime on the CPU ({error})"), *how)


def _started(
    bundle: Bundle,
    precision: str,
    allow_uncertified: bool,
    choice: Choice,
    threads: int | None,
    side_by_side: int,
    cuda_graph: bool,
    on_build: Progress | None,
) -> Opened:
    graph = choose_graph(bundle, precision, choice.name, allow_uncertified)
    if choice.name in (CPU, CUDA):
        runner = _onnxruntime(bundle, graph, choice.name, threads, side_by_side)
    else:
        runner = _tensorrt(bundle, graph, choice.name, cuda_graph, on_build)
    return Opened(
        runner,
        bundle.name,
        bundle.size_multiple,
        f"{graph.precision} with {choice.reason}",
        needs_permission(bundle, graph),
        bundle.input_statistics,
        guarded=choice.name != CPU,
    )


def _onnxruntime(
    bundle: Bundle, graph: Graph, name: str, threads: int | None, side_by_side: int
) -> Backend:
    try:
        from .backends.onnxruntime import OnnxRuntimeBackend  # 0.1 s: only who runs a model pays
    except BROKEN as error:
        raise EngineError(
            f"onnxruntime cannot be loaded ({first_line(error)}); install it again with: "
            f"{MEND_ONNXRUNTIME}; crispstream doctor shows what else is wrong"
        ) from error
    return OnnxRuntimeBackend(
        bundle.graph_bytes(graph),
        precision=graph.precision,
        device="cuda" if name == CUDA else "cpu",
        threads=threads,
        side_by_side=1 if bundle.states else side_by_side,
        states=bundle.states,
    )


def _tensorrt(
    bundle: Bundle, graph: Graph, flavour: str, cuda_graph: bool, on_build: Progress | None
) -> Backend:
    from .backends.tensorrt.backend import TensorRTBackend
    from .obtain import EngineSource
    from .wish import Wish

    gpu = find_gpu()
    if isinstance(gpu, str):
        raise EngineError(gpu)
    # The graph is here with its certificate, or because it was allowed without.
    wish = Wish(bundle, graph, flavour, gpu, allow_uncertified=True, on_build=on_build)
    return TensorRTBackend(
        EngineSource(wish),
        flavour=flavour,
        precision=graph.precision,
        states=bundle.states,
        cuda_graph=cuda_graph,
    )


def _refuse_for_bicubic(precision: str, backend: str) -> None:
    if (precision, backend) != ("auto", "auto"):
        raise UsageError(
            f"bicubic has no graph to run as {precision} on {backend}; "
            "leave precision and backend at auto, or choose a model"
        )
