"""The objective of recurrent networks: what frames count, and how far gradients go back."""

import json
from dataclasses import replace

import pytest
import torch

from crispstream.train.checkpoint import load_checkpoint
from crispstream.train.loop import train
from crispstream.train.losses import charbonnier
from crispstream.train.models.registry import build_network
from crispstream.train.objectives import build_objective
from crispstream.train.recipes.recipe import recipe_as_dict, recipe_from_dict
from crispstream.train.recipes.registry import build_recipe
from crispstream.train.task import Training
from tests.helpers.networks import settled
from tests.helpers.pictures import write_picture

WEIGHTS = {"first": 3.0, "truncate": 10}


@pytest.fixture
def network():
    return settled(build_network("edge-s-r"), spread=0.5).requires_grad_(True)


def batch(frames=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "lr": torch.rand(2, 3 * frames, 8, 8, generator=generator),
        "hr": torch.rand(2, 3 * frames, 32, 32, generator=generator),
    }


def loss_of(network, clip, **weights):
    objective = build_objective("clip")
    assert objective.needs == ("lr", "hr")
    return objective.loss(network, clip, {**WEIGHTS, **weights})


def test_one_frame_is_a_first_frame(network):
    clip = batch(1)
    alone = charbonnier(network(clip["lr"]).hr, clip["hr"])
    torch.testing.assert_close(loss_of(network, clip), alone)


@torch.no_grad()
def test_frames_are_restored_in_turn_and_the_first_counts_its_weight(network):
    clip = batch(3)
    memory = network.forgotten(clip["lr"])
    parts = []
    for k in range(3):
        frame = slice(3 * k, 3 * k + 3)
        restored, memory = network.restored(clip["lr"][:, frame], memory)
        parts.append(charbonnier(restored, clip["hr"][:, frame]))
    expected = (3 * parts[0] + parts[1] + parts[2]) / 5
    torch.testing.assert_close(loss_of(network, clip), expected)


@pytest.mark.parametrize(("truncate", "reaches"), [(1, False), (2, False), (3, True)])
def test_gradients_end_where_the_memory_is_detached(network, truncate, reaches):
    clip = batch(3)
    memory = network.forgotten(clip["lr"])
    with torch.no_grad():
        for k in range(2):  # these frames are right, so only the last one has a gradient
            frame = slice(3 * k, 3 * k + 3)
            clip["hr"][:, frame], memory = network.restored(clip["lr"][:, frame], memory)
    clip["lr"].requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss_of(network, clip, truncate=truncate), clip["lr"])
    assert gradient[:, 6:].any()
    assert bool(gradient[:, :3].any()) is reaches


def test_the_spectrum_counts_if_it_is_asked_for(network):
    clip = batch(2)
    assert loss_of(network, clip, frequency=0.1) > loss_of(network, clip)


def test_a_few_steps_lower_the_loss_of_later_frames():
    torch.manual_seed(0)
    recipe = build_recipe("edge-s-r-smoke")
    assert recipe_from_dict(json.loads(json.dumps(recipe_as_dict(recipe)))) == recipe
    task = Training(replace(recipe, average_decay=0.0))
    still = torch.rand(2, 3, 32, 32)
    small = torch.nn.functional.avg_pool2d(still, 4)
    clip = {"lr": small.repeat(1, 3, 1, 1), "hr": still.repeat(1, 3, 1, 1)}
    optimizer = torch.optim.Adam(task.network.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        loss = build_objective("clip").loss(task.network, clip, dict(recipe.weights))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.97 * losses[0]
    assert task.network.recall.weight.abs().sum() > 0


@pytest.mark.slow
def test_a_recurrent_network_learns_from_a_folder_of_pictures(tmp_path):
    write_picture(tmp_path / "pictures" / "a.png", 1, 200, 220)
    recipe = build_recipe("edge-s-r-smoke")
    pool = replace(recipe.pool, frames=3, crop_px=16)
    recipe = replace(recipe, steps=2, batch=2, patch_px=12, pool=pool)
    made = train(recipe, [tmp_path / "pictures"], tmp_path / "a.safetensors", cache=tmp_path / "c")
    checkpoint = load_checkpoint(made)
    assert checkpoint.recipe == recipe
    assert checkpoint.network().recall.weight.any()
