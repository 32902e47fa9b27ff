"""Learning rates, against values worked out by hand from the published settings."""

import math

import pytest

from crispstream.train.recipes.recipe import Recipe
from crispstream.train.recipes.registry import build_recipe
from crispstream.train.schedules import Schedule, phases_of


def rates(recipe: Recipe, *at: int) -> list[float]:
    return [recipe.schedule.rate(recipe.learning_rate, step, recipe.steps) for step in at]


def in_steps(recipe: Recipe, per_epoch: int) -> list[float]:
    """The rate of every epoch, 0-based."""
    schedule = recipe.schedule.in_steps(per_epoch)
    steps = recipe.epochs * per_epoch
    return [
        schedule.rate(recipe.learning_rate, epoch * per_epoch, steps)
        for epoch in range(recipe.epochs)
    ]


def test_gfn_falls_as_the_released_code_says() -> None:
    first, second, third = (in_steps(stage, 10) for stage in build_recipe("gfn").stages())
    assert [len(first), len(second), len(third)] == [25, 60, 55]
    assert first == pytest.approx([1e-4 * 0.5 ** (epoch // 7) for epoch in range(25)])
    assert (second[29], second[30]) == pytest.approx((1e-4, 1e-5))
    assert (third[24], third[25], third[50]) == pytest.approx((5e-5, 5e-6, 5e-7))


def test_gfn_falls_as_the_paper_says() -> None:
    first, second = (in_steps(stage, 10) for stage in build_recipe("gfn-paper").stages())
    assert (len(first), first[29], first[30]) == (60, *map(pytest.approx, (1e-4, 1e-5)))
    assert (len(second), second[24], second[25]) == (50, *map(pytest.approx, (5e-5, 5e-6)))


def test_cnlrn_starts_three_times_again_from_half() -> None:
    deblur, joint = build_recipe("cnlrn").stages()
    assert rates(deblur, 0, 75_000, 150_000) == pytest.approx([1e-4, 5.005e-5, 1e-4], rel=1e-3)
    assert rates(joint, 0, 250_000, 500_000, 750_000) == pytest.approx([2e-4, 1e-4, 1e-4, 1e-4])
    assert rates(joint, 249_999)[0] == pytest.approx(1e-7, rel=1e-3)
    assert dict(joint.optimizer.rates) == {"deblur.": 1e-5}
    assert joint.schedule.rate(1e-5, 250_000, joint.steps) == pytest.approx(5e-6)


def test_cmos_warms_up_inside_its_first_cosine() -> None:
    estimator, restorer, both = build_recipe("cmos-nyuv2").stages()
    middle = 1e-4 * (1 + math.cos(math.pi * 499 / 40_000)) / 2
    assert rates(estimator, 499)[0] == pytest.approx(middle / 2, rel=1e-4)
    assert rates(estimator, 40_000) == pytest.approx([1e-4])
    assert rates(restorer, 0, 60_000) == pytest.approx([2e-4, 1e-4], rel=1e-3)
    assert rates(both, 0, 39_999) == pytest.approx([5e-5, 5e-5])


def test_cityscapes_halves_twice() -> None:
    both = build_recipe("cmos-cityscapes")
    expected = [1e-4, 5e-5, 2.5e-5]
    assert rates(both, 49_999, 50_000, 100_000) == pytest.approx(expected)


def test_a_lowest_rate_is_kept() -> None:
    assert in_steps(build_recipe("ms2net"), 1)[-1] == pytest.approx(1.25e-5)
    low = Schedule("steps", period=1, decay=0.1, lowest=1e-6)
    assert low.rate(1e-3, 50, 100) == 1e-6


@pytest.mark.parametrize("settings", [{"kind": "linear"}, {"kind": "steps"}, {"kind": "cosine"}])
def test_schedules_that_say_too_little_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="schedule"):
        Schedule(**settings)  # type: ignore[arg-type]


def test_every_step_is_in_a_phase():
    shares = [(0.5, 32, 32), (0.3, 48, 16), (0.2, 64, 8)]
    for steps in range(1, 40):
        phases = phases_of(steps, shares)
        assert sum(phase.steps for phase in phases) == steps
        assert all(phase.steps for phase in phases)
    assert [phase.steps for phase in phases_of(1000, shares)] == [500, 300, 200]
