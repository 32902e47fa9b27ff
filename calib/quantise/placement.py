"""Which convolutions compute in INT8: roles, the default choice, and the plan as a file.

By default the first and the last convolution, and those that feed a product of two activations
(gates), stay in floating point: little work, and where errors show most. Transposed convolutions,
shuffles and the final add always do: TensorRT has no INT8 kernel for them that pays. What reads or
makes the state of a recurrent network is neither first nor last.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crispstream.core.errors import UsageError
from crispstream.core.int8 import FLAVOURS
from crispstream.core.registry import did_you_mean
from crispstream.core.tensors import FRAME, RESTORED

from .graph import GraphView, Node

SCHEMA = 1
KIND = "quantisation plan"
USUAL = "usual"
"""Role of a convolution that is quantised by default; the others stay in floating point."""

_POINTWISE = frozenset({"Relu", "LeakyRelu", "PRelu", "Sigmoid", "HardSigmoid", "Tanh", "Cast"})


@dataclass(frozen=True)
class Layer:
    """A convolution that may be quantised."""

    name: str
    """Name of its node."""
    input: str
    """Tensor it convolves, in the fp32 graph."""
    role: str
    """usual, first, last or gate."""


@dataclass(frozen=True)
class Plan:
    """Which layers are INT8 in each flavour."""

    layers: Mapping[str, str]
    """Every convolution that may be quantised -> its input tensor in the fp32 graph."""
    chosen: Mapping[str, tuple[str, ...]]
    """Flavour -> names of the layers that are INT8, in order of execution."""


def layers_of(view: GraphView) -> list[Layer]:
    """Return the convolutions that may be quantised, in order of execution.

    What reads nothing but the frame and ends in the picture without passing another convolution,
    as the interpolated base does, is no part of the network and not among them.
    """
    convolutions = view.convolutions()
    _check_unique(convolutions)
    after = _behind_a_convolution(view)
    before = _before_a_convolution(view)
    layers = []
    for node in convolutions:
        first, last = node.name not in after, node.name not in before
        if first and last:
            continue
        role = "first" if first else "last" if last else USUAL
        if role == USUAL and _feeds_product(view, node):
            role = "gate"
        layers.append(Layer(node.name, node.input[0], role))
    return layers


def _check_unique(convolutions: Sequence[Node]) -> None:
    names = {node.name for node in convolutions}
    if "" in names or len(names) < len(convolutions):
        raise UsageError(
            "convolutions of the graph have no names, or the same ones, so a plan cannot tell them "
            "apart; export the network with: crispstream export"
        )


def default_plan(view: GraphView) -> Plan:
    """Return the plan that quantises the usual layers in both flavours.

    Raises:
        UsageError: if the graph has none.
    """
    layers = layers_of(view)
    usual = tuple(layer.name for layer in layers if layer.role == USUAL)
    if not usual:
        raise UsageError(
            "the graph has no convolution between its first and its last one, so INT8 has nothing "
            "to gain; use it in fp16"
        )
    return plan_of(layers, dict.fromkeys(FLAVOURS, usual))


def plan_of(layers: Sequence[Layer], chosen: Mapping[str, Collection[str]]) -> Plan:
    """Return a plan of these layers, the chosen ones in order of execution."""
    ordered = {
        flavour: tuple(layer.name for layer in layers if layer.name in names)
        for flavour, names in chosen.items()
    }
    return Plan({layer.name: layer.input for layer in layers}, ordered)


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Return the content of plan.json."""
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "graphs": {flavour: {"layers": list(names)} for flavour, names in plan.chosen.items()},
        "layers": {name: {"input": tensor} for name, tensor in plan.layers.items()},
    }


def read_plan(path: Path, view: GraphView) -> Plan:
    """Read plan.json and check it against the graph that it is for.

    Raises:
        UsageError: if the file is missing or no plan, or names a layer that the graph lacks.
    """
    content = read_json(path, KIND, "calibration/plan.json of a calibrated bundle")
    layers = layers_of(view)
    try:
        chosen = {str(f): tuple(map(str, g["layers"])) for f, g in content["graphs"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"'{path}' is no quantisation plan ({error!r}); make it again") from error
    if unknown := sorted(set(chosen) - set(FLAVOURS)):
        raise UsageError(
            f"'{path}' plans a graph '{unknown[0]}'; expected {' and '.join(FLAVOURS)}"
        )
    _check_names(path, {name for names in chosen.values() for name in names}, layers)
    _check_whole(path, chosen, content.get("layers"), layers)
    return plan_of(layers, {flavour: chosen.get(flavour, ()) for flavour in FLAVOURS})


def _check_whole(
    path: Path, chosen: Mapping[str, Sequence[str]], told: object, layers: Sequence[Layer]
) -> None:
    for flavour in FLAVOURS:
        if not chosen.get(flavour):
            raise UsageError(
                f"'{path}' has no layer for {flavour}, and a graph without any gains nothing; name "
                "at least one in each graph"
            )
    if isinstance(told, Mapping) and set(told) != {layer.name for layer in layers}:
        raise UsageError(
            f"'{path}' is the plan of another network: it lists {len(told)} layers and this graph "
            f"has {len(layers)}, not all the same; use the plan of a bundle of this network"
        )


def _check_names(path: Path, names: Iterable[str], layers: Sequence[Layer]) -> None:
    known = [layer.name for layer in layers]
    for name in sorted(names):
        if name not in known:
            raise UsageError(
                f"'{path}' names a layer '{name}' that the graph does not have; "
                f"{did_you_mean(name, known)}its layers are {', '.join(known)}"
            )


def read_json(path: Path, kind: str, example: str) -> dict[str, Any]:
    """Return the content of a JSON file of this kind.

    Raises:
        UsageError: if it is missing, of another kind or of a newer kit.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read ({error.strerror}); give {example}") from error
    except ValueError as error:
        raise UsageError(f"'{path}' is not JSON ({error}); give {example}") from error
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise UsageError(f"'{path}' is not a file of the kind '{kind}'; give {example}")
    if content.get("schema") != SCHEMA:
        raise UsageError(
            f"'{path}' has schema {content.get('schema')}, this kit reads {SCHEMA}; make it again"
        )
    return content


def _behind_a_convolution(view: GraphView) -> set[str]:
    """Return the names of the nodes that any convolution comes before."""
    # What the frame before left behind has passed them.
    reached: dict[str, bool] = {FRAME: False, **dict.fromkeys(view.state_inputs, True)}
    found = set()
    for node in view.nodes:
        behind = any(reached.get(name, False) for name in node.input)
        if behind:
            found.add(node.name)
        for name in node.output:
            reached[name] = behind or node.op_type in ("Conv", "ConvTranspose")
    return found


def _before_a_convolution(view: GraphView) -> set[str]:
    """Return the names of the nodes that any convolution comes after."""
    # What is left for the next frame passes them there.
    leads: dict[str, bool] = {RESTORED: False, **dict.fromkeys(view.state_outputs(), True)}
    found = set()
    for node in reversed(view.nodes):
        before = any(leads.get(name, False) for name in node.output)
        if before:
            found.add(node.name)
        is_convolution = node.op_type in ("Conv", "ConvTranspose")
        for name in node.input:
            leads[name] = leads.get(name, False) or before or is_convolution
    return found


def _feeds_product(view: GraphView, node: Node) -> bool:
    """Return whether only pointwise operators lie between a convolution and such a product."""
    for reader in view.readers(node.output[0]):
        if reader.op_type == "Mul" and len(view.data_inputs(reader)) == 2:
            return True
        if reader.op_type in _POINTWISE and _feeds_product(view, reader):
            return True
    return False
