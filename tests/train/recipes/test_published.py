"""The published recipes: their settings, and that three steps of each twin lower its loss."""

import numpy as np
import pytest
import torch

from crispstream.train.data.defocus_pool import DefocusPlan
from crispstream.train.data.patches import as_floats
from crispstream.train.loop import in_steps
from crispstream.train.objectives import build_objective
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.recipes.registry import build_recipe, recipe_names, with_steps
from crispstream.train.recipes.smoke import SMOKE_POOL, SMOKE_STEPS
from crispstream.train.task import Training
from tests.helpers.pictures import soft_picture

TWINS = [
    name for name in recipe_names() if name.endswith("-smoke") and not name.startswith("edge-")
]


def stages_of_twins() -> list[Recipe]:
    """Every stage of every twin; those that differ in nothing but their length once."""
    stages = [stage for name in TWINS for stage in build_recipe(name).stages()]
    return list({(stage.model, stage.objective, stage.weights): stage for stage in stages}.values())


def batch_of(recipe: Recipe, lr_px: int) -> dict[str, torch.Tensor]:
    """Two small samples with all the fields that there are."""
    hr = np.stack([soft_picture(seed, 4 * lr_px, 4 * lr_px) for seed in range(2)])
    hr_bchw = torch.from_numpy(hr.transpose(0, 3, 1, 2).copy())
    lr_bchw = torch.nn.functional.avg_pool2d(hr_bchw.float(), 4).to(torch.uint8)
    y = hr_bchw[:, :1].float() / 255
    fields = {
        "hr": hr_bchw,
        "lr": lr_bchw,
        "lr_sharp": lr_bchw,
        "y": y,
        "y_interpolated": torch.nn.functional.avg_pool2d(y, 5, 1, 2),
        "sigma": 2 * y,
        "labels": (hr_bchw[:, :1] // 32).to(torch.uint8),
    }
    return as_floats({name: fields[name] for name in build_objective(recipe.objective).needs})


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_has_the_stages_of_its_recipe(name: str) -> None:
    twin, whole = build_recipe(name), build_recipe(name.removesuffix("-smoke"))
    for small, large in zip(twin.stages(), whole.stages(), strict=True):
        assert (small.objective, small.weights) == (large.objective, large.weights)
        assert (small.schedule.kind, small.optimizer) == (large.schedule.kind, large.optimizer)
        assert (small.starts, small.carry_optimizer) == (large.starts, large.carry_optimizer)
        assert (small.steps, small.epochs) == (SMOKE_STEPS, 0)
        assert isinstance(small.pool, DefocusPlan) or small.pool == SMOKE_POOL


@pytest.mark.slow
@pytest.mark.parametrize("stage", stages_of_twins(), ids=lambda s: f"{s.model}-{s.objective}")
def test_three_steps_lower_the_loss(stage: Recipe) -> None:
    torch.manual_seed(stage.seed)
    task = Training(in_steps(with_steps(stage, 3), 100))
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    made = task.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]  # type: ignore
    batch = batch_of(stage, 24 if stage.model.endswith("-tiny") else 8)
    losses = []
    for _ in range(4):
        loss = task.training_step(batch, 0)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), stage.optimizer.clip_norm or 1e30)
        optimizer.step()
        schedule.step()
    assert losses[-1] < losses[0]


def test_gfn_is_trained_as_released() -> None:
    first, second, third = build_recipe("gfn").stages()
    assert [stage.epochs for stage in (first, second, third)] == [25, 60, 55]
    assert [stage.model for stage in (first, second, third)] == ["gfn-ungated"] * 2 + ["gfn"]
    assert [stage.batch for stage in (first, second, third)] == [16] * 3
    assert [dict(stage.weights)["lr"] for stage in (first, second, third)] == [0.5, 0.5, 0.0]
    assert not first.carry_optimizer
    assert second.carry_optimizer
    assert third.carry_optimizer


def test_cnlrn_and_cmos_hand_on_the_right_parts() -> None:
    assert build_recipe("cnlrn").starts == (("predeblur", ""),)
    both = build_recipe("cmos-nyuv2")
    assert dict(both.starts) == {"estimator": "estimator.", "restorer": "restorer."}
    assert [stage.starts for stage in both.earlier] == [(), ()]
    assert [stage.steps for stage in both.stages()] == [70_000, 240_000, 40_000]
    assert [stage.batch for stage in both.stages()] == [8, 16, 4]
