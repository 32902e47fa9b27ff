"""The fine-tuning recipes: short, slow, and with room for small cameras."""

from dataclasses import replace

import pytest

from crispstream.core.pixels import SCALE
from crispstream.train.data.pool import PoolPlan
from crispstream.train.recipes.edge import HELD_OUT
from crispstream.train.recipes.recipe import recipe_as_dict, recipe_from_dict
from crispstream.train.recipes.registry import build_recipe
from crispstream.train.recipes.tuning import TUNED, fine_tuning


@pytest.mark.parametrize("name", TUNED)
def test_every_whole_recipe_has_its_short_form(name: str) -> None:
    whole, tuned = build_recipe(name), build_recipe(f"{name}-tune")
    assert tuned == fine_tuning(whole)
    assert (tuned.model, tuned.weights) == (whole.model, whole.weights)
    assert tuned.objective == whole.objective.removesuffix("-distilled")
    assert tuned.steps < whole.steps / 4
    assert tuned.learning_rate < whole.learning_rate / 2
    assert set(HELD_OUT) <= set(tuned.pool.exclude)
    assert recipe_from_dict(recipe_as_dict(tuned)) == tuned


def test_the_weights_it_began_with_stay_in_the_average() -> None:
    tuned = build_recipe("edge-s-tune")
    assert 0.15 < tuned.average_decay**tuned.steps < 0.5


def test_a_camera_of_360_lines_can_be_learnt_from() -> None:
    pool = build_recipe("edge-n-tune").pool
    assert isinstance(pool, PoolPlan)
    assert pool.crop_px * SCALE + 2 * pool.degradation.margin_px() <= 360
    assert pool.crops_per_video % pool.frames_per_video == 0


def test_a_video_teaches_more_than_in_a_whole_training() -> None:
    tuned, whole = build_recipe("edge-s-tune").pool, build_recipe("edge-s").pool
    assert isinstance(tuned, PoolPlan)
    assert isinstance(whole, PoolPlan)
    assert tuned.frames_per_video >= 4 * whole.frames_per_video
    assert tuned.crops_per_video >= 2 * whole.crops_per_video
    assert tuned.degradation == whole.degradation


def test_nobody_needs_a_teacher_to_fine_tune() -> None:
    taught = replace(
        build_recipe("edge-s"), objective="restore-distilled", weights=(("teacher", 1.0),)
    )
    assert fine_tuning(taught).objective == "restore"
