"""Teachers: what they are asked, where they are not kept, and who needs one."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from crispstream.core.errors import UsageError
from crispstream.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from crispstream.train.data.pool import PoolPlan
from crispstream.train.loop import train
from crispstream.train.losses import charbonnier
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.recipes.registry import build_recipe
from crispstream.train.task import Training
from crispstream.train.teacher import Teacher, teacher_for
from tests.helpers.networks import settled
from tests.helpers.pictures import write_picture

TAUGHT = Recipe(
    "edge-n",
    steps=4,
    batch=2,
    patch_px=8,
    objective="restore-distilled",
    weights=(("teacher", 2.0),),
    pool=PoolPlan(crop_px=16, crops_per_image=8),
)


def saved(path, model="srresnet-w16"):
    network = settled(build_network(model), seed=6, spread=0.05)
    save_checkpoint(path, Checkpoint(Recipe(model, steps=1), dict(network.state_dict()), 1, ()))
    return path


def test_a_teacher_restores_as_its_checkpoint_and_does_not_learn(tmp_path):
    path = saved(tmp_path / "edge.safetensors", "edge-n")
    teacher = teacher_for(TAUGHT, path)
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(7))
    restored = teacher(x)
    with torch.no_grad():
        expected = load_checkpoint(path).network()(x).hr
    torch.testing.assert_close(restored, expected, rtol=1e-4, atol=1e-5)
    assert not restored.requires_grad
    assert copy.deepcopy(teacher) is teacher


def test_a_pupil_is_drawn_to_the_truth_and_to_its_teacher():
    task = Training(TAUGHT, teacher=Teacher(settled(build_network("srresnet-w16"), seed=6)))
    task.log = lambda *_, **__: None
    generator = torch.Generator().manual_seed(8)
    patches = {
        "lr": torch.randint(0, 256, (2, 3, 8, 8), generator=generator, dtype=torch.uint8),
        "hr": torch.randint(0, 256, (2, 3, 32, 32), generator=generator, dtype=torch.uint8),
    }
    loss = task.training_step(patches, 0)
    with torch.no_grad():
        restored = task.network(patches["lr"] / 255).hr
        taught = functional.l1_loss(restored, task.batch_of(patches)["teacher"])
    expected = charbonnier(restored, patches["hr"] / 255) + 2.0 * taught
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert set(task.state_dict()) == {f"network.{name}" for name in task.network.state_dict()}


@pytest.mark.slow
def test_a_taught_training_keeps_no_teacher_and_is_resumed_with_one(tmp_path, monkeypatch):
    monkeypatch.setattr("crispstream.train.fitting.KEEP_EVERY_STEPS", 2)
    write_picture(tmp_path / "pictures" / "a.png")
    teacher = saved(tmp_path / "teacher.safetensors")
    places = [tmp_path / "pictures"], tmp_path / "run"
    options = {"cache": tmp_path / "cache", "threads": 1, "teacher": teacher}
    first = load_checkpoint(train(TAUGHT, *places, **options))
    assert set(first.weights) == set(build_network("edge-n").state_dict())
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert {name.split(".")[0] for name in state["state_dict"]} == {"network"}
    longer = replace(TAUGHT, steps=6)
    assert load_checkpoint(train(longer, *places, resume=True, **options)).steps_done == 6


def test_who_needs_a_teacher_and_who_has_none_is_said_first(tmp_path):
    path = saved(tmp_path / "t.safetensors")
    with pytest.raises(UsageError, match=r"'restore-distilled' learns from a teacher.*--teacher"):
        train(TAUGHT, [tmp_path], tmp_path / "run", cache=tmp_path)
    for recipe in (replace(TAUGHT, objective="restore"), build_recipe("edge-n-qat")):
        with pytest.raises(UsageError, match="leave it out"):
            teacher_for(recipe, path)
    with pytest.raises(UsageError, match="does not exist"):
        teacher_for(TAUGHT, tmp_path / "none.safetensors")
    assert teacher_for(build_recipe("edge-n-qat"), None) is None
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_takes_no_such_patches_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "t.safetensors")
    monkeypatch.setattr("crispstream.train.models.gfn.SrResNet.size_multiple", 16)
    with pytest.raises(UsageError, match=r"sizes that 16 divides.*patches have 8 pixels"):
        teacher_for(TAUGHT, path)
