"""From what the user asked for to the graph of a bundle."""

import shlex
from collections.abc import Collection

from crispstream.core.bundle import VERIFICATION, Bundle, Graph
from crispstream.core.errors import BundleError, UsageError
from crispstream.core.machine import usable_cores
from crispstream.core.registry import did_you_mean

from . import models

# From this many cores on, threads inside operators pay and fewer frames are held; below it the
# cores would not divide evenly, and some would idle.
_MANY_CORES = 8
_SIDE_BY_SIDE_OF_MANY = 4

PRECISIONS = ("auto", "fp32", "fp16", "int8", "int8-cpu")

_FASTER = {"onnxruntime": "int8-cpu", "tensorrt": "fp16", "tensorrt-rtx": "fp16"}
"""What "auto" takes on a backend instead of fp32, where it is certified."""


_ALL_THE_SAME = "or use it all the same with --allow-uncertified"


def choose_graph(
    bundle: Bundle,
    precision: str,
    backend: str,
    allow_uncertified: bool = False,
    *,
    faster: Collection[str] = (),
) -> Graph:
    """Return the graph of a bundle to run on a backend.

    A graph of fp16 or int8 runs only with a certificate, or with `allow_uncertified`; fp32 always
    does. "int8" is the int8 graph of that backend: `int8-cpu` on ONNX Runtime's CPU, where the
    bundle has it, and `int8` on TensorRT.

    "auto" takes certified graphs only, whatever is allowed, and fp32 where there is no better one:

    - onnxruntime: int8-cpu, if it was faster than fp32 on the CPU that verified it. fp16 never:
      ONNX Runtime computes it in fp32 there and gains nothing.
    - onnxruntime-cuda: fp32; int8-cpu is a form for CPUs.
    - TensorRT: fp16. Whether int8 is faster depends on the device: it is taken if its SHA-256 is
      among `faster`, the graphs that a bench on this device has shown to be.

    Raises:
        BundleError: if the bundle has no such graph.
        UsageError: if there is no such precision, the graph is made for other backends, or it is
            not certified.
    """
    check_precision(precision)
    if precision == "auto":
        graph = _automatic(bundle, backend, faster)
    else:
        graph = bundle.graph(_named(bundle, precision, backend))
    if not _serves(graph, backend):
        fit = [other.precision for other in bundle.graphs if _serves(other, backend)]
        raise UsageError(
            f"the {graph.precision} graph of {bundle.name} is made for {_targets(graph)}, "
            f"not for {backend}; choose --precision {' or '.join(fit) or 'of another bundle'}"
        )
    if needs_permission(bundle, graph) and not allow_uncertified:
        raise _refusal(bundle, graph)
    return graph


def check_precision(precision: str) -> None:
    """Raise UsageError unless there is such a precision, whatever a bundle has of them."""
    if precision not in PRECISIONS:
        raise UsageError(
            f"there is no precision '{precision}'; {did_you_mean(precision, PRECISIONS)}"
            f"choose one of {', '.join(PRECISIONS)}"
        )


def lacks(bundle: Bundle, precision: str, backend: str) -> bool:
    """Return whether a bundle has no graph of a precision for a backend, certified or not."""
    named = _named(bundle, precision, backend)
    fit = [graph.precision for graph in bundle.graphs if _serves(graph, backend)]
    return precision != "auto" and named not in fit


def needs_permission(bundle: Bundle, graph: Graph) -> bool:
    """Return whether a graph runs only where uncertified ones are allowed."""
    return graph.precision != "fp32" and not bundle.certified(graph)


def _automatic(bundle: Bundle, backend: str, faster: Collection[str]) -> Graph:
    usual = _FASTER.get(backend)
    fit = [graph for graph in bundle.graphs if _serves(graph, backend) and bundle.certified(graph)]
    shown = [graph for graph in fit if graph.sha256 in faster]
    wanted = [graph for graph in fit if graph.precision == usual and _pays(bundle, graph)]
    return next(iter(shown + wanted), None) or bundle.graph("fp32")


def _pays(bundle: Bundle, graph: Graph) -> bool:
    """Whether a graph is faster than fp32; int8 on a CPU has to show it."""
    if graph.precision == "fp16":
        return True
    speed_over_fp32 = bundle.certificate_of(graph).get("speed_over_fp32")
    return isinstance(speed_over_fp32, int | float) and speed_over_fp32 > 1


def _named(bundle: Bundle, precision: str, backend: str) -> str:
    for_cpus = any(graph.precision == "int8-cpu" for graph in bundle.graphs)
    return "int8-cpu" if (precision, backend) == ("int8", "onnxruntime") and for_cpus else precision


def _serves(graph: Graph, backend: str) -> bool:
    if backend == "onnxruntime-cuda":
        return "onnxruntime" in graph.backends and graph.precision != "int8-cpu"
    return backend in graph.backends


def _targets(graph: Graph) -> str:
    on_cpu = " on the CPU" if graph.precision == "int8-cpu" else ""
    return ", ".join(graph.backends) + on_cpu


def _refusal(bundle: Bundle, graph: Graph) -> UsageError:
    entry = bundle.certificate_of(graph)
    subject = f"the {graph.precision} graph of {bundle.name}"
    try:
        bundle.certificate()
    except BundleError as error:
        return UsageError(f"{subject} cannot be shown to be certified: {error}, {_ALL_THE_SAME}")
    if entry.get("judged_by") == VERIFICATION and entry.get("passed") is not True:
        reason = entry.get("reason")
        why = f" ({reason})" if isinstance(reason, str) and reason else ""
        return UsageError(
            f"{subject} failed its verification{why}; take --precision fp32, {_ALL_THE_SAME}"
        )
    shipped = bundle.path.parent == models.BUNDLES
    thing = bundle.name if shipped else shlex.quote(str(bundle.path))
    return UsageError(
        f"{subject} was never verified, so it may not look like fp32; run "
        f"crispstream verify {thing} -o NEW and use that bundle, {_ALL_THE_SAME}"
    )


def frames_side_by_side(threads: int | None = None) -> int:
    """Return how many frames at once give the most frames a second on the CPU.

    `threads` is how many it may use, by default every usable core.
    """
    cores = threads or usable_cores()
    return cores if cores < _MANY_CORES else _SIDE_BY_SIDE_OF_MANY
