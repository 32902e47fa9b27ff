"""crisp-v1 is what it was: its numbers are pinned, and nobody learns from its sources."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

from crispstream.train.data.defocus_pool import DefocusPlan
from crispstream.train.data.samples import BuiltPlan
from crispstream.train.recipes.registry import build_recipe, recipe_names
from crispstream.train.suite.suites import SUITES

SUITE = SUITES.get("crisp-v1")()
PICTURES = sorted(Path(path).name for path in SUITE.sources if not path.endswith(".npy"))
PARTS = [
    *("motion-weak", "motion-medium", "motion-strong"),
    *("noise-low", "noise-high", "h264-low", "h264-high"),
    *("sharp", "dark", "bright", "upscaled", "real", "clips", "still"),
]
READING = {
    f"{name}, stage {number}": stage.pool
    for name in recipe_names()
    for number, stage in enumerate(build_recipe(name).stages())
    if not isinstance(stage.pool, BuiltPlan | DefocusPlan)
}
"""What learns from any folder of pictures. A built set is chosen by its user, and pools out of
focus are for pictures with depth or labels, which the suite has none of."""


def test_the_definition_never_changes() -> None:
    """A suite that must change gets another name; its figures compare with no other's."""
    assert SUITE.fingerprint() == "a01d0c9011113685"
    assert list(SUITE.parts) == PARTS == list(SUITE.published)


def test_every_source_is_named_with_its_hash() -> None:
    assert {source for piece in SUITE.pieces for source in piece.sources} == set(SUITE.sources)
    assert all(len(value) == 64 for value in (*SUITE.sources.values(), *SUITE.published.values()))
    names = [piece.name for piece in SUITE.pieces]
    assert len(set(names)) == len(names)


def test_the_page_names_every_source() -> None:
    page = (Path(__file__).parents[3] / "docs/benchmark.md").read_text(encoding="utf-8")
    assert not [name for name in PICTURES if Path(name).stem not in page]


@pytest.mark.parametrize("recipe", READING)
def test_no_recipe_may_learn_from_a_source(recipe: str) -> None:
    excluded = READING[recipe].exclude
    assert not [n for n in PICTURES if not any(fnmatch(n, shape) for shape in excluded)]


def test_the_shipped_recipes_are_looked_at() -> None:
    assert {f"{name}, stage 0" for name in ("edge-n", "edge-s", "edge-m")} <= set(READING)
