"""Trainings of several stages: what is handed on, what is resumed, what is replaced."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from crispstream.core.errors import TrainError, UsageError
from crispstream.train.checkpoint import load_checkpoint
from crispstream.train.data.patches import PatchSet
from crispstream.train.data.pool import PoolPlan
from crispstream.train.loop import in_steps, train
from crispstream.train.recipes.recipe import Optimizer, Recipe
from crispstream.train.recipes.registry import build_recipe, with_steps, without_files
from crispstream.train.runs import StoppedError
from crispstream.train.schedules import Schedule
from crispstream.train.task import Training
from tests.helpers.pictures import write_picture

FIRST = Recipe(
    "edge-n",
    stage="first",
    steps=3,
    batch=2,
    patch_px=16,
    average_decay=0,
    pool=PoolPlan(crop_px=16, crops_per_image=8),
)
SECOND = replace(
    FIRST, stage="", starts=(("first", ""),), carry_optimizer=True, earlier=(FIRST,), steps=4
)


@pytest.fixture
def pictures(tmp_path):
    write_picture(tmp_path / "pictures" / "a.png")
    return tmp_path / "pictures"


def run(recipe, pictures, tmp_path, **options):
    told = []
    path = train(
        recipe,
        [pictures],
        tmp_path / "run",
        cache=tmp_path / "cache",
        threads=1,
        progress=told.append,
        **options,
    )
    return load_checkpoint(path), [line for line in told if line.startswith("stage")]


@pytest.mark.slow
def test_weights_and_optimiser_go_on_into_the_next_stage(pictures, tmp_path, monkeypatch):
    begun = []
    fit = Training.on_train_start

    def look(task):
        (optimizer,) = task.trainer.optimizers
        weights = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
        steps = {int(kept["step"]) for kept in optimizer.state.values()}
        begun.append((weights, steps, optimizer.param_groups[0]["lr"]))
        fit(task)

    monkeypatch.setattr(Training, "on_train_start", look)
    checkpoint, told = run(SECOND, pictures, tmp_path)
    assert told == ["stage 1 of 2: first", "stage 2 of 2: edge-n"]
    first = load_checkpoint(tmp_path / "run" / "first" / "edge-n.safetensors")
    assert (first.recipe, first.steps_done) == (FIRST, 3)
    assert (checkpoint.recipe, checkpoint.steps_done) == (SECOND, 4)
    assert begun[0][1] == set()
    assert begun[1][1] == {3}
    assert begun[1][2] == pytest.approx(SECOND.learning_rate)
    for name, tensor in first.weights.items():
        torch.testing.assert_close(begun[1][0][name], tensor, rtol=0, atol=0)


@pytest.mark.slow
def test_whole_stages_are_not_trained_again(pictures, tmp_path):
    run(SECOND, pictures, tmp_path)
    folder = tmp_path / "run"
    (folder / "edge-n.safetensors").unlink()
    kept = (folder / "first" / "edge-n.safetensors").read_bytes()
    _, told = run(SECOND, pictures, tmp_path, resume=True)
    assert told == ["stage 2 of 2: edge-n"]
    assert (folder / "first" / "edge-n.safetensors").read_bytes() == kept
    with pytest.raises(UsageError, match=r"first/edge-n.safetensors.*--resume"):
        run(SECOND, pictures, tmp_path)
    changed = replace(SECOND, earlier=(replace(FIRST, seed=2),))
    _, told = run(changed, pictures, tmp_path, overwrite=True)
    assert len(told) == 2
    assert (folder / "first" / "edge-n.safetensors").read_bytes() != kept


@pytest.mark.slow
def test_a_stage_that_fits_nothing_of_the_one_before_is_a_failure(pictures, tmp_path):
    wrong = replace(SECOND, starts=(("first", "elsewhere."),), carry_optimizer=False)
    with pytest.raises(TrainError, match="no layer of 'edge-n'"):
        run(wrong, pictures, tmp_path)


@pytest.mark.slow
def test_a_stage_killed_before_its_checkpoint_was_written_is_not_trained_again(
    pictures, tmp_path, monkeypatch
):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("crispstream.train.loop._keep", killed)
        with pytest.raises(KeyboardInterrupt):
            run(SECOND, pictures, tmp_path)
    assert (tmp_path / "run" / "first" / "last.ckpt").exists()
    state = torch.load(tmp_path / "run" / "first" / "last.ckpt", weights_only=True)["state_dict"]
    checkpoint, told = run(SECOND, pictures, tmp_path, resume=True)
    assert len(told) == 2
    first = load_checkpoint(tmp_path / "run" / "first" / "edge-n.safetensors")
    assert first.steps_done == 3
    for name, tensor in first.weights.items():
        torch.testing.assert_close(state[f"network.{name}"], tensor, rtol=0, atol=0)
    assert checkpoint.steps_done == 4


@pytest.mark.slow
def test_stages_of_other_settings_and_finished_trainings_are_not_taken_up(pictures, tmp_path):
    run(SECOND, pictures, tmp_path)
    with pytest.raises(UsageError, match="nothing is left to do"):
        run(SECOND, pictures, tmp_path, resume=True)
    (tmp_path / "run" / "edge-n.safetensors").unlink()
    other = replace(SECOND, earlier=(replace(FIRST, learning_rate=1e-5),))
    with pytest.raises(UsageError, match=r"first/edge-n.safetensors' was trained by other"):
        run(other, pictures, tmp_path, resume=True)
    (tmp_path / "run" / "first" / "last.ckpt").unlink()
    (tmp_path / "run" / "last.ckpt").write_bytes(b"any state")
    with pytest.raises(TrainError, match=r"first/last.ckpt' is missing.*--overwrite"):
        run(SECOND, pictures, tmp_path, resume=True)


@pytest.mark.slow
def test_a_stop_in_the_last_step_of_an_earlier_stage_stops_the_training(
    pictures, tmp_path, monkeypatch
):
    step = Training.training_step

    def stop_in_the_third(task, batch, index):
        if task.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(task, batch, index)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "training_step", stop_in_the_third)
        with pytest.raises(StoppedError, match="after 3 of 3 steps"):
            run(SECOND, pictures, tmp_path)
    assert run(SECOND, pictures, tmp_path, resume=True)[0].steps_done == 4


@pytest.mark.slow
def test_every_stage_sees_the_crops_in_an_order_of_its_own(pictures, tmp_path, monkeypatch):
    seeds = []

    class Spied(PatchSet):
        def __init__(self, samples, needs, **settings):
            seeds.append(settings["seed"])
            super().__init__(samples, needs, **settings)

    monkeypatch.setattr("crispstream.train.loop.PatchSet", Spied)
    run(SECOND, pictures, tmp_path)
    assert seeds[1] == SECOND.seed
    assert seeds[0] != seeds[1]


def test_epochs_become_steps_of_the_data_set_at_hand():
    recipe = replace(
        FIRST, steps=0, epochs=3, batch=4, schedule=Schedule("steps", period=2, per_epoch=True)
    )
    resolved = in_steps(recipe, samples=41)
    assert (resolved.steps, resolved.epochs, resolved.schedule.period) == (30, 0, 20)


def test_parameters_learn_at_the_rate_of_their_name():
    recipe = replace(FIRST, optimizer=Optimizer(rates=(("head.", 1e-5),)))
    groups = Training(recipe).groups()
    assert {
        group["lr"]: all(n.startswith("head.") for n in group["names"]) for group in groups
    } == {
        1e-5: True,
        1e-3: False,
    }
    named = [name for group in groups for name in group["names"]]
    assert sorted(named) == sorted(name for name, _ in Training(recipe).network.named_parameters())


def test_users_change_all_stages_at_once():
    assert without_files(build_recipe("gfn"), []) == build_recipe("gfn")
    with pytest.raises(UsageError, match="lr-gopro whole"):
        without_files(build_recipe("gfn"), ["IMG*"])
    changed = without_files(with_steps(SECOND, 7), ["IMG*"])
    assert [stage.steps for stage in changed.stages()] == [7, 7]
    assert all(stage.pool.exclude == ("IMG*",) for stage in changed.stages())
    assert with_steps(build_recipe("gfn"), 7).epochs == 0


def test_a_published_recipe_names_the_data_set_it_learns_from(pictures, tmp_path):
    with pytest.raises(UsageError, match="crispstream data build lr-gopro"):
        run(build_recipe("gfn"), pictures, tmp_path)
