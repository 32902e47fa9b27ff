"""Quantisation-aware training: rounding where the plan says, and a checkpoint as any other."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from crispstream.core.errors import UsageError
from crispstream.core.int8 import WEIGHT_LEVELS
from crispstream.export.exporter import export_bundle
from crispstream.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from crispstream.train.data.pool import PoolPlan
from crispstream.train.loop import train
from crispstream.train.models.registry import build_network
from crispstream.train.objectives import build_objective
from crispstream.train.placement import Grid, Range, read_placement
from crispstream.train.qat import QuantisedConv, QuantisedTraining, quantised_copy
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.recipes.registry import build_recipe
from tests.helpers.calibration import plan_of, ranges_of, write_calibration
from tests.helpers.networks import settled
from tests.helpers.pictures import soft_picture, write_picture

NODES = {
    "/down_half/Conv": "down_half",
    "/bottom/bottom.0/Conv": "bottom.0",
    "/bottom/bottom.2/Conv": "bottom.2",
    "/up_half/Conv": "up_half",
    "/tail/Conv": "tail",
}
PLAN = plan_of(int8=list(NODES), int8_cpu=list(NODES))
FLAVOURS = ["int8", "int8-cpu"]
SHORT = replace(
    build_recipe("edge-n-qat"),
    steps=4,
    batch=2,
    patch_px=16,
    pool=PoolPlan(crop_px=16, crops_per_image=8),
)


def placed(folder, flavour="int8", limits=None):
    return read_placement(
        write_calibration(folder, PLAN, ranges_of(PLAN, limits)), flavour, "edge-n"
    )


def seen_by(network, x):
    """The range of what each planned layer of a network reads, by node."""
    deployed, found = copy.deepcopy(network), {}
    for node, path in NODES.items():
        deployed.get_submodule(path).register_forward_pre_hook(
            lambda _, given, node=node: found.update(
                {node: (min(0.0, given[0].min().item()), given[0].max().item())}
            )
        )
    with torch.no_grad():
        deployed(x)
    return found


def picture_batch(seed, count=2, side=24):
    pictures = [soft_picture(seed + n, 4 * side, 4 * side) for n in range(count)]
    hr = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    lr = functional.avg_pool2d(hr.float(), 4).round().to(torch.uint8)
    return {"lr": lr, "hr": hr}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_exactly_the_planned_layers_are_quantised(tmp_path, flavour):
    network = build_network("edge-n")
    before = copy.deepcopy(network.state_dict())
    copied = quantised_copy(network, placed(tmp_path, flavour))
    found = {n: m for n, m in copied.named_modules() if isinstance(m, QuantisedConv)}
    assert set(found) == set(NODES.values())
    assert {conv.weight_steps for conv in found.values()} == {WEIGHT_LEVELS[flavour]}
    assert set(copied.state_dict()) == set(network.state_dict())
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_quantised_convolution_is_that_of_the_integers(flavour):
    torch.manual_seed(2)
    conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    conv.weight.data[1] *= 20
    conv.weight.data[2] = 0
    x = 2 * torch.randn(2, 3, 9, 8)
    grid = Range(3.0, -1.5, 3.0).grid(flavour)
    steps = WEIGHT_LEVELS[flavour]
    got = QuantisedConv(conv, grid, steps)(x).detach().numpy()

    whole = np.round(x.numpy().astype(np.float64) / grid.scale) + grid.zero_point
    rounded = (np.clip(whole, grid.lowest, grid.highest) - grid.zero_point) * grid.scale
    weight = conv.weight.detach().numpy().astype(np.float64)
    scales = np.abs(weight).max((1, 2, 3), keepdims=True) / steps
    scales[scales == 0] = 1
    weight = np.clip(np.round(weight / scales), -steps, steps) * scales
    padded = np.pad(rounded, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    expected = np.einsum("bihwkl,oikl->bohw", windows, weight)
    expected += conv.bias.detach().numpy()[:, None, None]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    plain = conv(x).detach().numpy()
    assert np.abs(plain - expected).max() > 0.1


def test_gradients_pass_the_rounding_and_stop_where_it_clips():
    conv = QuantisedConv(nn.Conv2d(1, 1, 1), Grid(0.1, 0, -128, 127), 127)
    conv.weight.data.fill_(0.5)
    x = torch.tensor([0.123, 12.6, 12.9, -12.7, -13.0]).reshape(1, 1, 1, 5).requires_grad_()
    conv(x).sum().backward()
    torch.testing.assert_close(x.grad.flatten(), torch.tensor([0.5, 0.5, 0.0, 0.5, 0.0]))
    rounded = torch.tensor([0.1, 12.6, 12.7, -12.7, -12.8])
    torch.testing.assert_close(conv.weight.grad.flatten(), rounded.sum().reshape(1))


def test_what_is_learnt_loads_into_a_fresh_network_and_computes_the_same_in_floats(tmp_path):
    start = settled(build_network("edge-n"), seed=1, spread=0.5)
    task = QuantisedTraining(SHORT, placed(tmp_path), start.state_dict())
    with torch.no_grad():
        for parameter in task.network.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape))
    fresh = build_network("edge-n")
    fresh.load_state_dict(task.learnt())
    floats = copy.deepcopy(start)
    for name, conv in task.network.named_modules():
        if isinstance(conv, nn.Conv2d):
            layer = floats.get_submodule(name)
            layer.weight.data.copy_(conv.weight.data)
            layer.bias.data.copy_(conv.bias.data)
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(fresh.eval()(x).hr, floats.eval()(x).hr, rtol=0, atol=0)
        assert not torch.allclose(fresh(x).hr, start(x).hr)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_few_steps_mend_what_narrow_ranges_broke(tmp_path, flavour):
    torch.manual_seed(3)
    start = build_network("edge-n").eval()
    start.tail.weight.data.mul_(20)
    batch = picture_batch(0)
    limits = {
        node: (low / 2, high / 2) for node, (low, high) in seen_by(start, batch["lr"] / 255).items()
    }
    task = QuantisedTraining(SHORT, placed(tmp_path, flavour, limits), start.state_dict())
    objective = build_objective(SHORT.objective)
    optimizer = torch.optim.Adam([p for g in task.groups() for p in g["params"]], 1e-3)

    def away():
        floats = task.batch_of(batch)
        return functional.l1_loss(task.network(floats["lr"]).hr, floats["teacher"])

    before = away().item()
    for _ in range(25):
        optimizer.zero_grad()
        objective.loss(task.network, task.batch_of(batch), {"teacher": 4.0}).backward()
        optimizer.step()
    assert away().item() < 0.7 * before
    for name, tensor in start.state_dict().items():
        torch.testing.assert_close(task.teacher.state_dict()[name], tensor, rtol=0, atol=0)


def test_only_the_quantised_network_learns(tmp_path):
    task = QuantisedTraining(SHORT, placed(tmp_path), build_network("edge-n").state_dict())
    learning = {name for name, p in task.named_parameters() if p.requires_grad}
    assert learning == {f"network.{name}" for name, _ in task.network.named_parameters()}
    batch = task.batch_of(picture_batch(1))
    assert batch["teacher"].shape == batch["hr"].shape
    assert not batch["teacher"].requires_grad


@pytest.mark.parametrize(
    "change",
    [
        {"quantised": "int4"},
        {"earlier": (Recipe("edge-n", steps=1),)},
        {"mixed": True},
    ],
)
def test_recipes_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match=r"quantised is one of"):
        replace(SHORT, **change)


@pytest.fixture
def places(tmp_path):
    """Pictures, a checkpoint to start from, and a calibration of it."""
    write_picture(tmp_path / "pictures" / "a.png")
    torch.manual_seed(4)
    weights = dict(build_network("edge-n").state_dict())
    start = tmp_path / "start.safetensors"
    save_checkpoint(start, Checkpoint(Recipe("edge-n", steps=1), weights, 1, ()))
    write_calibration(tmp_path / "calibration", PLAN, ranges_of(PLAN))
    return tmp_path


def run(places, recipe=SHORT, **options):
    given = {"start": places / "start.safetensors", "calibration": places / "calibration"}
    where = {"cache": places / "cache", "threads": 1}
    return train(recipe, [places / "pictures"], places / "run", **{**given, **where, **options})


@pytest.mark.slow
def test_a_run_leaves_a_checkpoint_that_exports_and_what_calibration_needs(places, tmp_path):
    path = run(places)
    checkpoint = load_checkpoint(path)
    assert (checkpoint.recipe, checkpoint.steps_done) == (SHORT, 4)
    assert json.loads((places / "run" / "plan.json").read_text()) == PLAN
    assert json.loads((places / "run" / "ranges.json").read_text())["method"] == "qat from mse"
    tuned, start = checkpoint.network(), load_checkpoint(places / "start.safetensors").network()
    assert not torch.equal(tuned.bottom[0].weight, start.bottom[0].weight)
    bundle = export_bundle(
        checkpoint,
        tmp_path / "bundle",
        name="toy",
        licence="CC-BY-4.0",
        card="",
        frames=[("one", soft_picture(5, 24, 32))],
        precisions=["fp32"],
    )
    assert bundle.training["recipe"]["quantised"] == "int8"
    assert all(judged["passed"] for judged in bundle.certificate()["graphs"].values())


def test_an_interrupted_run_goes_on_and_keeps_its_teacher(places, monkeypatch):
    monkeypatch.setattr("crispstream.train.fitting.KEEP_EVERY_STEPS", 2)
    run(places)
    path = run(places, replace(SHORT, steps=6), resume=True, start=None)
    assert load_checkpoint(path).steps_done == 6
    state = torch.load(places / "run" / "last.ckpt", weights_only=True)["state_dict"]
    for name, tensor in load_checkpoint(places / "start.safetensors").weights.items():
        # The state holds averages, and the average of equal numbers is rounded.
        torch.testing.assert_close(state[f"teacher.{name}"], tensor, rtol=0, atol=1e-6)


def test_a_run_in_floating_point_is_not_taken_up(places, monkeypatch):
    monkeypatch.setattr("crispstream.train.fitting.KEEP_EVERY_STEPS", 2)
    plain = replace(SHORT, quantised="", objective="charbonnier", weights=())
    run(places, plain, calibration=None)
    with pytest.raises(UsageError, match=r"state of another training.*--overwrite"):
        run(places, replace(SHORT, steps=6), resume=True)


def test_what_a_run_needs_is_said_before_anything_is_prepared(places):
    with pytest.raises(UsageError, match="--calibration"):
        run(places, calibration=None)
    with pytest.raises(UsageError, match="starts from trained weights"):
        run(places, start=None)
    with pytest.raises(UsageError, match="leave it out"):
        run(places, build_recipe("edge-n"))
    with pytest.raises(UsageError, match="does not exist"):
        run(places, calibration=places / "nowhere")
    assert not (places / "run").exists()
    assert not (places / "cache").exists()
