"""From a bundle to a backend that runs it."""

from crispstream.core.bundle import Bundle
from crispstream.core.errors import UsageError

from .backends.base import Backend
from .choose import choose_graph

BACKENDS = ("auto", "onnxruntime", "onnxruntime-cuda")
"""What can run a bundle today; "auto" is onnxruntime on the CPU."""


def open_backend(
    bundle: Bundle,
    precision: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
    side_by_side: int = 1,
    allow_uncertified: bool = False,
) -> Backend:
    """Start the backend that runs a bundle; `choose_graph` tells which graph it runs.

    Raises:
        UsageError: if the backend is unknown or does not serve the precision, or the graph is
            not certified and need be.
        BundleError: if the graph is missing or damaged.
        EngineError: if the library refuses the graph.
    """
    if backend not in BACKENDS:
        raise UsageError(f"there is no backend '{backend}'; choose one of {', '.join(BACKENDS)}")
    name = "onnxruntime" if backend == "auto" else backend
    graph = choose_graph(bundle, precision, name, allow_uncertified)
    from .backends.onnxruntime import OnnxRuntimeBackend  # 0.1 s: only who runs a model pays

    return OnnxRuntimeBackend(
        bundle.graph_bytes(graph),
        precision=graph.precision,
        device="cuda" if name.endswith("-cuda") else "cpu",
        threads=threads,
        side_by_side=side_by_side,
    )
