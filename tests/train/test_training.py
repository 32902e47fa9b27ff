"""Recipes, checkpoints and the loop: a short training lowers its loss and can be resumed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from crispstream.core.errors import TrainError, UsageError
from crispstream.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from crispstream.train.data.pool import PoolPlan, build_pool
from crispstream.train.degrade.motion import MotionRange
from crispstream.train.degrade.pipeline import Degradation
from crispstream.train.loop import PatchSet, train
from crispstream.train.losses import charbonnier
from crispstream.train.models.registry import build_network
from crispstream.train.recipes import (
    RECIPES,
    Recipe,
    build_recipe,
    recipe_as_dict,
    recipe_from_dict,
)
from crispstream.train.restoring import restoring
from tests.helpers.pictures import soft_picture, write_picture

SHORT = Recipe(
    "edge-n",
    steps=30,
    batch=4,
    patch_px=16,
    average_decay=0.8,
    pool=PoolPlan(crop_px=16, crops_per_image=24),
)


@pytest.fixture
def pictures(tmp_path):
    for seed in range(2):
        write_picture(tmp_path / "pictures" / f"{seed}.png", seed)
    return tmp_path / "pictures"


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_survives_json_and_names_a_network(name):
    recipe = build_recipe(name)
    assert recipe_from_dict(json.loads(json.dumps(recipe_as_dict(recipe)))) == recipe
    assert build_network(recipe.model).size_multiple == 4


@pytest.mark.parametrize("name", ["edge-n", "edge-s", "edge-m", "edge-n-smoke"])
def test_what_judges_the_shipped_weights_is_not_learnt_from(name):
    assert "gopro_GOPR0477*" in build_recipe(name).pool.exclude
    assert "GOPR0477*" in build_recipe(name).pool.exclude


@pytest.mark.parametrize("change", [{"steps": 0}, {"batch": 0}, {"patch_px": 20}, {"patch_px": 6}])
def test_recipes_that_cannot_run_are_refused(change):
    with pytest.raises(ValueError, match="got"):
        replace(SHORT, **change)


def test_charbonnier_is_l1_far_from_zero_and_epsilon_at_zero():
    ones, zeros = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    assert charbonnier(ones, zeros).item() == pytest.approx(1.0, abs=1e-3)
    assert charbonnier(zeros, zeros).item() == pytest.approx(1e-2)


def test_a_checkpoint_carries_its_recipe_and_its_weights(tmp_path):
    network = build_network("edge-n").eval()
    file = tmp_path / "a.safetensors"
    save_checkpoint(file, Checkpoint(SHORT, dict(network.state_dict()), 30, ("a.png",)))
    loaded = load_checkpoint(file)
    assert (loaded.recipe, loaded.steps_done, loaded.data) == (SHORT, 30, ("a.png",))
    x = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.network()(x), network(x), rtol=0, atol=0)


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("weights")
    with pytest.raises(TrainError, match="not a safetensors file"):
        load_checkpoint(tmp_path / "text.safetensors")
    save_file({"w": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(TrainError, match="not a crispstream checkpoint"):
        load_checkpoint(tmp_path / "other.safetensors")
    misfit = Checkpoint(SHORT, {"w": torch.zeros(1)}, 1, ())
    with pytest.raises(TrainError, match="do not fit network 'edge-n'"):
        misfit.network()


@pytest.mark.slow
def test_training_learns_logs_and_saves(pictures, tmp_path):
    path = train(SHORT, [pictures], tmp_path / "run", cache=tmp_path / "cache", threads=1)
    loaded = load_checkpoint(path)
    assert loaded.steps_done == SHORT.steps
    assert loaded.data == ("0.png", "1.png")
    assert list((tmp_path / "run" / "tensorboard").rglob("events*"))
    torch.manual_seed(SHORT.seed)
    fresh = build_network("edge-n").eval()
    patches = PatchSet(next((tmp_path / "cache").iterdir()), SHORT)
    lr, hr = (
        torch.stack(part).float() / 255
        for part in zip(*map(patches.__getitem__, range(32)), strict=True)
    )
    with torch.inference_mode():
        before, after = charbonnier(fresh(lr), hr), charbonnier(loaded.network()(lr), hr)
    assert after < before


@pytest.mark.slow
def test_an_interrupted_training_goes_on_where_it_was(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("crispstream.train.loop.KEEP_EVERY_STEPS", 10)
    places = {"out": tmp_path / "run", "cache": tmp_path / "cache"}
    train(replace(SHORT, steps=10), [pictures], places["out"], cache=places["cache"], threads=1)
    asked = []
    ask = PatchSet.__getitem__
    monkeypatch.setattr(
        PatchSet, "__getitem__", lambda self, k: (asked.append(k + self._first), ask(self, k))[1]
    )
    path = train(
        SHORT, [pictures], places["out"], cache=places["cache"], threads=1, resume=True, workers=0
    )
    assert load_checkpoint(path).steps_done == 30
    assert min(asked) == 10 * SHORT.batch
    with pytest.raises(TrainError, match="nothing to resume"):
        train(SHORT, [pictures], tmp_path / "new", cache=places["cache"], resume=True)


def test_patches_are_aligned_repeatable_and_differ(pictures, tmp_path):
    still = replace(SHORT.pool, degradation=Degradation(MotionRange(still_share=1.0)))
    patches = PatchSet(build_pool([pictures], still, tmp_path / "cache", 1), SHORT)
    assert len(patches) == 120
    lr, hr = patches[5]
    assert (lr.shape, hr.shape) == ((3, 16, 16), (3, 64, 64))
    torch.testing.assert_close(patches[5][0], lr)
    assert not torch.equal(patches[6][0], lr)
    reduced = torch.nn.functional.avg_pool2d(hr.float(), 4)
    correlation = np.corrcoef(reduced.flatten(), lr.float().flatten())[0, 1]
    assert correlation > 0.8


def test_restoring_takes_any_size(monkeypatch):
    restore = restoring(build_network("edge-n").eval())
    assert restore(soft_picture(0, 17, 23)).shape == (68, 92, 3)
