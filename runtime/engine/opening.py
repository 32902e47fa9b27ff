"""From what the user asked for to a model that runs: its backend, and why that one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.errors import UsageError

from .backends.base import Backend
from .backends.bicubic import BicubicBackend
from .choose import choose_graph, needs_permission
from .models import find_model

BACKENDS = ("auto", "onnxruntime", "onnxruntime-cuda")
"""What can run a bundle today; "auto" is onnxruntime on the CPU."""


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


def open_model(
    model: str | Path,
    precision: str = "auto",
    backend: str = "auto",
    *,
    threads: int | None = None,
    side_by_side: int = 1,
    allow_uncertified: bool = False,
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
    bundle = find_model(model)
    if backend not in BACKENDS:
        raise UsageError(f"there is no backend '{backend}'; choose one of {', '.join(BACKENDS)}")
    name = "onnxruntime" if backend == "auto" else backend
    graph = choose_graph(bundle, precision, name, allow_uncertified)
    return Opened(
        _onnxruntime(bundle, graph, name, threads, side_by_side),
        bundle.name,
        bundle.size_multiple,
        f"{graph.precision} on {name}",
        needs_permission(bundle, graph),
        bundle.input_statistics,
    )


def _onnxruntime(
    bundle: Bundle, graph: Graph, name: str, threads: int | None, side_by_side: int
) -> Backend:
    from .backends.onnxruntime import OnnxRuntimeBackend  # 0.1 s: only who runs a model pays

    return OnnxRuntimeBackend(
        bundle.graph_bytes(graph),
        precision=graph.precision,
        device="cuda" if name.endswith("-cuda") else "cpu",
        threads=threads,
        side_by_side=1 if bundle.states else side_by_side,
        states=bundle.states,
    )


def _refuse_for_bicubic(precision: str, backend: str) -> None:
    if (precision, backend) != ("auto", "auto"):
        raise UsageError(
            f"bicubic has no graph to run as {precision} on {backend}; "
            "leave precision and backend at auto, or choose a model"
        )
