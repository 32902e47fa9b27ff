"""Checkpoints of other versions end in a sentence, not in a KeyError."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from crispstream.core.errors import TrainError
from crispstream.train.checkpoint import load_checkpoint
from crispstream.train.recipes.recipe import recipe_as_dict
from crispstream.train.recipes.registry import build_recipe


@pytest.mark.parametrize("change", ["lacks a field", "has another"])
def test_a_recipe_of_another_version_is_said(tmp_path: Path, change: str) -> None:
    recipe = recipe_as_dict(build_recipe("edge-n"))
    if change == "lacks a field":
        del recipe["model"]
    else:
        recipe["colour"] = "blue"
    about = {"format": 1, "recipe": recipe, "steps_done": 1, "data": []}
    file = tmp_path / "old.safetensors"
    save_file({"w": torch.zeros(1)}, file, metadata={"crispstream": json.dumps(about)})
    with pytest.raises(TrainError, match="not one of this version"):
        load_checkpoint(file)
