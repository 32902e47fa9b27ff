"""`int8.onnx`: explicit Q/DQ as TensorRT 10, 11 and TensorRT-RTX take it.

Symmetric throughout, zero point 0: other zero points, an INT32 bias and operators on integers are
refused there. Weights are stored as INT8 with a scale for each output channel; everything around
stays as in fp16.onnx, with fp16 scales (opset 19). A convolution's input and weights get Q/DQ and
nothing comes between it and its activation, so that the two still fuse.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from crispstream.core.errors import UsageError
from crispstream.core.int8 import WEIGHT_LEVELS

from .graph import Array, GraphView, Node
from .ranges import Ranges
from .rewrite import Rewriter

OPSET = 19
"""The first in which scales may be fp16."""

LEVELS = WEIGHT_LEVELS["int8"]
"""Largest quantised magnitude."""

Halves = npt.NDArray[np.float16]

_SAME_UNIT = 0.01  # fp16 rounding changes the norm of weights by far less
_SMALLEST = float(np.finfo(np.float16).smallest_normal)
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Form:
    """A quantised graph."""

    onnx_bytes: bytes
    int8_layers: tuple[str, ...]
    kept: tuple[str, ...]
    """Layers that were planned in INT8 and stay in floating point, for fp16 cannot hold a scale."""


def tensorrt_form(
    fp16: GraphView,
    fp32: GraphView,
    layers: Collection[str],
    ranges: Ranges,
    *,
    skip_sides: bool = False,
) -> Form:
    """Insert Q/DQ into the fp16 graph around the convolutions `layers`.

    Weights are those of the fp32 graph, not yet rounded to fp16. `skip_sides`: the other side of
    a residual add whose one side is such a convolution is quantised too.

    Raises:
        UsageError: if the two graphs differ in their layers, or a range is missing.
    """
    exact = {node.name: node for node in fp32.convolutions()}
    rewriter = Rewriter(_at_opset(fp16))
    done, kept = [], []
    for node in fp16.convolutions():
        if node.name not in layers:
            continue
        if node.name not in exact:
            raise UsageError(
                f"the fp16 graph has a layer '{node.name}' that the fp32 graph lacks; export both "
                "again: crispstream export"
            )
        tensor = exact[node.name].input[0]
        weights, unit = _in_unit_of(
            fp16.constants[node.input[1]], fp32.constants[exact[node.name].input[1]]
        )
        activation = half_scale(np.array([ranges.of(tensor).amax * unit]))
        scales = half_scale(amax_per_channel(weights))
        if activation is None or scales is None:
            kept.append(node.name)
            continue
        copy = rewriter.node(node.name)
        copy.input[0] = _quantised(rewriter, node.input[0], activation)
        copy.input[1] = _weights(rewriter, node, weights, scales)
        done.append(node.name)
    if skip_sides:
        _quantise_skips(rewriter, fp16, fp32, done, ranges)
    return Form(rewriter.finish(), tuple(done), tuple(kept))


def half_scale(amax: Array) -> Halves | None:
    """Return amax / 127 in fp16; None if fp16 holds one of them only in part or not at all.

    Below 6.1e-5 fp16 loses digits. A channel of zeros gets the scale 1.

    >>> half_scale(np.array([127.0, 0.0])).tolist()
    [1.0, 1.0]
    >>> half_scale(np.array([1e-4])) is None
    True
    """
    scale = np.where(amax > 0, amax / LEVELS, 1.0)
    if scale.min() < _SMALLEST or scale.max() > _LARGEST:
        return None
    return np.asarray(scale, np.float16)


def _in_unit_of(halves: Array, exact: Array) -> tuple[Array, float]:
    """Return fp32 weights in the unit of the fp16 graph, and what its input is multiplied by.

    The two graphs may differ in where they divide by 255: the fp32 one does it in the weights of
    its first convolution, where fp16 would lose digits.
    """
    rounded = float(np.linalg.norm(halves.astype(np.float32)))
    unit = float(np.linalg.norm(exact)) / rounded if rounded else 1.0
    return (exact, 1.0) if abs(unit - 1) < _SAME_UNIT else (exact / unit, unit)


def _at_opset(view: GraphView) -> GraphView:
    model = onnx.version_converter.convert_version(view.model, OPSET)
    return GraphView(model.SerializeToString())


def amax_per_channel(weights: Array) -> Array:
    """Return the largest magnitude in each output channel of weights [C_out,C_in,kH,kW]."""
    amax: Array = np.abs(weights).reshape(len(weights), -1).max(1)
    return amax


def _weights(rewriter: Rewriter, node: Node, weights: Array, scales: Halves) -> str:
    by_channel = scales.astype(np.float32)[:, None, None, None]
    whole = np.clip(np.round(weights / by_channel), -LEVELS, LEVELS).astype(np.int8)
    inputs = [
        rewriter.constant(f"{node.name}.weight_int8", whole),
        rewriter.constant(f"{node.name}.weight_scale", scales),
    ]
    return rewriter.add("DequantizeLinear", inputs, f"{node.name}.weight", axis=0)


def _quantised(rewriter: Rewriter, tensor: str, scale: Halves) -> str:
    """Return the tensor behind a Q/DQ pair, which is made once for all who read it."""
    behind = f"{tensor}.dq"
    if behind in rewriter.made:
        return behind
    parts = [
        rewriter.constant(f"{tensor}.scale", scale.reshape(())),
        rewriter.constant("zero_int8", np.zeros((), np.int8)),
    ]
    whole = rewriter.add("QuantizeLinear", [tensor, *parts], f"{tensor}.int8")
    return rewriter.add("DequantizeLinear", [whole, *parts], behind)


def _quantise_skips(
    rewriter: Rewriter, fp16: GraphView, fp32: GraphView, done: Collection[str], ranges: Ranges
) -> None:
    exact = {node.name: node for node in fp32.nodes}
    for add, side in skip_sides_of(fp16, done):
        amax = np.array([ranges.of(exact[add.name].input[side]).amax])
        if (scale := half_scale(amax)) is not None:
            rewriter.node(add.name).input[side] = _quantised(rewriter, add.input[side], scale)


def skip_sides_of(view: GraphView, layers: Collection[str]) -> list[tuple[Node, int]]:
    """Return the adds one side of which is one of these convolutions, with the other's index."""
    found: list[tuple[Node, int]] = []
    for node in view.nodes:
        if node.op_type != "Add" or len(view.data_inputs(node)) != 2:
            continue
        makers: Mapping[int, Node | None] = {i: view.producer(node.input[i]) for i in (0, 1)}
        quantised = [i for i, maker in makers.items() if maker and maker.name in layers]
        if len(quantised) == 1:
            found.append((node, 1 - quantised[0]))
    return found
