"""Layers of two engines, joined by the ONNX nodes that they compute.

Engines name layers as they like, and fuse, split and reorder differently from one precision to the
next. What two engines have in common are the nodes. Layers that share nodes, directly or through
others, are one step, whose times are added up on either side. So nothing is left out: the steps of
a side add up to its layers.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from crispstream.runtime.measure.plan.record import PlannedLayer
from crispstream.runtime.measure.plan.roofline import ADDED
from crispstream.runtime.measure.profiling.record import LayerTime

from .record import Row, row

ONLY = "(nodes of {} alone)"
"""Row of the layers whose nodes the other graph does not have."""


class Part(NamedTuple):
    """A layer, as far as it is compared."""

    nodes: tuple[str, ...]
    milliseconds: float
    measured_ms: float | None = None
    """Of a planned layer, from a profile."""


class Joined(NamedTuple):
    """The layers of two engines as steps."""

    rows: list[Row]
    """Steps that both have."""
    rest: list[Row]
    """What makes the sides whole: one row for all layers of a sort that both do not share."""
    only_a: tuple[str, ...]
    """The first node of each step that B lacks."""
    only_b: tuple[str, ...]


class _Step:
    """Layers of both sides that share nodes."""

    def __init__(self) -> None:
        self.a: list[Part] = []
        self.b: list[Part] = []

    @property
    def name(self) -> str:
        """The first node of A that B has too; of one side its first node."""
        names_a, names_b = ([node for part in side for node in part.nodes] for side in self.sides)
        both = [node for node in names_a if node in names_b]
        return (both or names_a or names_b)[0]

    @property
    def sides(self) -> tuple[list[Part], list[Part]]:
        return self.a, self.b


def timed_parts(layers: Iterable[LayerTime]) -> list[Part]:
    """Return the layers of a profile with their medians."""
    return [Part(layer.nodes, layer.spread.median_ms) for layer in layers]


def planned_parts(layers: Iterable[PlannedLayer]) -> list[Part]:
    """Return the layers of a plan with their time at the roof."""
    return [Part(layer.nodes, layer.roof_ms, layer.measured_ms) for layer in layers]


def joined(a: Sequence[Part], b: Sequence[Part]) -> Joined:
    """Join the layers of two engines."""
    steps = _steps(a, b)
    shared = [step for step in steps if step.a and step.b]
    alone_a = [step for step in steps if not step.b]
    alone_b = [step for step in steps if not step.a]
    rest = {
        ADDED: ([part for part in a if not part.nodes], [part for part in b if not part.nodes]),
        ONLY.format("A"): ([part for step in alone_a for part in step.a], []),
        ONLY.format("B"): ([], [part for step in alone_b for part in step.b]),
    }
    return Joined(
        rows=[_row(step.name, step.a, step.b) for step in shared],
        rest=[_row(name, of_a, of_b) for name, (of_a, of_b) in rest.items() if of_a or of_b],
        only_a=tuple(step.name for step in alone_a),
        only_b=tuple(step.name for step in alone_b),
    )


def _steps(a: Sequence[Part], b: Sequence[Part]) -> list[_Step]:
    """Return the steps of all layers that have nodes, in order of execution."""
    above = _above([*a, *b])
    steps: dict[str, _Step] = {}
    for part in a:
        if part.nodes:
            steps.setdefault(_top(above, part.nodes[0]), _Step()).a.append(part)
    for part in b:
        if part.nodes:
            steps.setdefault(_top(above, part.nodes[0]), _Step()).b.append(part)
    return list(steps.values())


def _above(parts: Sequence[Part]) -> dict[str, str]:
    """Return node -> another of its step, up to one that stands for all of them: itself."""
    above: dict[str, str] = {}
    for part in parts:
        for node in part.nodes:
            above[_top(above, node)] = _top(above, part.nodes[0])
    return above


def _top(above: Mapping[str, str], node: str) -> str:
    while (higher := above.get(node, node)) != node:
        node = higher
    return node


def _row(name: str, a: Sequence[Part], b: Sequence[Part]) -> Row:
    a_ms, b_ms = (sum(part.milliseconds for part in side) for side in (a, b))
    measured_ms = _measured_ms(a), _measured_ms(b)
    if measured_ms[0] is None or measured_ms[1] is None:
        return row(name, a_ms, b_ms)
    return row(name, a_ms, b_ms, figures={"measured_ms": (measured_ms[0], measured_ms[1])})


def _measured_ms(parts: Sequence[Part]) -> float | None:
    """Return what a profile told of layers together; None where it lacks one of them."""
    told = [part.measured_ms for part in parts if part.measured_ms is not None]
    return sum(told) if len(told) == len(parts) else None
