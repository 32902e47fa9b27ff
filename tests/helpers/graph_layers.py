"""Layers of graphs, written down by hand."""

from crispstream.core.layers import Dim, GraphLayers, Layer, Tensor

FULL: tuple[Dim, Dim] = ("H", "W")


def tensor(
    name: str, channels: int, kind: str = "float16", sides: tuple[Dim, Dim] = FULL
) -> Tensor:
    return Tensor(name, (1, channels, *sides), kind)


def layer(
    op: str,
    reads: list[Tensor],
    writes: Tensor,
    precision: str = "fp16",
    macs_per_output: int = 0,
    weight_bytes: int = 0,
) -> Layer:
    """A layer named after what it writes."""
    return Layer(writes.name, op, precision, macs_per_output, tuple(reads), (writes,), weight_bytes)


def graph(*layers: Layer) -> GraphLayers:
    return GraphLayers("ab" * 32, layers)


def residual() -> GraphLayers:
    """Cast, a convolution with ReLU, one that adds what it began with, a shuffle to bytes.

    For frames of 8x4 px: 32 pixels.
    """
    frame = Tensor("frame", (1, "H", "W", 3), "uint8")
    floats = Tensor("floats", (1, "H", "W", 3), "float16")
    planes, first, relu = tensor("planes", 3), tensor("first", 48), tensor("relu", 48)
    second, added = tensor("second", 48), tensor("added", 48)
    large = tensor("large", 3, sides=("4*H", "4*W"))
    restored = Tensor("restored", (1, 3, "4*H", "4*W"), "uint8")
    return graph(
        layer("Cast", [frame], floats),
        layer("Transpose", [floats], planes),
        layer("Conv", [planes], first, macs_per_output=27, weight_bytes=2592),
        layer("Relu", [first], relu),
        layer("Conv", [relu], second, macs_per_output=432, weight_bytes=41472),
        layer("Add", [second, relu], added),
        layer("DepthToSpace", [added], large),
        layer("Cast", [large], restored),
    )
