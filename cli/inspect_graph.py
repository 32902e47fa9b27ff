"""What an ONNX graph is made of: ends, operators, parameters, multiply-accumulates.

Shape letters: H height, W width of the low-resolution frame, in pixels.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crispstream.core.errors import UsageError
from crispstream.core.optional import require

if TYPE_CHECKING:
    import onnx

Shapes = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """The figures `inspect` shows of a graph.

    Attributes:
        inputs: "frame uint8 [1, height, width, 3]" and so on.
        outputs: likewise.
        opset: of the default operator set.
        operators: how often each occurs, most frequent first.
        parameters: numbers in the graph's constants.
        macs: multiply-accumulates of one frame of `size`, None where a shape is not known.
        size: (width, height) `macs` is for, None if the graph does not take frames.
    """

    inputs: list[str]
    outputs: list[str]
    opset: int
    operators: dict[str, int]
    parameters: int
    macs: int | None
    size: tuple[int, int] | None


def graph_facts(onnx_bytes: bytes, size: tuple[int, int]) -> GraphFacts:
    """Read a graph; `size` (width, height) fills in what its input leaves free.

    Raises:
        UsageError: if the bytes are not an ONNX graph.
        MissingExtraError: if onnx is not installed.
    """
    require("onnx", "export")
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(onnx_bytes)
    except DecodeError as error:
        raise UsageError(f"the file is not an ONNX graph ({error}); export it again") from error
    if not model.graph.node:
        raise UsageError("the file has no ONNX graph in it; export it again")
    counted = Counter(node.op_type for node in model.graph.node)
    ends = [_written(value) for value in (*model.graph.input, *model.graph.output)]
    used = _fill_free_sides(model, size)
    return GraphFacts(
        inputs=ends[: len(model.graph.input)],
        outputs=ends[len(model.graph.input) :],
        opset=max(
            (o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0
        ),
        operators=dict(counted.most_common()),
        parameters=sum(math.prod(constant.dims) for constant in model.graph.initializer),
        macs=_macs(model),
        size=used,
    )


def _written(value: "onnx.ValueInfoProto") -> str:
    import onnx

    tensor = value.type.tensor_type
    sides = [side.dim_param or str(side.dim_value) for side in tensor.shape.dim]
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    return f"{value.name} {kind} [{', '.join(sides)}]"


def _fill_free_sides(model: "onnx.ModelProto", size: tuple[int, int]) -> tuple[int, int] | None:
    """Make the frame's sides numbers, forget those of the outputs; return (width, height)."""
    frame = model.graph.input[0].type.tensor_type.shape.dim if model.graph.input else []
    if len(frame) != 4 or frame[3].dim_value != 3:
        return None
    for side, pixels in ((frame[1], size[1]), (frame[2], size[0])):
        if not side.dim_value:
            side.dim_value = pixels
    for value in (*model.graph.output, *model.graph.value_info):
        value.type.tensor_type.ClearField("shape")
    return frame[2].dim_value, frame[1].dim_value


def _macs(model: "onnx.ModelProto") -> int | None:
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: Shapes = {constant.name: list(constant.dims) for constant in inferred.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        sides = value.type.tensor_type.shape.dim
        if sides and all(side.HasField("dim_value") for side in sides):
            shapes[value.name] = [side.dim_value for side in sides]
    try:
        return sum(_node_macs(node, shapes) for node in inferred.node)
    except KeyError:  # a shape that inference could not find
        return None


def _node_macs(node: "onnx.NodeProto", shapes: Shapes) -> int:
    """Multiply-accumulates of one node; 0 for what has no weights to multiply."""
    if node.op_type == "Conv":  # weight [out, in / groups, kh, kw]
        return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":  # weight [in, out / groups, kh, kw]
        return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "MatMul":
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]
    return 0
