"""Recipes, checkpoints and the loop: a short training lowers its loss and can be resumed."""

import json
import os
import pickle
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import default_collate

from crispstream.core.errors import TrainError, UsageError
from crispstream.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from crispstream.train.data.patches import PatchSet, as_floats
from crispstream.train.data.pool import PoolPlan, build_pool
from crispstream.train.data.samples import PoolSamples
from crispstream.train.degrade.motion import MotionRange
from crispstream.train.degrade.pipeline import Degradation
from crispstream.train.loop import train
from crispstream.train.losses import charbonnier
from crispstream.train.models.registry import build_network, network_names
from crispstream.train.recipes.recipe import Recipe, recipe_as_dict, recipe_from_dict
from crispstream.train.recipes.registry import build_recipe, recipe_names
from crispstream.train.restoring import restoring
from crispstream.train.runs import StoppedError
from crispstream.train.task import Training
from tests.helpers.pictures import soft_picture, write_picture

SHORT = Recipe(
    "edge-n",
    steps=30,
    batch=4,
    patch_px=16,
    average_decay=0.8,
    pool=PoolPlan(crop_px=16, crops_per_image=24),
)


def patches_of(pool):
    return PatchSet(
        PoolSamples(pool),
        ("lr", "hr"),
        items=SHORT.steps * SHORT.batch,
        patch_px=SHORT.patch_px,
        augment=SHORT.augment,
        seed=SHORT.seed,
    )


@pytest.fixture
def pictures(tmp_path):
    for seed in range(2):
        write_picture(tmp_path / "pictures" / f"{seed}.png", seed)
    return tmp_path / "pictures"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_survives_json_and_names_a_network(name):
    recipe = build_recipe(name)
    assert recipe_from_dict(json.loads(json.dumps(recipe_as_dict(recipe)))) == recipe
    assert {stage.model for stage in recipe.stages()} <= set(network_names())


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
        torch.testing.assert_close(loaded.network()(x).hr, network(x).hr, rtol=0, atol=0)


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("weights")
    with pytest.raises(TrainError, match="not a safetensors file"):
        load_checkpoint(tmp_path / "text.safetensors")
    save_file({"w": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(TrainError, match="not a crispstream checkpoint"):
        load_checkpoint(tmp_path / "other.safetensors")


def test_weights_of_another_shape_of_the_network_are_told_from_its_own(tmp_path):
    own = dict(build_network("edge-n").state_dict())
    for change, said in [
        ({"head.weight": own["head.weight"][:8]}, r"'head.weight' is \[8, .*expected \[16, "),
        ({"branch.weight": torch.zeros(1)}, "it has 'branch.weight'"),
    ]:
        file = tmp_path / "old.safetensors"
        save_checkpoint(file, Checkpoint(SHORT, own | change, 1, ()))
        with pytest.raises(UsageError, match=rf"old.safetensors' was .* shape of 'edge-n'.*{said}"):
            load_checkpoint(file).network()
        with pytest.raises(UsageError, match=rf"another shape of 'edge-n'.*{said}.*again"):
            train(SHORT, [tmp_path], tmp_path / "run", start=file, cache=tmp_path)
    lacking = Checkpoint(SHORT, {"w": torch.zeros(1)}, 1, ())
    with pytest.raises(UsageError, match=r"this checkpoint was .*it has no 'head.weight'"):
        lacking.network()


@pytest.mark.slow
def test_training_learns_logs_and_saves(pictures, tmp_path):
    path = train(SHORT, [pictures], tmp_path / "run", cache=tmp_path / "cache", threads=1)
    loaded = load_checkpoint(path)
    assert loaded.steps_done == SHORT.steps
    assert loaded.data == ("0.png", "1.png")
    assert list((tmp_path / "run" / "tensorboard").rglob("events*"))
    torch.manual_seed(SHORT.seed)
    fresh = build_network("edge-n").eval()
    patches = patches_of(next((tmp_path / "cache").iterdir()))
    batch = as_floats(default_collate([patches[k] for k in range(32)]))
    lr, hr = batch["lr"], batch["hr"]
    with torch.inference_mode():
        before, after = charbonnier(fresh(lr).hr, hr), charbonnier(loaded.network()(lr).hr, hr)
    assert after < before


@pytest.mark.slow
def test_an_interrupted_training_goes_on_where_it_was(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("crispstream.train.fitting.KEEP_EVERY_STEPS", 10)
    places = {"out": tmp_path / "run", "cache": tmp_path / "cache"}
    train(replace(SHORT, steps=10), [pictures], places["out"], cache=places["cache"], threads=1)
    asked = []
    ask = PatchSet.patch
    monkeypatch.setattr(PatchSet, "patch", lambda *given: (asked.append(given[1]), ask(*given))[1])
    path = train(
        SHORT, [pictures], places["out"], cache=places["cache"], threads=1, resume=True, workers=0
    )
    assert load_checkpoint(path).steps_done == 30
    assert min(asked) == 10 * SHORT.batch
    with pytest.raises(TrainError, match="nothing to resume"):
        train(SHORT, [pictures], tmp_path / "new", cache=places["cache"], resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_training_keeps_its_state_and_its_weights_so_far(
    pictures, tmp_path, monkeypatch, number, capfd
):
    out, places = tmp_path / "run", {"cache": tmp_path / "cache", "threads": 1}
    step, handlers = Training.training_step, signal.getsignal(signal.SIGINT)

    def stop_in_the_eighth(task, batch, index):
        if task.global_step == 7:
            os.kill(os.getpid(), number)
        return step(task, batch, index)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "training_step", stop_in_the_eighth)
        with pytest.raises(StoppedError, match=r"after [78] of 30 steps.*--resume") as stopped:
            train(SHORT, [pictures], out, **places)
    assert stopped.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) == handlers
    assert (out / "last.ckpt").exists()
    assert load_checkpoint(out / "so-far.safetensors").steps_done in (7, 8)
    assert not (out / "edge-n.safetensors").exists()
    path = train(SHORT, [pictures], out, resume=True, **places)
    assert load_checkpoint(path).steps_done == 30
    said = capfd.readouterr().err
    assert not any(noise in said for noise in ("litlogger", "LeafSpec", "Checkpoint directory"))
    with pytest.raises(UsageError, match="nothing is left to do"):
        train(replace(SHORT, steps=5), [pictures], out, resume=True, **places)


@pytest.mark.slow
def test_a_stop_in_the_last_step_comes_too_late(pictures, tmp_path, monkeypatch):
    short, places = replace(SHORT, steps=4), {"cache": tmp_path / "cache", "threads": 1}
    whole = load_checkpoint(train(short, [pictures], tmp_path / "whole", **places))
    step = Training.training_step

    def stop_in_the_last(task, batch, index):
        if task.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(task, batch, index)

    monkeypatch.setattr(Training, "training_step", stop_in_the_last)
    late = load_checkpoint(train(short, [pictures], tmp_path / "late", **places))
    assert late.steps_done == 4
    for name, weights in whole.weights.items():
        torch.testing.assert_close(late.weights[name], weights, rtol=0, atol=0)


def no_training(*_, **__):
    raise AssertionError("the request should have been refused before")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("last.ckpt", "; go on with it: --resume,"), ("edge-n.safetensors", ";")],
)
def test_an_earlier_run_is_not_overwritten(tmp_path, monkeypatch, name, advice):
    monkeypatch.setattr("crispstream.train.loop.open_samples", no_training)
    (tmp_path / name).write_text("precious")
    with pytest.raises(UsageError, match=rf"{name}\){advice} replace it: --overwrite"):
        train(SHORT, [tmp_path], tmp_path, cache=tmp_path)
    with pytest.raises(UsageError, match="leave out one"):
        train(SHORT, [tmp_path], tmp_path, cache=tmp_path, resume=True, overwrite=True)
    assert (tmp_path / name).read_text() == "precious"


@pytest.mark.slow
def test_overwriting_begins_anew(pictures, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.ckpt").write_text("old")
    short, places = replace(SHORT, steps=2), {"cache": tmp_path / "cache", "threads": 1}
    path = train(short, [pictures], tmp_path / "run", overwrite=True, **places)
    assert load_checkpoint(path).steps_done == 2
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_weights_of_another_network_and_an_unwritable_place_are_said_first(tmp_path, monkeypatch):
    monkeypatch.setattr("crispstream.train.loop.open_samples", no_training)
    other = tmp_path / "n.safetensors"
    save_checkpoint(other, Checkpoint(SHORT, dict(build_network("edge-n").state_dict()), 1, ()))
    with pytest.raises(UsageError, match=r"'edge-n'.*trains 'edge-s'"):
        train(
            replace(SHORT, model="edge-s"), [tmp_path], tmp_path / "r", start=other, cache=tmp_path
        )
    with pytest.raises(TrainError, match=r"cannot write to the output folder.*-o"):
        train(SHORT, [tmp_path], other / "below a file", cache=tmp_path)


def test_patches_are_aligned_repeatable_and_differ(pictures, tmp_path):
    still = replace(SHORT.pool, degradation=Degradation(MotionRange(still_share=1.0)))
    patches = patches_of(build_pool([pictures], still, tmp_path / "cache", 1))
    assert len(patches) == 120
    lr, hr = patches[5]["lr"], patches[5]["hr"]
    assert (lr.shape, hr.shape) == ((3, 16, 16), (3, 64, 64))
    torch.testing.assert_close(patches[5]["lr"], lr)
    assert not torch.equal(patches[6]["lr"], lr)
    reduced = torch.nn.functional.avg_pool2d(hr.float(), 4)
    correlation = np.corrcoef(reduced.flatten(), lr.float().flatten())[0, 1]
    assert correlation > 0.8


def test_a_pool_travels_to_other_processes_by_its_name(pictures, tmp_path):
    samples = PoolSamples(build_pool([pictures], SHORT.pool, tmp_path / "cache", 1))
    data = pickle.dumps(samples)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).sample(3)["hr"], samples.sample(3)["hr"])


def test_restoring_takes_any_size(monkeypatch):
    restore = restoring(build_network("edge-n").eval())
    assert restore(soft_picture(0, 17, 23)).shape == (68, 92, 3)
