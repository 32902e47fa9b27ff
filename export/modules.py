"""A network of warps proved module by module.

CMOS chains some seven warps. Each moves its samples by what the one before has computed, so that
rounding grows from module to module: PyTorch in fp32 and in fp64 may differ visibly, and so may a
graph, without any fault. Each module alone is as exact as any other network. So every module is
exported alone and run on what it was given for a check frame.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from crispstream.core.errors import ExportError
from crispstream.train.models.exportable import KeepsFp32

from .graph import OPSET
from .proof import relative_error, run_onnx, session_of, worst

LIMIT = 2e-5
"""Largest difference of a module from PyTorch, relative to its largest value; about 1e-6 seen."""

LIMIT_PER_PIXEL = 1e-9
"""Added for each pixel of what a module is given: ONNX Runtime adds up a mean over the frame one
pixel after another. Modules with such a mean: 5e-5 seen at 384x256, 2e-4 at 1280x720."""


@dataclass(frozen=True)
class ModuleProof:
    """How far the modules are from PyTorch, each alone."""

    modules: int
    closest_to_its_limit: str
    relative_error: float
    """Of that module."""
    limit: float
    """Of that module."""


@dataclass(frozen=True)
class _Call:
    """What a module was given and what it gave, flat."""

    module: nn.Module
    given: tuple[Tensor, ...]
    layout: Any
    """How the tensors given are nested."""
    result: tuple[Tensor, ...]

    def limit(self) -> float:
        """Return how much the module may differ."""
        pixels = max(tensor.shape[-2:].numel() for tensor in self.given)
        return LIMIT + LIMIT_PER_PIXEL * pixels


def has_warps(network: nn.Module) -> bool:
    """Return whether the network moves samples by what it computes."""
    return any(isinstance(module, KeepsFp32) for module in network.modules())


def prove_modules(network: nn.Module, run: Callable[[], object]) -> ModuleProof:
    """Compare each module of `network` with its own graph on what `run` gives it.

    Raises:
        ExportError: if a module differs by more than the limit; the message names it.
    """
    calls = _calls(network, run)
    found = [(name, _error(call), call.limit()) for name, call in calls.items()]
    name, error, limit = max(found, key=lambda one: np.nan_to_num(one[1] / one[2], nan=np.inf))
    if not error <= limit:
        raise ExportError(
            f"the graph of module '{name}' differs from PyTorch by {error:.2g} of its largest "
            f"value, expected at most {limit:.2g}; do not ship the network: try another version "
            "of torch or onnx"
        )
    return ModuleProof(len(found), name, error, limit)


def modules_alone(network: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Give the largest modules that either are a warp or have none inside, by dotted name."""
    inside = [child for child in network.modules() if child is not network]
    mixed = any(isinstance(child, KeepsFp32) for child in inside)
    if not mixed and not isinstance(network, nn.ModuleList):
        yield name, network
        return
    for part, child in network.named_children():
        yield from modules_alone(child, f"{name}.{part}" if name else part)


def _calls(network: nn.Module, run: Callable[[], object]) -> dict[str, _Call]:
    """Return the first call of each module, all tensors copied: activations write in place."""
    given: dict[str, tuple[Tensor, ...]] = {}
    layouts: dict[str, Any] = {}
    calls: dict[str, _Call] = {}

    def before(name: str, args: Any) -> None:  # noqa: ANN401
        leaves, layouts[name] = tree_flatten(args)
        given[name] = tuple(leaf.clone() for leaf in leaves)

    def after(name: str, module: nn.Module, result: Any) -> None:  # noqa: ANN401
        tensors = tuple(leaf.clone() for leaf in tree_leaves(result))
        calls.setdefault(name, _Call(module, given[name], layouts[name], tensors))

    hooks = []
    for name, module in modules_alone(network):
        hooks += [
            module.register_forward_pre_hook(lambda _, args, n=name: before(n, args)),
            module.register_forward_hook(lambda m, _, result, n=name: after(n, m, result)),
        ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return calls


class _Alone(nn.Module):
    """A module between flat tensors."""

    def __init__(self, call: _Call) -> None:
        super().__init__()
        self.module = call.module
        self.layout = call.layout

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        return tuple(tree_leaves(self.module(*tree_unflatten(list(given), self.layout))))


def _error(call: _Call) -> float:
    names = [f"given_{index}" for index in range(len(call.given))]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder, "module.onnx")
        warnings.simplefilter("ignore")  # deprecated in favour of torch.export; see decision 004
        torch.onnx.export(
            _Alone(call), call.given, file, dynamo=False, opset_version=OPSET, input_names=names
        )
        session = session_of(file.read_bytes())
    feed = {name: tensor.numpy() for name, tensor in zip(names, call.given, strict=True)}
    ours = run_onnx(session, feed).values()
    pairs = zip(ours, call.result, strict=True)
    return worst(relative_error(graph, torch_.numpy()) for graph, torch_ in pairs)
