"""Changing an ONNX graph: new constants, new nodes, new readers, and what then is left over."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .graph import Array, GraphView, Node


class Rewriter:
    """Collects changes to a copy of a model; `finish` applies them."""

    def __init__(self, view: GraphView) -> None:
        """Begin with a copy of the model of `view`."""
        self.model = onnx.ModelProto()
        self.model.CopyFrom(view.model)
        self._nodes: dict[str, Node] = {node.name: node for node in self.model.graph.node}
        self._added: list[Node] = []
        self._constants: set[str] = set()
        self.made: set[str] = set()
        """Names of the tensors that new nodes make."""

    def node(self, name: str) -> Node:
        """Return a node of the copy, whose inputs may be exchanged."""
        return self._nodes[name]

    def constant(self, name: str, values: Array) -> str:
        """Add a constant, once for each name, and return its name."""
        if name not in self._constants:
            self._constants.add(name)
            tensor = numpy_helper.from_array(np.asarray(values, order="C"), name)
            self.model.graph.initializer.append(tensor)
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str, axis: int | None = None) -> str:
        """Add a node that makes `output`, and return that name; `axis` where the kind has one."""
        node = helper.make_node(kind, inputs, [output], name=output)
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        self._added.append(node)
        self.made.add(output)
        return output

    def rename(self, old: str, new: str) -> None:
        """Call a tensor otherwise wherever a node makes or reads it; outputs of the graph stay."""
        for node in (*self._nodes.values(), *self._added):
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == old:
                        names[index] = new

    def finish(self) -> bytes:
        """Return the changed model: nodes in order of execution, nothing that is not read."""
        graph = self.model.graph
        nodes = _in_order([*self._nodes.values(), *self._added], _given(graph))
        outputs = {output.name for output in graph.output}
        nodes = _read(nodes, outputs)
        read = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in read]
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        tensors = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(copies)
        graph.initializer.extend(tensors)
        onnx.checker.check_model(self.model, full_check=True)
        data: bytes = self.model.SerializeToString()
        return data


def _given(graph: onnx.GraphProto) -> set[str]:
    return {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}


def _in_order(nodes: Sequence[Node], given: Iterable[str]) -> list[Node]:
    """Return the nodes so that each comes after those it reads from, else in the order given."""
    there = {"", *given}
    waiting, ordered = list(nodes), []
    while waiting:
        late = []
        for node in waiting:
            if there.issuperset(node.input):
                ordered.append(node)
                there.update(node.output)
            else:
                late.append(node)
        if len(late) == len(waiting):
            raise ValueError(f"the graph has a loop at {late[0].name}")
        waiting = late
    return ordered


def _read(nodes: Sequence[Node], outputs: set[str]) -> list[Node]:
    """Return the nodes that an output needs."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]
