"""What a sitting brings home: weights, and the optimiser's state as far as there is room."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from crispstream.core.errors import TrainError

LAST = "last.ckpt"
WHOLE, HALVED, NONE = "whole", "moments in bfloat16", "left out"


@dataclass(frozen=True)
class Returned:
    """The folder that goes home."""

    files: dict[str, int]
    """Bytes by name."""
    state: str
    """What became of the state that a training is resumed from."""


def bring_home(weights: Path, state: Path, target: Path, max_bytes: int) -> Returned:
    """Copy the weights, and the state `last.ckpt` in the best form that fits, to a new folder.

    The state is whole, or has its optimiser's moments in bfloat16 (a relative error of 0.4 % in
    quantities that forget within a thousand steps; PyTorch widens them when they are loaded), or
    is left out: weights alone begin a new training, with new moments.

    Raises:
        TrainError: if not even the weights fit.
    """
    left = max_bytes - weights.stat().st_size
    if left < 0:
        raise TrainError(
            f"the weights take {weights.stat().st_size} bytes and {max_bytes} are allowed; allow "
            f"more with --max-mb, they are in '{weights}'"
        )
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copyfile(weights, target / weights.name)
    form = _copy_state(state, target / LAST, left) if state.is_file() else NONE
    files = {path.name: path.stat().st_size for path in sorted(target.iterdir())}
    return Returned(files, form)


def _copy_state(state: Path, target: Path, max_bytes: int) -> str:
    if state.stat().st_size <= max_bytes:
        shutil.copyfile(state, target)
        return WHOLE
    content = torch.load(state, map_location="cpu", weights_only=True)
    torch.save(halved(content), target)
    if target.stat().st_size <= max_bytes:
        return HALVED
    target.unlink()
    return NONE


def halved(state: dict[str, Any]) -> dict[str, Any]:
    """Return Lightning's state with the moments of its optimisers in bfloat16."""
    return {**state, "optimizer_states": [_halved(one) for one in state["optimizer_states"]]}


def _halved(optimizer: dict[str, Any]) -> dict[str, Any]:
    kept = {
        number: {name: _short(value) for name, value in of_one.items()}
        for number, of_one in optimizer["state"].items()
    }
    return {**optimizer, "state": kept}


def _short(value: Any) -> Any:  # noqa: ANN401 - a tensor, a number or None
    is_moment = isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim
    return value.to(torch.bfloat16) if is_moment else value
