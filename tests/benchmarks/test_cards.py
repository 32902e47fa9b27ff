"""Model cards: their sections, their figures, and what they admit not to know."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import cards
from benchmarks.cards_training import training
from benchmarks.cards_words import WORDS, Seen
from benchmarks.crisp_v1 import limits_of
from crispstream.core.errors import UsageError
from crispstream.core.files import sha256_of
from crispstream.train.checkpoint import Checkpoint
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.recipes.registry import build_recipe

SECTIONS = [
    "Use",
    "Quality by degradation",
    "Cost",
    "Contact sheet",
    "Limits",
    "Training",
    "Data and licence",
]
DATA = ("a.jpg", "b.jpg", "c.mp4", "GOPR0374_11_00_f1195_n8.png")


def of_model(gain_db: float) -> dict[str, Any]:
    part = {
        "frames": 16,
        "psnr_db": 25 + gain_db,
        "ssim": 0.7,
        "gain_db": gain_db,
        "worst": "sharp/scene",
        "worst_gain_db": gain_db - 1,
    }
    summary = {"flicker": 1.5, "warped_difference": 2.5, "synthetic": gain_db, "real": gain_db}
    summary |= {"sharp": gain_db, "clips": gain_db}
    return {name: part for name in cards.ABOUT} | {"summary": summary}


FIGURES = {
    "models": {"edge-n": of_model(0.75), "bicubic": of_model(0.0)},
    "truth": {"clips": {"warped_difference": 2.0}},
}


def made(path: Path, recipe: Recipe | None = None) -> str:
    """Return the card of an untrained edge-n whose weights are the bytes at `path`."""
    network = build_network("edge-n")
    checkpoint = Checkpoint(recipe or build_recipe("edge-n"), network.state_dict(), 10, DATA)
    return cards.card("edge-n", checkpoint, path, FIGURES["models"]["edge-n"], FIGURES)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "edge-n.safetensors"
    path.write_bytes(b"weights")
    return path


def test_a_card_has_its_sections_in_order(weights: Path) -> None:
    text = made(weights)
    heads = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert text.startswith("# edge-n\n")
    assert heads == SECTIONS
    assert "](edge-n.jpg)" in text
    assert "2 stills, 1 clips and 1 pairs" in text


def test_every_part_has_its_row(weights: Path) -> None:
    text = made(weights)
    row = "| sharp: no blur at all | 16 | 25.00 | 25.75 | +0.75 | -0.25 | 0.700 | 0.700 |"
    assert row in text
    assert all(f"| {part}: " in text for part in cards.ABOUT)


def test_what_was_seen_holds_for_the_weights_it_was_seen_of(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(sha256_of(b"weights")[:12], "Letters can be read.")
    monkeypatch.setattr(cards, "SEEN", {"edge-n": seen})
    assert "Letters can be read." in made(weights)
    weights.write_bytes(b"other weights")
    assert "Nobody has looked at it yet." in made(weights)


def test_figures_of_other_weights_are_refused(weights: Path) -> None:
    measured = {"weights_sha256": {"edge-n": sha256_of(b"weights")}, **FIGURES}
    assert cards.figures_of(measured, "edge-n", weights) == FIGURES["models"]["edge-n"]
    weights.write_bytes(b"other weights")
    with pytest.raises(UsageError, match=r"of other weights .* measure again"):
        cards.figures_of(measured, "edge-n", weights)


@pytest.mark.parametrize("name", sorted(WORDS))
def test_every_recipe_can_be_told_in_words(name: str) -> None:
    recipe = build_recipe(name)
    text = training(Checkpoint(recipe, {}, recipe.steps, DATA))
    assert f"{recipe.steps:,} steps" in text
    assert f"learning rate {recipe.learning_rate:g}" in text
    assert "bundle.json" in text


def test_patches_that_grow_are_told() -> None:
    from dataclasses import replace

    recipe = replace(build_recipe("edge-n"), patches=((0.75, 32, 8), (0.25, 64, 2)))
    text = training(Checkpoint(recipe, {}, recipe.steps, DATA))
    assert "8 patches of 32x32 LR pixels for 75% of them, then 2 patches of 64x64" in text


def test_the_claims_are_those_of_the_family() -> None:
    models = {**FIGURES["models"], "edge-s": of_model(1.0), "edge-s-r": of_model(1.6)}
    assert limits_of("edge-n", models)["edge-n_synthetic_gain_db"].at_least == 0.9
    twin = limits_of("edge-s-r", models)
    assert twin["edge-s-r_clips_over_edge-s_db"].value == pytest.approx(0.6)
    assert twin["edge-s-r_flicker_over_bicubic"].met
    assert limits_of("gfn", {**models, "gfn": of_model(1.0)}) == {}
