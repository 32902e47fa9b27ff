"""What a graph asks of a device, layer by layer: work and bytes. Read at export or calibration.

A bundle carries it as `layers.json`, since the runtime reads no ONNX. Sizes are formulas of the
frame, for one graph serves many: H and W are the height and width of the frame that the graph
takes, in px, after padding.
"""

import json
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
"""A side of a tensor: a number, or a share of the frame's: "H", "W/2", "4*H"."""


@dataclass(frozen=True)
class Tensor:
    """A tensor between layers."""

    name: str
    shape: tuple[Dim, ...]
    type: str
    """As NumPy calls it: float32, float16, uint8, int8, int32 ..."""


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
    weight_bytes: int
    """Of the constants it reads."""


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
                "update it: pip install -U crispstream"
            )
        graphs = content["graphs"].items()
        return {key: GraphLayers(key, tuple(map(_layer, rows))) for key, rows in graphs}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
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

    >>> side("4*H", 320, 180), side("W/2", 320, 180), side(48, 320, 180)
    (720, 160, 48)

    Raises:
        ValueError: if it is no formula of this module's, or not whole for that size.
    """
    if isinstance(dim, int):
        return dim
    times, _, rest = dim.rpartition("*")
    axis, _, divisor = rest.partition("/")
    if axis not in ("H", "W"):
        raise ValueError(f"'{dim}' is no side of a tensor; expected a number, H, W/2 or 4*H")
    exact = Fraction(int(times or 1), int(divisor or 1)) * (height if axis == "H" else width)
    if exact.denominator != 1:
        raise ValueError(f"{dim} is not whole for a frame of {width}x{height} px")
    return int(exact)


def _bytes(tensors: Sequence[Tensor], width: int, height: int) -> int:
    return sum(prod(_sides(tensor, width, height)) * ITEM_BYTES[tensor.type] for tensor in tensors)


def _sides(tensor: Tensor, width: int, height: int) -> tuple[int, ...]:
    return tuple(side(dim, width, height) for dim in tensor.shape)


ITEM_BYTES = {
    "bool": 1, "int8": 1, "uint8": 1, "float16": 2, "float32": 4, "int32": 4, "float64": 8,
    "int64": 8,
}  # fmt: skip


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
        macs=layer.macs_per_output * prod(shape),
        read_bytes=_bytes(layer.reads, width, height),
        written_bytes=_bytes(layer.writes, width, height),
        weight_bytes=layer.weight_bytes,
        shape=shape,
    )
