"""What a graph asks of a device, layer by layer: work and bytes. Read at export or calibration.

A bundle carries it as `layers.json`, since the runtime reads no ONNX. Sizes are formulas of the
frame, for one graph serves many: H and W are the height and width of the frame that the graph
takes, in px, after padding.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import prod
from typing import Any

from .errors import BundleError

LAYERS = "layers.json"
"""Where it lies in a bundle."""

SCHEMA = 1

Dim = int | str
"""A side of a tensor: a number, or what it is of the frame's: "H", "W/2", "4*H", "H+2"."""

PRECISIONS = ("fp32", "fp16", "int8", "other")
"""What a layer can compute in."""

ITEM_BYTES = {
    "bool": 1, "int8": 1, "uint8": 1, "float16": 2, "float32": 4, "int32": 4, "float64": 8,
    "int64": 8,
}  # fmt: skip
"""Bytes of an element, by the type's name in NumPy."""

_FORMULA = re.compile(r"(?:(\d+)\*)?([HW])(?:/([1-9]\d*))?([+-]\d+)?")


@dataclass(frozen=True)
class Tensor:
    """A tensor between layers."""

    name: str
    shape: tuple[Dim, ...]
    type: str
    """A key of `ITEM_BYTES`."""

    def __post_init__(self) -> None:
        """Refuse what has no number of bytes."""
        if self.type not in ITEM_BYTES:
            raise ValueError(f"'{self.name}' is of type '{self.type}', not {', '.join(ITEM_BYTES)}")
        for dim in self.shape:
            side(dim, 0, 0)


@dataclass(frozen=True)
class Layer:
    """One node of a graph that does something for each frame."""

    name: str
    """Of the ONNX node, which engines keep in some form."""
    op: str
    """The ONNX operator: Conv, Relu, Add ..."""
    precision: str
    """What it computes in: fp32, fp16, int8, or other for integers that are no quantised values."""
    macs_per_output: int
    """Multiply-accumulates for each element of its first output; 0 for all but convolutions and
    matrix products."""
    reads: tuple[Tensor, ...]
    """What changes with the frame."""
    writes: tuple[Tensor, ...]
    """At least one."""
    weight_bytes: int
    """Of the constants it reads, as the file holds them: an int8 weight is one byte, though a
    DequantizeLinear stands between."""
    macs_per_input: int = 0
    """Multiply-accumulates for each element of what it reads first. Only a transposed convolution
    counts so: for each element that it writes the number need not be whole."""

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        counts = (self.macs_per_output, self.macs_per_input, self.weight_bytes)
        if not all(isinstance(count, int) and count >= 0 for count in counts):
            raise ValueError(f"'{self.name}' has counts {counts}, expected numbers from 0 up")
        if self.precision not in PRECISIONS:
            raise ValueError(f"'{self.name}' computes in '{self.precision}'")
        if not self.writes or (self.macs_per_input and not self.reads):
            raise ValueError(f"'{self.name}' writes nothing, or reads nothing that it multiplies")


@dataclass(frozen=True)
class GraphLayers:
    """The layers of one graph, in order of execution."""

    graph_sha256: str
    layers: tuple[Layer, ...]


def layers_json(graphs: Sequence[GraphLayers]) -> bytes:
    """Return layers.json for the graphs of a bundle."""
    content = {graph.graph_sha256: [asdict(layer) for layer in graph.layers] for graph in graphs}
    return (json.dumps({"schema": SCHEMA, "graphs": content}) + "\n").encode()


def parse_layers(data: bytes) -> dict[str, GraphLayers]:
    """Return what `layers_json` wrote, by the hash of the graph.

    Raises:
        BundleError: if it is something else, or of a newer kit.
    """
    try:
        content = json.loads(data)
        if content["schema"] > SCHEMA:
            raise BundleError(
                f"{LAYERS} has schema {content['schema']}, this kit reads up to {SCHEMA}; "
                "update the kit"
            )
        graphs = content["graphs"].items()
        return {key: GraphLayers(key, tuple(map(_layer, rows))) for key, rows in graphs}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise BundleError(f"{LAYERS} is malformed ({error}); copy the bundle again") from error


def _layer(row: Mapping[str, Any]) -> Layer:
    return Layer(**{**row, "reads": _tensors(row["reads"]), "writes": _tensors(row["writes"])})


def _tensors(rows: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(row["name"], tuple(row["shape"]), row["type"]) for row in rows)


@dataclass(frozen=True)
class SizedLayer:
    """A layer at one frame size."""

    name: str
    op: str
    precision: str
    macs: int
    read_bytes: int
    """Activations read, each once."""
    written_bytes: int
    weight_bytes: int
    shape: tuple[int, ...]
    """Of the first output."""


def side(dim: Dim, width: int, height: int) -> int:
    """Return a side of a tensor for frames of a size in px.

    >>> side("4*H", 320, 180), side("W/2", 320, 180), side("H+2", 320, 180), side(48, 320, 180)
    (720, 160, 182, 48)

    Raises:
        ValueError: if it is no formula of this module's, or not whole for that size.
    """
    if isinstance(dim, int):
        return dim
    found = _FORMULA.fullmatch(dim)
    if found is None:
        raise ValueError(f"'{dim}' is no side of a tensor; expected a number, H, W/2, 4*H or H+2")
    times, axis, divisor, more = found.groups()
    share = Fraction(int(times or 1), int(divisor or 1)) * (height if axis == "H" else width)
    if share.denominator != 1:
        raise ValueError(f"{dim} is not whole for a frame of {width}x{height} px")
    return int(share) + int(more or 0)


def _bytes(tensors: Sequence[Tensor], width: int, height: int) -> int:
    return sum(prod(_sides(tensor, width, height)) * ITEM_BYTES[tensor.type] for tensor in tensors)


def _sides(tensor: Tensor, width: int, height: int) -> tuple[int, ...]:
    return tuple(side(dim, width, height) for dim in tensor.shape)


def sized(layer: Layer, width: int, height: int) -> SizedLayer:
    """Return a layer for frames of a size in px, after padding.

    Raises:
        ValueError: if the graph cannot take that size.
    """
    shape = _sides(layer.writes[0], width, height)
    return SizedLayer(
        name=layer.name,
        op=layer.op,
        precision=layer.precision,
        macs=layer.macs_per_output * prod(shape) + _input_macs(layer, width, height),
        read_bytes=_bytes(layer.reads, width, height),
        written_bytes=_bytes(layer.writes, width, height),
        weight_bytes=layer.weight_bytes,
        shape=shape,
    )


def _input_macs(layer: Layer, width: int, height: int) -> int:
    if not layer.macs_per_input:
        return 0
    return layer.macs_per_input * prod(_sides(layer.reads[0], width, height))
