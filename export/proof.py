"""Proof that a graph of one frame size computes what its PyTorch network does.

The floats are compared before clip and rounding and relative to the largest of them: a network
whose bytes are all 0 or 255 agrees with any other in bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from crispstream.core.errors import ExportError

from .scaling import inner_share
from .static import LEVELS, RESTORED, StaticGraph
from .surgery import widened

Array = npt.NDArray[Any]
Feed = Mapping[str, Array]
"""The inputs of one frame by name."""
Result = Mapping[str, Array]
"""The outputs of one frame by name."""

LIMIT = {"fp32": 1e-4, "fp16": 1e-3}
"""Largest difference from PyTorch, relative to the largest value.

An fp16 graph and PyTorch both run in fp32 with the fp16 weights, so that a wrong graph cannot hide
behind rounding. Most then agree to 1e-5; but a plain number in a network, such as RRDB's 0.2, is a
constant of the graph and so rounded to fp16 there, up to 5e-4. What rounding every tensor to fp16
adds on a device is PyTorch's to tell, see `Proof.rounding_to_fp16`.
"""

AMPLIFIED = 10.0
"""How many times the rounding of PyTorch itself a network of warps may differ."""


@dataclass(frozen=True)
class Proof:
    """How far a graph is from PyTorch: the worst of all frames and float outputs.

    Errors are differences over the largest value. What a graph has none of is None.
    """

    precision: str
    size: str
    frames: int
    relative_error: float
    """From PyTorch with the same weights, in fp32 arithmetic."""
    limit: float
    relative_error_from_fp32: float | None = None
    """Of an fp16 graph: from PyTorch with the weights in fp32."""
    rounding_to_fp16: float | None = None
    """Of an fp16 graph: PyTorch in fp16 arithmetic from PyTorch in fp32."""
    rounding_of_pytorch: float | None = None
    """Of a network of warps: PyTorch in fp32 arithmetic from fp64."""
    inner_share: float | None = None
    """Share of PyTorch's restored bytes within 1..254, also where a graph gives them as floats."""
    bytes_largest: int | None = None
    """Largest difference of a byte from PyTorch with the same weights, in grey levels."""
    bytes_changed_share: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the floats stay within the limit; NaN does not."""
        return self.relative_error <= self.limit

    def as_certificate(self) -> dict[str, Any]:
        """Return what certificate.json keeps."""
        figures = {name: value for name, value in asdict(self).items() if value is not None}
        return {"judged_by": "floats against PyTorch", "passed": self.passed, **figures}


def prove(
    reference: StaticGraph,
    onnx_bytes: bytes,
    feeds: Sequence[Feed],
    *,
    size: str,
    exact: StaticGraph | None = None,
    half: StaticGraph | None = None,
    trained: StaticGraph | None = None,
) -> Proof:
    """Compare a graph with PyTorch on `feeds`, one for each frame.

    `exact`, the reference in fp64, is for networks that amplify rounding: the limit follows that
    of PyTorch itself where it is larger. `half` and `trained`, the network in fp16 arithmetic and
    with its own weights, are for what an fp16 graph says of fp16.

    Raises:
        ExportError: if the difference is beyond the limit.
    """
    precision = reference.precision
    session = session_of(widened(onnx_bytes) if precision == "fp16" else onnx_bytes)
    figures: dict[str, list[float]] = {}
    for feed in feeds:
        ours, same = run_onnx(session, feed), run_torch(reference, feed)
        found = _compared(reference, ours, same)
        if exact is not None:
            found["rounding"] = _error(reference, same, run_torch(exact, feed))
        if half is not None and trained is not None:
            own = run_torch(trained, feed)
            found["from_fp32"] = _error(reference, ours, own)
            found["to_fp16"] = _error(reference, run_torch(half, feed), own)
        for name, figure in found.items():
            figures.setdefault(name, []).append(figure)
    proof = _judged(precision, size, len(feeds), figures)
    if not proof.passed:
        raise ExportError(
            f"the {precision} graph differs from PyTorch by {proof.relative_error:.2g} of its "
            f"largest value, expected at most {proof.limit:.2g}; do not ship it: try another "
            "version of torch or onnx, or other check frames"
        )
    return proof


def _compared(graph: StaticGraph, ours: Result, same: Result) -> dict[str, float]:
    """Return the figures of one frame; frame by frame, for the outputs may take gigabytes."""
    figures = {"error": _error(graph, ours, same)}
    if RESTORED in graph.output_names:
        difference = np.abs(ours[RESTORED].astype(np.int16) - same[RESTORED])
        figures["byte"] = float(difference.max())
        figures["changed"] = float((difference > 0).mean())
        figures["inside"] = inner_share([same[LEVELS]])
    elif "hr" in graph.output_names:
        figures["inside"] = inner_share([same["hr"] * 255 + 0.5])
    return figures


def _error(graph: StaticGraph, a: Result, b: Result) -> float:
    return worst(relative_error(a[name], b[name]) for name in graph.floats)


def _judged(precision: str, size: str, frames: int, figures: Mapping[str, list[float]]) -> Proof:
    most = {name: worst(values) for name, values in figures.items()}
    rounding = most.get("rounding")
    return Proof(
        precision,
        size,
        frames,
        most["error"],
        max(LIMIT[precision], AMPLIFIED * rounding) if rounding is not None else LIMIT[precision],
        most.get("from_fp32"),
        most.get("to_fp16"),
        rounding,
        float(np.mean(figures["inside"])) if "inside" in figures else None,
        int(most["byte"]) if "byte" in figures else None,
        float(np.mean(figures["changed"])) if "changed" in figures else None,
    )


def relative_error(a: Array, b: Array) -> float:
    """Return the largest difference of `a` from `b` over the largest value of `b`.

    >>> relative_error(np.array([1.0, 3.0]), np.array([1.0, 4.0]))
    0.25
    """
    largest = float(np.abs(b).max())
    difference = float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
    return difference / largest if largest else difference


def worst(errors: Iterable[float]) -> float:
    """Return the largest error; NaN, which is worse than any, if there is one.

    >>> worst([1.0, float("nan"), 2.0])
    nan
    """
    return float(np.max(list(errors)))


def session_of(onnx_bytes: bytes) -> Any:  # noqa: ANN401  (untyped library)
    """Return a graph ready to run on the CPU."""
    return onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])


def run_onnx(session: Any, feed: Feed) -> Result:  # noqa: ANN401  (untyped library)
    """Return the outputs of a graph by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


@torch.inference_mode()
def run_torch(graph: StaticGraph, feed: Feed) -> Result:
    """Return the outputs of PyTorch by name, at the graph's precision."""
    inputs = [torch.from_numpy(feed[name]) for name in graph.input_names]
    outputs = zip(graph.output_names, graph(*inputs), strict=True)
    return {name: output.numpy() for name, output in outputs}
