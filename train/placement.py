"""Where an INT8 graph rounds: read from what calibration wrote, for training to do the same.

    plan.json     which convolutions are int8 in each flavour, and the tensors they read
    ranges.json   the range of each of these tensors

A layer is named as the exporter names its node, by the path of its module:
`/bottom/bottom.0/Conv` is `bottom.0`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import write_json_atomically
from crispstream.core.int8 import module_path
from crispstream.core.registry import did_you_mean

from .models.edge import Edge
from .models.registry import build_network
from .recipes.recipe import Recipe

PLAN, RANGES = "plan.json", "ranges.json"
SCHEMA = 1

_LEVELS = 255
_WRAPPER = "network."
"""What the path of a module begins with in graphs of one frame size."""

_AGAIN = "give --calibration the folder calibration/ of a bundle made by: crispstream calibrate"


class Grid(NamedTuple):
    """An integer grid, in the order that torch's fake quantisation takes it."""

    scale: float
    zero_point: int
    lowest: int
    highest: int


@dataclass(frozen=True)
class Range:
    """The values of a tensor that its grid covers."""

    amax: float
    """Largest absolute value."""
    low: float
    high: float

    def grid(self, flavour: str) -> Grid:
        """Return the grid of a flavour: symmetric int8, or uint8 over low..high and 0.

        >>> Range(127.0, -2.0, 127.0).grid("int8")
        Grid(scale=1.0, zero_point=0, lowest=-128, highest=127)
        >>> Range(200.0, -55.0, 200.0).grid("int8-cpu")
        Grid(scale=1.0, zero_point=55, lowest=0, highest=255)
        """
        if flavour == "int8":
            return Grid(self.amax / 127, 0, -128, 127)
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = (high - low) / 255
        return Grid(scale, round(-low / scale), 0, 255)


@dataclass(frozen=True)
class Placement:
    """Which convolutions of a network are quantised, and over which range their inputs."""

    flavour: str
    """int8 or int8-cpu."""
    ranges: Mapping[str, Range]
    """By the convolution's path in the network; in the network's own unit."""
    plan: Mapping[str, Any]
    """Content of plan.json."""
    measured: Mapping[str, Any]
    """Content of ranges.json."""

    def write(self, folder: Path) -> None:
        """Write plan and ranges beside the weights that were trained for them.

        Raises:
            TrainError: if the folder cannot be written.
        """
        method = f"qat from {self.measured.get('method')}"
        # New weights make a new graph: the hash of the old one would be wrong.
        ranges = {**self.measured, "graph_sha256": None, "method": method}
        try:
            write_json_atomically(folder / PLAN, self.plan)
            write_json_atomically(folder / RANGES, ranges)
        except OSError as error:
            raise TrainError(
                f"cannot write plan and ranges to '{folder}' ({error.strerror}); make room and go "
                "on with --resume"
            ) from error


def placement_for(recipe: Recipe, calibration: Path | None, *, has_start: bool) -> Placement | None:
    """Return what the recipe's training quantises; None for one in floating point.

    `has_start` tells whether there are trained weights to begin from.

    Raises:
        UsageError: if the recipe needs what is not given, or does not take what is; as
            `read_placement`.
    """
    if not recipe.quantised:
        if calibration is not None:
            raise UsageError(
                "--calibration is for quantisation-aware recipes such as edge-n-qat, and this one "
                "trains in floating point; leave it out"
            )
        return None
    if calibration is None:
        raise UsageError(
            "this recipe learns with the rounding of an INT8 graph and needs its plan and ranges; "
            + _AGAIN
        )
    if not has_start:
        raise UsageError(
            "quantisation-aware training starts from trained weights; give --from "
            f"train/weights/{recipe.model}.safetensors or the checkpoint of a run"
        )
    return read_placement(calibration, recipe.quantised, recipe.model)


def read_placement(folder: Path, flavour: str, model: str) -> Placement:
    """Read plan.json and ranges.json in `folder` for one flavour of the network `model`.

    Raises:
        UsageError: if a file is missing or damaged, or the plan has no layer of this flavour or
            one that the network does not have.
    """
    plan = _read(folder / PLAN, "quantisation plan")
    measured = _read(folder / RANGES, "ranges")
    network = build_network(model)
    _refuse_norms(network, model)
    ranges: dict[str, Range] = {}
    for node in _nodes(plan, flavour, folder / PLAN):
        path = _resolved(network, node, model)
        if path in ranges:
            raise UsageError(f"'{folder / PLAN}' names '{node}' twice; name each layer once")
        ranges[path] = _in_unit_of(network, path, _range(plan, measured, node, folder))
    return Placement(flavour, ranges, plan, measured)


def _read(path: Path, kind: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"'{path}' does not exist; {_AGAIN}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"'{path}' cannot be read as JSON ({error}); {_AGAIN}") from error
    is_ours = isinstance(content, dict) and content.get("kind") == kind
    if not is_ours or content.get("schema") != SCHEMA:
        raise UsageError(f"'{path}' is no {kind} of schema {SCHEMA}; {_AGAIN}")
    return dict(content)


def _nodes(plan: Mapping[str, Any], flavour: str, path: Path) -> list[str]:
    """Return the names of the nodes that the plan has in int8."""
    try:
        listed = {name: list(graph["layers"]) for name, graph in plan["graphs"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"'{path}' does not list the layers of its graphs; {_AGAIN}") from error
    if not listed.get(flavour):
        full = ", ".join(name for name, nodes in listed.items() if nodes) or "none"
        raise UsageError(
            f"'{path}' has no layer in {flavour} (graphs that have some: {full}); use a recipe of "
            "such a flavour, or make another plan: crispstream calibrate --plan"
        )
    return [str(node) for node in listed[flavour]]


def _refuse_norms(network: nn.Module, model: str) -> None:
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        raise UsageError(
            f"'{model}' has batch norms, which deployment folds into weights that training does "
            "not see; quantisation-aware training takes networks without: edge, GFN, MS2Net, CNLRN"
        )


def _resolved(network: nn.Module, node: str, model: str) -> str:
    """Return the path of the convolution behind a node."""
    convolutions = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    path = module_path(node)
    path = path if path in convolutions else path.removeprefix(_WRAPPER)
    if path not in convolutions or not node.endswith("/Conv"):
        raise UsageError(
            f"the plan's layer '{node}' is no convolution of '{model}', where it would be "
            f"'{path}'; {did_you_mean(path, convolutions)}use the plan of a bundle of '{model}'"
        )
    return path


def _range(plan: Mapping[str, Any], measured: Mapping[str, Any], node: str, folder: Path) -> Range:
    try:
        tensor = plan["layers"][node]["input"]
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"'{folder / PLAN}' does not tell what '{node}' reads; {_AGAIN}"
        ) from error
    try:
        entry = measured["tensors"][tensor]
        found = Range(float(entry["amax"]), float(entry["low"]), float(entry["high"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"'{folder / RANGES}' has no range of '{tensor}', which '{node}' reads; {_AGAIN}"
        ) from error
    span = max(found.high, 0.0) - min(found.low, 0.0)
    if not (math.isfinite(found.amax) and found.amax > 0 and math.isfinite(span) and span > 0):
        raise UsageError(
            f"'{folder / RANGES}' gives '{tensor}' the range {found.low} to {found.high}, largest "
            f"{found.amax}; a range is finite and not empty: calibrate again on other frames"
        )
    return found


def _in_unit_of(network: nn.Module, path: str, measured: Range) -> Range:
    """Return the range in the network's unit.

    The graphs of edge networks fold 1/255 into their first convolution, which then reads grey
    levels; its module reads 0..1, so a larger value tells levels.
    """
    if not (isinstance(network, Edge) and path == "head" and measured.amax > 1):
        return measured
    return Range(measured.amax / _LEVELS, measured.low / _LEVELS, measured.high / _LEVELS)
