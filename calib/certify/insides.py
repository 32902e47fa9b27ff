"""What happens inside a graph, which bytes cannot show: NaN, infinity, saturation, large values.

Counted on a copy of the graph whose floating-point tensors are outputs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from crispstream.calib.quantise.graph import GraphView, Node
from crispstream.calib.quantise.observe import Observer
from crispstream.core.pixels import Bytes

FP16_SAFE = 16_000.0
"""A quarter of what fp16 holds: ONNX Runtime computes fp16 graphs in fp32 on a CPU and so cannot
overflow, hence the margin."""


@dataclass(frozen=True)
class Insides:
    """What was seen in a graph's tensors over all frames."""

    tensors: int
    not_finite: int
    """Values that are NaN or infinite."""
    largest: float
    """Largest magnitude."""
    largest_tensor: str
    saturated_share: float
    """Share of the values beyond the range of their quantisation, in the worst tensor; 0 where
    nothing is quantised."""
    saturated_tensor: str


def look_inside(
    view: GraphView, tensors: Sequence[str], frames: Iterable[Bytes], *, literally: bool
) -> Insides:
    """Run a graph on frames and look at these floating-point tensors; there is at least one."""
    observer = Observer(view, tensors, literally=literally)
    limits = quantised_ranges(view)
    largest: dict[str, float] = {}
    beyond: dict[str, list[float]] = {}
    not_finite = 0
    for frame_hwc in frames:
        for name, values in observer.tensors(frame_hwc):
            finite = np.isfinite(values)
            not_finite += values.size - int(finite.sum())
            top = float(np.abs(values, where=finite, out=np.zeros_like(values)).max())
            largest[name] = max(top, largest.get(name, 0.0))
            if name in limits:
                low, high = limits[name]
                share = float(np.mean((values < low) | (values > high)))
                beyond.setdefault(name, []).append(share)
    shares = {name: float(np.mean(each)) for name, each in beyond.items()}
    top_name = max(largest, key=lambda name: largest[name])
    full_name = max(shares, key=lambda name: shares[name], default="")
    return Insides(
        len(largest),
        not_finite,
        largest[top_name],
        top_name,
        shares.get(full_name, 0.0),
        full_name,
    )


def quantised_ranges(view: GraphView) -> dict[str, tuple[float, float]]:
    """Return what each quantised tensor's bytes can stand for: name -> (lowest, highest).

    Half a step beyond the outermost values still rounds to them.
    """
    found = {}
    for node in view.nodes:
        if node.op_type == "QuantizeLinear" and node.input[0] not in view.constants:
            found[node.input[0]] = _limits(view, node)
    return found


def _limits(view: GraphView, node: Node) -> tuple[float, float]:
    scale = float(view.constants[node.input[1]])
    zero = view.constants[node.input[2]]
    whole = np.iinfo(zero.dtype)
    return (
        (whole.min - int(zero) - 0.5) * scale,
        (whole.max - int(zero) + 0.5) * scale,
    )


def tensors_in_halves(fp32: GraphView, fp16: GraphView) -> list[str]:
    """Return the fp32 graph's tensors that the fp16 graph holds in fp16.

    A tensor that has no namesake there counts as one of them.
    """
    kinds = fp16.tensor_types()
    return [name for name in fp32.float_tensors() if kinds.get(name) != onnx.TensorProto.FLOAT]
