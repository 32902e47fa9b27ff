"""From ONNX files to their layers.

This module knows what ONNX means and leaves the reading to its caller, who has the onnx package:
it hands over `onnx.load_model_from_string` and `onnx.shape_inference.infer_shapes`.

A graph of free size is looked at with three frame sizes. What is a multiple or a share of one
side of the frame, with a border or without, is so for all three.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple

from .errors import BundleError
from .files import sha256_of
from .layers import ITEM_BYTES, Dim, GraphLayers, Layer, Tensor, layers_json
from .sizes import Size
from .tensors import free_side

Message = Any
"""A message of onnx.proto: ModelProto, GraphProto, NodeProto ..."""

Parse = Callable[[bytes], Message]
"""`onnx.load_model_from_string`."""

Infer = Callable[..., Message]
"""`onnx.shape_inference.infer_shapes`."""

PROBES = ((704, 448), (320, 832), (1088, 1216))
"""Widths and heights in px: multiples of 64, so that halves are whole, with no two alike."""

# TensorProto.DataType of onnx.proto
_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64",
}  # fmt: skip
_FLOATS = {"float16": "fp16", "float32": "fp32"}
_PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
_DEQUANTISE = "DequantizeLinear"


def layers_file(graphs: Iterable[bytes], parse: Parse, infer: Infer) -> bytes:
    """Return layers.json for the ONNX files of a bundle.

    A graph that `graph_layers` cannot read is left out: it can be run and judged all the same.
    """
    found = []
    for data in graphs:
        with suppress(BundleError):
            found.append(graph_layers(data, parse, infer))
    return layers_json(found)


def graph_layers(
    onnx_bytes: bytes, parse: Parse, infer: Infer, *, size: Size | None = None
) -> GraphLayers:
    """Return the layers of an ONNX file.

    A layer is a node that reads what changes with the frame; others are done once, before. With
    `size`, (width, height) in px, a graph of free size is looked at with this one, and all sides
    are numbers.

    Raises:
        BundleError: if a tensor's shape cannot be found, or is no formula of the frame's sides.
    """
    is_static = all(dim.dim_value for dim in _frame_of(parse(onnx_bytes)))
    sizes = PROBES if size is None and not is_static else (size or PROBES[0],)
    models = (_of_size(parse(onnx_bytes), *one) for one in sizes)
    views = [_View(infer(model, data_prop=True).graph) for model in models]
    return GraphLayers(sha256_of(onnx_bytes), tuple(_layers(views, sizes)))


def _frame_of(model: Message) -> Sequence[Message]:
    """Return the sides of the first input, of which nothing need be known."""
    return model.graph.input[0].type.tensor_type.shape.dim if model.graph.input else ()


def _of_size(model: Message, width: int, height: int) -> Message:
    """Return the model for frames [1,H,W,3] of this size, if it has none; other shapes forgotten.

    What the exporter noted of inner shapes holds for the size that it saw, or has names.
    """
    named = dict(
        zip((dim.dim_param for dim in _frame_of(model)[1:3]), (height, width), strict=False)
    )
    for given in model.graph.input:
        for dim in given.type.tensor_type.shape.dim:
            known = None if dim.dim_value else free_side(dim.dim_param, named)
            if known is not None:
                dim.dim_value = known
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


class _Found(NamedTuple):
    """A tensor at one frame size."""

    shape: tuple[int, ...]
    type: str


class _View:
    """A graph at one frame size: what its tensors are, where they come from, and which change."""

    def __init__(self, graph: Message) -> None:
        self.nodes = [node for node in graph.node if node.op_type != "Constant"]
        self.producer = {name: node for node in self.nodes for name in node.output}
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._values = {one.name: one for one in (*graph.input, *graph.value_info, *graph.output)}
        self.changing = {one.name for one in graph.input if one.name not in self._stored}
        for node in self.nodes:  # a frame's size stays as it is, so nothing behind Shape changes
            if node.op_type not in ("Shape", "Size") and not self.changing.isdisjoint(node.input):
                self.changing.update(node.output)

    def found(self, name: str) -> _Found:
        """Return shape and type of a tensor.

        Raises:
            BundleError: if they are not known.
        """
        if (stored := self._stored.get(name)) is not None:
            return _Found(tuple(stored.dims), _type(name, stored.data_type))
        value = self._values.get(name)
        told = None if value is None else value.type.tensor_type
        if told is None or not told.HasField("shape") or not _known(told.shape.dim):
            raise BundleError(
                f"the shape of '{name}' in the graph cannot be found, so its layers cannot be "
                "counted; export the network again where onnxsim works"
            )
        return _Found(tuple(dim.dim_value for dim in told.shape.dim), _type(name, told.elem_type))

    def held_bytes(self, name: str) -> int:
        """Return the bytes of a constant as the file holds it, with the scales of int8 weights."""
        node = self.producer.get(name)
        if node is not None and node.op_type == _DEQUANTISE:
            return sum(self.held_bytes(one) for one in node.input if one)
        shape, kind = self.found(name)
        return prod(shape) * ITEM_BYTES[kind]


def _known(dims: Sequence[Message]) -> bool:
    return all(dim.HasField("dim_value") for dim in dims)


def _type(name: str, number: int) -> str:
    if number not in _TYPES:
        raise BundleError(
            f"'{name}' in the graph is of ONNX type {number}, which is none that this kit counts; "
            "export the network again with this kit"
        )
    return _TYPES[number]


def _layers(views: Sequence[_View], sizes: Sequence[Size]) -> Iterator[Layer]:
    view = views[0]

    def tensors(names: Sequence[str]) -> tuple[Tensor, ...]:
        return tuple(_tensor(name, [one.found(name) for one in views], sizes) for name in names)

    for node in view.nodes:
        reads = [name for name in dict.fromkeys(node.input) if name in view.changing]
        writes = [name for name in node.output if name in view.changing]
        if not reads or not writes:
            continue
        constants = dict.fromkeys(name for name in node.input if name and name not in reads)
        per_output, per_input = _macs(view, node)
        yield Layer(
            name=node.name or node.output[0],
            op=node.op_type,
            precision=_precision(view, node, reads, writes),
            macs_per_output=per_output,
            reads=tensors(reads),
            writes=tensors(writes),
            weight_bytes=sum(map(view.held_bytes, constants)),
            macs_per_input=per_input,
        )


def _tensor(name: str, found: Sequence[_Found], sizes: Sequence[Size]) -> Tensor:
    by_side = zip(*(one.shape for one in found), strict=True)
    return Tensor(name, tuple(_dim(name, ends, sizes) for ends in by_side), found[0].type)


def _dim(name: str, values: Sequence[int], sizes: Sequence[Size]) -> Dim:
    """Return the formula that gives a side of a tensor at each of the sizes."""
    if len(set(values)) == 1:
        return values[0]
    for axis, ends in zip("WH", zip(*sizes, strict=True), strict=True):
        share = Fraction(values[1] - values[0], ends[1] - ends[0])
        border = values[0] - share * ends[0]
        fits = all(share * end + border == value for end, value in zip(ends, values, strict=True))
        if fits and share > 0 and border.denominator == 1:
            return _formula(axis, share, int(border))
    raise BundleError(
        f"a side of '{name}' in the graph is {', '.join(map(str, values))} px long for three sizes "
        "of frames, which is no share of the frame's; export the network for one size"
    )


def _formula(axis: str, share: Fraction, border_px: int) -> str:
    times = f"{share.numerator}*" if share.numerator != 1 else ""
    divisor = f"/{share.denominator}" if share.denominator != 1 else ""
    return f"{times}{axis}{divisor}" + (f"{border_px:+d}" if border_px else "")


def _precision(view: _View, node: Message, reads: Sequence[str], writes: Sequence[str]) -> str:
    """Return what a node computes in: what it writes says it, or else what it reads."""
    makers = [view.producer.get(name) for name in node.input[:2]]
    quantised = all(maker is not None and maker.op_type == _DEQUANTISE for maker in makers)
    if node.op_type in _PRODUCTS and quantised:
        return "int8"
    types = [view.found(name).type for name in (*writes, *reads)]
    floats = [_FLOATS[kind] for kind in types if kind in _FLOATS]
    return floats[0] if floats else "int8" if "int8" in types else "other"


def _macs(view: _View, node: Message) -> tuple[int, int]:
    """Return the multiply-accumulates for each output element and for each input element."""
    if node.op_type == "Conv":  # weight [out, in / groups, kh, kw]
        return prod(view.found(node.input[1]).shape[1:]), 0
    if node.op_type == "ConvTranspose":  # weight [in, out / groups, kh, kw]
        return 0, prod(view.found(node.input[1]).shape[1:])
    if node.op_type == "MatMul":
        return view.found(node.input[0]).shape[-1], 0
    if node.op_type == "Gemm":
        turned = any(one.name == "transA" and one.i for one in node.attribute)
        return view.found(node.input[0]).shape[0 if turned else 1], 0
    return 0, 0
