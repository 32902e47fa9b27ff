"""When a training ends: its time limit, a loss that is no number, and what is kept then."""

from dataclasses import replace

import pytest
import torch

from crispstream.core.errors import UsageError
from crispstream.train import fitting
from crispstream.train.checkpoint import load_checkpoint
from crispstream.train.data.pool import PoolPlan
from crispstream.train.loop import train
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.runs import StoppedError, TimeIsUpError, TimeLimit
from crispstream.train.task import Training
from tests.helpers.pictures import write_picture

SHORT = Recipe(
    "edge-n",
    steps=6,
    patches=((0.5, 8, 3), (0.5, 16, 2)),
    patch_px=16,
    learning_rate=1e-2,
    average_decay=0.5,
    objective="restore",
    weights=(("frequency", 0.1), ("lr", 0.1)),
    mixed=True,
    pool=PoolPlan(crop_px=16, crops_per_image=8),
)


@pytest.fixture
def places(tmp_path):
    write_picture(tmp_path / "pictures" / "a.png")
    return tmp_path


def run(places, recipe=SHORT, name="run", **options):
    where = {"cache": places / "cache", "threads": 1}
    return train(recipe, [places / "pictures"], places / name, **where, **options)


def ticking(steps):
    """Make time limits that are over after so many looks."""
    seconds = iter([0.0] * (steps + 1))
    return lambda minutes: TimeLimit(minutes, lambda: next(seconds, 60.0))


def test_a_time_limit_begins_when_it_is_made():
    seconds = iter([100.0, 219.9, 220.0])
    limit = TimeLimit(2.0, lambda: next(seconds))
    assert [limit.is_over(), limit.is_over()] == [False, True]
    assert not TimeLimit(None).is_over()


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_a_time_limit_of_no_time_is_refused(tmp_path, minutes):
    with pytest.raises(UsageError, match="longer than 0 minutes"):
        train(SHORT, [tmp_path], tmp_path / "run", cache=tmp_path, minutes=minutes)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_training_that_is_out_of_time_leaves_weights_and_goes_on_the_same(places, monkeypatch):
    whole = load_checkpoint(run(places, name="whole")).weights
    with monkeypatch.context() as patched:
        patched.setattr("crispstream.train.loop.TimeLimit", ticking(steps=3))
        with pytest.raises(TimeIsUpError, match=r"1 minutes are over after 4 of 6.*so-far") as end:
            run(places, minutes=1.0)
    assert end.value.exit_code == 124
    assert isinstance(end.value, StoppedError)
    so_far = load_checkpoint(places / "run" / "so-far.safetensors")
    assert (so_far.steps_done, so_far.recipe, so_far.data) == (4, SHORT, ("a.png",))
    state = torch.load(places / "run" / "last.ckpt", weights_only=True)["state_dict"]
    for name, tensor in so_far.network().state_dict().items():
        torch.testing.assert_close(state[f"network.{name}"], tensor, rtol=0, atol=0)
    path = run(places, minutes=1e6, resume=True)
    assert not (places / "run" / "so-far.safetensors").exists()
    for name, tensor in load_checkpoint(path).weights.items():
        torch.testing.assert_close(tensor, whole[name], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_training_and_spares_the_state(places, monkeypatch):
    monkeypatch.setattr(fitting, "KEEP_EVERY_STEPS", 2)
    monkeypatch.setattr(fitting, "LOOK_EVERY_STEPS", 1)
    step = Training.training_step

    def broken(task, batch, index):
        loss = step(task, batch, index)
        return loss * float("nan") if task.global_step == 3 else loss

    monkeypatch.setattr(Training, "training_step", broken)
    with pytest.raises(fitting.DivergedError, match=r"nan after 4 steps.*last.ckpt.*clip_norm"):
        run(places)
    state = torch.load(places / "run" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 2
    assert all(tensor.isfinite().all() for tensor in state["state_dict"].values())
    assert not (places / "run" / "edge-n.safetensors").exists()


def test_the_loss_is_looked_at_before_a_state_is_kept():
    assert fitting.KEEP_EVERY_STEPS % fitting.LOOK_EVERY_STEPS == 0


@pytest.mark.parametrize(
    "patches",
    [((0.5, 8, 4),), ((1.0, 20, 4),), ((1.0, 6, 4),), ((1.5, 8, 4), (-0.5, 8, 4)), ((1.0, 8, 0),)],
)
def test_patches_that_cannot_be_cut_are_refused(patches):
    with pytest.raises(ValueError, match="got"):
        replace(SHORT, patches=patches)
