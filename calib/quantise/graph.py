"""A look at an ONNX graph: who makes a tensor, who reads it, what is constant.

Shape letters: B batch, C channels, H height, W width.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy.typing as npt
import onnx
from onnx import numpy_helper

from crispstream.core.errors import UsageError
from crispstream.core.tensors import FRAME, STATE_IN, STATE_OUT, free_side

Array = npt.NDArray[Any]
Node = onnx.NodeProto

FLOAT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)

_CONSTANT = "Constant"


class GraphView:
    """A model and the maps that finding one's way in it takes. Changing the model makes it stale.

    Attributes:
        model: the parsed ONNX model.
        nodes: its nodes in order of execution, constants left out.
        constants: name -> values, of initializers and of Constant nodes alike.
        state_inputs: names of the inputs that a recurrent network carries from frame to frame.
    """

    def __init__(self, onnx_bytes: bytes) -> None:
        """Parse a model.

        Raises:
            UsageError: if it takes frames in batches other than 1, or other inputs.
        """
        self.model = onnx.load_model_from_string(onnx_bytes)
        graph = self.model.graph
        inputs = [value.name for value in graph.input]
        self.state_inputs = tuple(name for name in inputs if name.startswith(STATE_IN))
        self.constants = dict(_constants(graph))
        for node in graph.node:  # an exporter keeps equal weights once, and names them through this
            if node.op_type == "Identity" and node.input[0] in self.constants:
                self.constants[node.output[0]] = self.constants[node.input[0]]
        self.nodes = [node for node in graph.node if node.op_type != _CONSTANT]
        self._producer = {name: node for node in self.nodes for name in node.output}
        self._readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                self._readers.setdefault(name, []).append(node)
        _check_inputs(graph)

    def producer(self, tensor: str) -> Node | None:
        """Return the node that makes a tensor, None for inputs and constants."""
        return self._producer.get(tensor)

    def readers(self, tensor: str) -> list[Node]:
        """Return the nodes that read a tensor, in order of execution."""
        return self._readers.get(tensor, [])

    def state_outputs(self) -> tuple[str, ...]:
        """Return what becomes each of `state_inputs` in the next frame, in their order."""
        names = (name.removeprefix(STATE_IN) for name in self.state_inputs)
        return tuple(f"{STATE_OUT}{name}" for name in names)

    def data_inputs(self, node: Node) -> list[str]:
        """Return the inputs of a node that change with the frame."""
        return [name for name in node.input if name and name not in self.constants]

    def convolutions(self) -> list[Node]:
        """Return the convolutions with constant weights, in order of execution."""
        return [n for n in self.nodes if n.op_type == "Conv" and n.input[1] in self.constants]

    def tensor_types(self) -> Mapping[str, int]:
        """Return the element type of each tensor that a node makes, by ONNX's own inference."""
        inferred = onnx.shape_inference.infer_shapes(self.model, strict_mode=False)
        told = (*inferred.graph.value_info, *inferred.graph.output)
        return {value.name: value.type.tensor_type.elem_type for value in told}

    def float_tensors(self) -> list[str]:
        """Return the floating-point tensors that nodes make, in order of execution."""
        types = self.tensor_types()
        made = (name for node in self.nodes for name in node.output if name)
        return [name for name in made if types.get(name) in FLOAT_TYPES]

    def shapes(self, width: int, height: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor for a frame of this size, where ONNX can infer it."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        _set_size(model.graph, width, height)
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=False).graph
        told = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.value_info, *graph.output)
        }
        return {name: shape for name, shape in told.items() if all(shape)}

    def input_size(self) -> tuple[int, int] | None:
        """Return (width, height) of the frames a static graph takes, None where they are free."""
        dims = self.model.graph.input[0].type.tensor_type.shape.dim
        height, width = dims[1].dim_value, dims[2].dim_value
        return (width, height) if width and height else None


def _set_size(graph: onnx.GraphProto, width: int, height: int) -> None:
    """Give the frame this size and the states theirs; what was said of outputs is forgotten."""
    frame = graph.input[0].type.tensor_type.shape.dim
    sides = {frame[1].dim_param: height, frame[2].dim_param: width}
    frame[1].dim_value, frame[2].dim_value = height, width
    for value in graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param and (known := free_side(dim.dim_param, sides)):
                dim.dim_value = known
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, Array]]:
    for tensor in graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == _CONSTANT and node.attribute and node.attribute[0].name == "value":
            yield node.output[0], numpy_helper.to_array(node.attribute[0].t)


def _check_inputs(graph: onnx.GraphProto) -> None:
    names = [value.name for value in graph.input]
    others = [name for name in names[1:] if not name.startswith(STATE_IN)]
    if names[:1] != [FRAME] or others:
        raise UsageError(
            f"the graph's inputs are {names}, expected '{FRAME}' and, of a recurrent network, "
            f"{STATE_IN}NAME; calibrate a bundle that was made by: crispstream export"
        )
    dims = graph.input[0].type.tensor_type.shape.dim
    if len(dims) != 4 or dims[0].dim_value != 1:
        seen = [dim.dim_value or dim.dim_param for dim in dims]
        raise UsageError(
            f"the graph takes frames of shape {seen}, expected [1, H, W, 3]: calibration works on "
            "one frame at a time; export the network again with: crispstream export"
        )
