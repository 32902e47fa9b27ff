"""Predicted work of a mixed graph's convolutions, in multiply-accumulates of floating point."""

from collections.abc import Mapping
from math import prod

from .graph import GraphView, Node

INT8_WORK = {"int8": 1 / 2, "int8-cpu": 1 / 3}
"""Time of a multiply-accumulate in INT8 over that in floating point: tensor cores do twice as
many INT8 as fp16 ones; ONNX Runtime with VNNI does three in the time of one in fp32, measured on
the convolutions of edge-s."""

CONVERSION_WORK = {"int8": 0, "int8-cpu": 18}
"""Time of converting one value between floating point and bytes, in multiply-accumulates of fp32:
0.38 ms for 2.8 million values where edge-s does 130 million multiply-accumulates a millisecond,
measured with ONNX Runtime. TensorRT fuses conversions with their neighbours, so none are counted
there; only a measurement on the device says what they cost."""

INT8_CHANNELS = 16
"""Input channels that an INT8 kernel reads at a time: TensorRT's formats pad to them. ONNX Runtime
gains as little from the three channels of a frame: the first convolution of edge-s in INT8 made
the whole slower, 1.84 times fp32 instead of 1.95."""

_SIZE = (320, 180)  # that work is counted for, where the graph takes any
_BETWEEN = ("Relu", "LeakyRelu")
_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear")


def macs_of(view: GraphView) -> Mapping[str, int]:
    """Return the multiply-accumulates of each convolution for one frame, 320x180 if any will do."""
    shapes = view.shapes(*(view.input_size() or _SIZE))
    return {
        node.name: prod(shapes[node.output[0]][2:]) * view.constants[node.input[1]].size
        for node in view.convolutions()
    }


def relative_work(flavour: str, macs: Mapping[str, int], mixed: GraphView) -> float:
    """Return the predicted time of a mixed graph's convolutions over that without INT8.

    `macs` are those of the graph without INT8.
    """
    inside = {node.name: node for node in mixed.nodes if _is_int8(mixed, node)}
    work = sum(
        count * (INT8_WORK[flavour] * _padding(mixed, inside[name]) if name in inside else 1)
        for name, count in macs.items()
    )
    conversions = CONVERSION_WORK[flavour]
    if conversions:
        work += conversions * converted_values(mixed)
    return work / sum(macs.values())


def converted_values(mixed: GraphView) -> int:
    """Return how many values are converted by operators of their own, for one frame.

    What an INT8 convolution reads and, behind its ReLU, writes is converted inside of it.
    """
    shapes = mixed.shapes(*(mixed.input_size() or _SIZE))
    values = 0
    for node in mixed.nodes:
        if node.op_type == "QuantizeLinear" and not _made_in_int8(mixed, node.input[0]):
            values += prod(shapes[node.input[0]])
        if node.op_type == "DequantizeLinear" and _is_activation(mixed, node):
            readers = mixed.readers(node.output[0])
            if not all(_is_int8(mixed, one) or one.op_type in _BETWEEN for one in readers):
                values += prod(shapes[node.output[0]])
    return values


def _is_int8(view: GraphView, node: Node) -> bool:
    if node.op_type != "Conv":
        return False
    weights = view.producer(node.input[1])
    return weights is not None and weights.op_type == "DequantizeLinear"


def _padding(view: GraphView, node: Node) -> float:
    """Return the input channels that a kernel computes over those there are."""
    weights = view.producer(node.input[1])
    assert weights is not None  # `_is_int8` has found it
    channels = int(view.constants[weights.input[0]].shape[1])
    return -(-channels // INT8_CHANNELS) * INT8_CHANNELS / channels


def _is_activation(view: GraphView, node: Node) -> bool:
    maker = view.producer(node.input[0])
    return maker is not None and maker.op_type == "QuantizeLinear"


def _made_in_int8(view: GraphView, tensor: str) -> bool:
    maker = view.producer(tensor)
    while maker is not None and maker.op_type in (*_BETWEEN, *_CONVERSIONS):
        maker = view.producer(maker.input[0])
    return maker is not None and _is_int8(view, maker)
