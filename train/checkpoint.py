"""Checkpoints: a safetensors file whose metadata is the whole recipe. Never a pickle."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from crispstream.core.errors import TrainError, UsageError

from .models.registry import build_network
from .recipes.recipe import Recipe, recipe_as_dict, recipe_from_dict

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """Trained weights and how they came about."""

    recipe: Recipe
    weights: dict[str, Tensor]
    steps_done: int
    data: tuple[str, ...]
    """Names of the files learnt from."""
    path: Path = Path()
    """Where it was read from, if it was."""

    def network(self) -> nn.Module:
        """Return the recipe's network with these weights, in evaluation mode.

        Raises:
            UsageError: if the weights are of another shape of the network, as earlier versions of
                the kit may have had it.
        """
        network = build_network(self.recipe.model)
        if difference := _first_difference(self.weights, network.state_dict()):
            which = f"'{self.path}'" if self.path.name else "this checkpoint"
            raise UsageError(
                f"{which} was trained for another shape of '{self.recipe.model}' (first "
                f"difference: {difference}); train it again, or use the version of the kit that "
                "made it"
            )
        network.load_state_dict(self.weights)
        return network.eval()


def _first_difference(there: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Return in words where weights first differ from a network's in name or shape, or ''."""
    for name, tensor in expected.items():
        if name not in there:
            return f"it has no '{name}'"
        if there[name].shape != tensor.shape:
            seen, wanted = list(there[name].shape), list(tensor.shape)
            return f"'{name}' is {seen}, expected {wanted}"
    return next((f"it has '{name}'" for name in there if name not in expected), "")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` whole or not at all.

    Raises:
        TrainError: if `path` cannot be written.
    """
    about = {
        "format": FORMAT,
        "recipe": recipe_as_dict(checkpoint.recipe),
        "steps_done": checkpoint.steps_done,
        "data": checkpoint.data,
    }
    temporary = path.with_name(f".{path.name}.part")
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata={"crispstream": json.dumps(about)})
        temporary.chmod(0o644)  # safetensors writes 0600, hidden from other users
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            temporary.unlink()
        raise TrainError(
            f"cannot write the checkpoint '{path}' ({error}); make room, or name a file in a "
            "folder that can be written"
        ) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UsageError: if the file does not exist.
        TrainError: if it is not a checkpoint of this kit, or of a newer one.
    """
    if not path.is_file():
        raise UsageError(f"the checkpoint '{path}' does not exist; train one: crispstream train")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("crispstream", "null"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise TrainError(f"'{path}' is not a safetensors file ({error})") from error
    return _checkpoint(path, about, weights)


def _checkpoint(path: Path, about: Any, weights: dict[str, Tensor]) -> Checkpoint:  # noqa: ANN401
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise TrainError(
            f"'{path}' is not a crispstream checkpoint of format {FORMAT}; "
            "pass a file that `crispstream train` wrote with this version of the kit"
        )
    try:
        recipe = recipe_from_dict(about["recipe"])
        return Checkpoint(recipe, weights, about["steps_done"], tuple(about["data"]), path)
    except (KeyError, TypeError, ValueError) as error:
        raise TrainError(
            f"the recipe inside '{path}' is not one of this version of the kit ({error}); "
            "train again, or use the version that wrote it"
        ) from error
