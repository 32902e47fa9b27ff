"""From timed layers of an engine to `LayerTime`: joined to the graph, with work and bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crispstream.core.layers import GraphLayers, Layer, sized
from crispstream.core.tensors import RESTORED, STATE_OUT
from crispstream.runtime.measure.figures import Spread

from .joining import Claim, join
from .record import LayerTime

_OUTPUTS = (RESTORED, STATE_OUT)
"""How names of tensors begin that the graph gives away, whether or not a layer reads them too."""


@dataclass(frozen=True)
class TimedLayer:
    """A layer of an engine, as the engine tells of it."""

    name: str
    op: str
    precision: str
    """"" where the engine does not tell."""
    shape: tuple[int, ...]
    """Of its output; () where the engine does not tell."""
    moved_bytes: int | None
    """Activations that it reads and writes; None where the engine does not tell."""
    claim: Claim
    spread: Spread


def layer_times(
    timed: Sequence[TimedLayer], graph: GraphLayers, width: int, height: int
) -> tuple[LayerTime, ...]:
    """Join the layers of an engine to those of the graph it was made of.

    Args:
        timed: in order of execution.
        graph: what the engine computes.
        width: of the frames that were timed, px after padding.
        height: likewise.
    """
    joined = join([layer.claim for layer in timed], graph.layers)
    by_name = {layer.name: layer for layer in graph.layers}
    total_ms = sum(layer.spread.median_ms for layer in timed)
    return tuple(
        LayerTime(
            name=layer.name,
            nodes=nodes,
            op=layer.op,
            precision=layer.precision,
            shape=layer.shape,
            spread=layer.spread,
            share=layer.spread.median_ms / total_ms if total_ms else 0.0,
            macs=sum(sized(by_name[node], width, height).macs for node in nodes),
            bytes=_bytes(layer, [by_name[node] for node in nodes], graph, width, height),
        )
        for layer, nodes in zip(timed, joined, strict=True)
    )


def _bytes(
    timed: TimedLayer, nodes: Sequence[Layer], graph: GraphLayers, width: int, height: int
) -> int:
    """Return the engine's own figure with the weights, or else what crosses the nodes' border."""
    weights = sum(node.weight_bytes for node in nodes)
    if timed.moved_bytes is not None:
        return timed.moved_bytes + weights
    return weights + (_border_bytes(nodes, graph, width, height) if nodes else 0)


def _border_bytes(nodes: Sequence[Layer], graph: GraphLayers, width: int, height: int) -> int:
    """Return the bytes of what nodes read of others and write for others: the rest is fused."""
    inside = {node.name for node in nodes}
    made = {tensor.name: tensor for node in nodes for tensor in node.writes}
    needed = {tensor.name: tensor for node in nodes for tensor in node.reads}
    read_inside = set(needed)
    read_outside = {
        tensor.name for layer in graph.layers if layer.name not in inside for tensor in layer.reads
    }
    border = replace(
        nodes[0],
        macs_per_input=0,
        reads=tuple(tensor for name, tensor in needed.items() if name not in made),
        writes=tuple(
            tensor
            for name, tensor in made.items()
            if name in read_outside or name not in read_inside or name.startswith(_OUTPUTS)
        ),
    )
    there = sized(border, width, height)
    return there.read_bytes + there.written_bytes
