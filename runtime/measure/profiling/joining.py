"""Which nodes of a graph a layer of an engine computes.

An engine fuses nodes, splits them, and adds layers of its own. What its names tell is claimed
first; what nobody claims goes to whom it must have been fused into, by the flow of the tensors,
and what is left then by its place. So every node belongs to one layer, and work is counted once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from crispstream.core.layers import Layer

_DEQUANTISE = "DequantizeLinear"


@dataclass(frozen=True)
class Claim:
    """What is known of one layer of an engine."""

    op: str = ""
    """The engine's operator."""
    sure: tuple[str, ...] = ()
    """Nodes that its name names."""
    likely: tuple[str, ...] = ()
    """Nodes that it has to do with, and perhaps other layers too."""
    takes_before: bool = False
    """Whether nodes that lead to its own may be fused into it."""
    takes_after: bool = False
    """Whether nodes that follow its own may be fused into it."""
    is_added: bool = False
    """Whether it is a reorder, a copy or the like, of which the graph has nothing."""


def join(claims: Sequence[Claim], layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """Return the nodes of each layer of an engine, in the graph's order.

    Args:
        claims: of the engine's layers, in order of execution.
        layers: of the graph, in order of execution; no two have one name.
    """
    flow = _Flow(layers)
    for number, node in _claimed(claims):
        flow.claim(node, number)
    flow.fuse_forward([claim.takes_after for claim in claims])
    flow.fuse_backward([claim.takes_before for claim in claims])
    flow.fill_gaps(claims)
    anybody = [True] * len(claims)  # the rest was folded away, or fused without a word
    flow.fuse_forward(anybody)
    flow.fuse_backward(anybody)
    return [flow.nodes_of(number) for number in range(len(claims))]


def _claimed(claims: Sequence[Claim]) -> Iterator[tuple[int, str]]:
    """Yield (layer, node), the surest first: of kernels that share a node, the one named by it."""
    numbered = list(enumerate(claims))
    for number, claim in numbered:
        yield from ((number, node) for node in claim.sure)
    for named in (True, False):
        for number, claim in numbered:
            if bool(claim.sure) == named:
                yield from ((number, node) for node in claim.likely)


class _Flow:
    """The nodes of a graph, who owns them, and what flows between them."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._known = {layer.name for layer in layers}
        self._owners: dict[str, int] = {}
        self._maker = {tensor.name: layer.name for layer in layers for tensor in layer.writes}
        self._readers: dict[str, list[str]] = {}
        for layer in layers:
            for tensor in layer.reads:
                self._readers.setdefault(tensor.name, []).append(layer.name)

    def claim(self, node: str, number: int) -> None:
        """Give a node to a layer of the engine, unless it is another's or no node."""
        if node in self._known:
            self._owners.setdefault(node, number)

    def nodes_of(self, number: int) -> tuple[str, ...]:
        """Return what a layer of the engine owns."""
        names = (layer.name for layer in self._layers)
        return tuple(name for name in names if self._owners.get(name) == number)

    def fuse_forward(self, takes: Sequence[bool]) -> None:
        """Give what nobody owns to who makes what it reads: a Relu to its convolution.

        What dequantises goes to its reader: between layers lies the small integer.
        """
        for layer in self._layers:
            if layer.name not in self._owners and layer.op != _DEQUANTISE:
                makers = (self._maker.get(tensor.name, "") for tensor in layer.reads)
                # The last to run: only then is all of it there.
                self._give(layer.name, makers, takes, max)

    def fuse_backward(self, takes: Sequence[bool]) -> None:
        """Give what nobody owns to who reads what it makes."""
        for layer in reversed(self._layers):
            if layer.name not in self._owners:
                made = (tensor.name for tensor in layer.writes)
                readers = (reader for name in made for reader in self._readers.get(name, ()))
                self._give(layer.name, readers, takes, min)

    def _give(
        self,
        node: str,
        neighbours: Iterable[str],
        takes: Sequence[bool],
        choose: Callable[[list[int]], int],
    ) -> None:
        owners = [self._owners[name] for name in neighbours if name in self._owners]
        if takers := [number for number in owners if takes[number]]:
            self._owners[node] = choose(takers)

    def fill_gaps(self, claims: Sequence[Claim]) -> None:
        """Give what nobody owns to the layers without nodes that run where it lies."""
        taken = set(self._owners.values())
        begin = 0
        for is_owned, group in groupby(self._layers, key=lambda one: one.name in self._owners):
            run = list(group)
            if is_owned:
                begin = self._owners[run[-1].name] + 1
                continue
            gap = range(begin, self._owner_after(run[-1], len(claims)))
            free = [n for n in gap if n not in taken and not claims[n].is_added]
            self._owners.update(_matched(run, free, claims))

    def _owner_after(self, layer: Layer, none: int) -> int:
        following = self._layers[self._layers.index(layer) + 1 :][:1]
        return self._owners[following[0].name] if following else none


def _matched(
    run: Sequence[Layer], free: Sequence[int], claims: Sequence[Claim]
) -> Iterator[tuple[str, int]]:
    """Yield pairs of nodes and layers: of one operator where there are, else spread in order."""
    left, unmatched = list(free), []
    for layer in run:
        number = next((n for n in left if claims[n].op == layer.op), None)
        if number is None:
            unmatched.append(layer.name)
        else:
            left.remove(number)
            yield layer.name, number
    for place, name in enumerate(unmatched if left else ()):
        yield name, left[place * len(left) // len(unmatched)]
