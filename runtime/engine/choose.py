"""From what the user asked for to a graph and a backend that runs it."""

from pathlib import Path

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.errors import UsageError
from crispstream.core.machine import usable_cores
from crispstream.core.registry import did_you_mean

from .backends.base import Backend

BUNDLES = Path(__file__).parents[1] / "bundles"
"""The shipped bundles, one folder each; package data, read-only."""

BACKENDS = ("auto", "onnxruntime", "onnxruntime-cuda")
"""What can run a bundle today; "auto" is onnxruntime on the CPU."""

# From this many cores on, threads inside operators pay and fewer frames are held; below it the
# cores would not divide evenly, and some would idle.
_MANY_CORES = 8
_SIDE_BY_SIDE_OF_MANY = 4

_PREFERRED = {
    "onnxruntime": ("fp32",),
    "tensorrt": ("fp16", "fp32"),
    "tensorrt-rtx": ("fp16", "fp32"),
}


def shipped_names() -> list[str]:
    """Return the names of the bundles that came with the package, sorted."""
    return sorted(found.parent.name for found in BUNDLES.glob("*/bundle.json"))


def find_model(name_or_path: str | Path) -> Bundle:
    """Load a shipped bundle by its name, or any bundle by its folder.

    A shipped name wins over a folder of the same name; write "./edge-n" for the folder.

    Raises:
        UsageError: if there is neither, naming the shipped bundles.
        BundleError: if the bundle is damaged.
    """
    text, path = str(name_or_path), Path(name_or_path)
    if text == "bicubic":
        raise UsageError("bicubic is computed and has no bundle; name a model or a bundle's path")
    names = shipped_names()
    if text in names:
        return Bundle.load(BUNDLES / text)
    if path.is_dir():
        return Bundle.load(path)
    if path.exists():
        raise UsageError(
            f"{path} is a file; a bundle is a folder with a bundle.json, "
            "made by: crispstream export"
        )
    hint = did_you_mean(text, [*names, "bicubic"])
    known = ", ".join([*names, "bicubic"])
    raise UsageError(
        f"there is no model '{text}'; {hint}give one of {known}, or the path of a bundle"
    )


def choose_graph(bundle: Bundle, precision: str, backend: str) -> Graph:
    """Return the graph of a bundle to run on a backend.

    "auto" is fp32 on ONNX Runtime, which computes fp16 graphs in fp32 on the CPU and so gains
    nothing from them, and fp16 on TensorRT where the bundle has it.

    Raises:
        BundleError: if the bundle has no such graph.
        UsageError: if that graph is made for other backends.
    """
    backend = backend.removesuffix("-cuda")
    if precision == "auto":
        there = [graph.precision for graph in bundle.graphs]
        preferred = _PREFERRED[backend]
        precision = next((name for name in preferred if name in there), preferred[-1])
    graph = bundle.graph(precision)
    if backend not in graph.backends:
        fit = [other.precision for other in bundle.graphs if backend in other.backends]
        raise UsageError(
            f"the {precision} graph of {bundle.name} is made for {', '.join(graph.backends)}, "
            f"not for {backend}; choose --precision {' or '.join(fit) or 'of another bundle'}"
        )
    return graph


def frames_side_by_side(threads: int | None = None) -> int:
    """Return how many frames at once give the most frames a second on the CPU.

    `threads` is how many it may use, by default every usable core.
    """
    cores = threads or usable_cores()
    return cores if cores < _MANY_CORES else _SIDE_BY_SIDE_OF_MANY


def open_backend(
    bundle: Bundle,
    precision: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
    side_by_side: int = 1,
) -> Backend:
    """Start the backend that runs a bundle.

    Raises:
        UsageError: if the backend is unknown or does not serve the precision.
        BundleError: if the graph is missing or damaged.
        EngineError: if the library refuses the graph.
    """
    if backend not in BACKENDS:
        raise UsageError(f"there is no backend '{backend}'; choose one of {', '.join(BACKENDS)}")
    name = "onnxruntime" if backend == "auto" else backend
    graph = choose_graph(bundle, precision, name)
    from .backends.onnxruntime import OnnxRuntimeBackend  # 0.1 s: only who runs a model pays

    return OnnxRuntimeBackend(
        bundle.graph_bytes(graph),
        precision=graph.precision,
        device="cuda" if name.endswith("-cuda") else "cpu",
        threads=threads,
        side_by_side=side_by_side,
    )
