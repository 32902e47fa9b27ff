"""What an ONNX graph is made of: ends, operators, parameters, multiply-accumulates."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crispstream.core.errors import BundleError, UsageError
from crispstream.core.graph_layers import graph_layers
from crispstream.core.layers import sized
from crispstream.core.optional import require
from crispstream.core.sizes import Size

if TYPE_CHECKING:
    import onnx


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
    size: Size | None


def graph_facts(onnx_bytes: bytes, size: Size) -> GraphFacts:
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
    return GraphFacts(
        inputs=ends[: len(model.graph.input)],
        outputs=ends[len(model.graph.input) :],
        opset=max(
            (o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0
        ),
        operators=dict(counted.most_common()),
        parameters=sum(math.prod(constant.dims) for constant in model.graph.initializer),
        macs=_macs(onnx_bytes, size),
        size=_frame_size(model, size),
    )


def _written(value: "onnx.ValueInfoProto") -> str:
    import onnx

    tensor = value.type.tensor_type
    sides = [side.dim_param or str(side.dim_value) for side in tensor.shape.dim]
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    return f"{value.name} {kind} [{', '.join(sides)}]"


def _frame_size(model: "onnx.ModelProto", size: Size) -> Size | None:
    """Return (width, height) of the graph's frames, `size` where it leaves them free."""
    frame = model.graph.input[0].type.tensor_type.shape.dim if model.graph.input else []
    if len(frame) != 4 or frame[3].dim_value != 3:
        return None
    return frame[2].dim_value or size[0], frame[1].dim_value or size[1]


def _macs(onnx_bytes: bytes, size: Size) -> int | None:
    import onnx

    infer = onnx.shape_inference.infer_shapes
    try:
        read = graph_layers(onnx_bytes, onnx.load_model_from_string, infer, size=size)
    except BundleError:  # a shape that inference could not find
        return None
    return sum(sized(layer, *size).macs for layer in read.layers)
