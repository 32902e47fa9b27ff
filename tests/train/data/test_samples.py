"""Where samples come from: a recipe that wants a built set says what it was given instead."""

import numpy as np
import pytest

from crispstream.core.errors import UsageError
from crispstream.train.data.built import Item, build_set
from crispstream.train.data.journal import JOURNAL, MANIFEST
from crispstream.train.data.samples import BuiltPlan, open_samples

PLAN = BuiltPlan(("lr-gopro",))


def make(item: Item) -> dict[str, np.ndarray]:
    return {f"{item.name}.lr.npy": np.zeros((2, 4, 4, 3), np.uint8)}


@pytest.fixture
def built(tmp_path):
    return build_set("lr-gopro", [Item("train/a", ())], make, {}, tmp_path / "set")


def test_a_set_of_the_kind_is_opened(built, tmp_path):
    assert len(open_samples(PLAN, [built], tmp_path, 1)) == 2


@pytest.mark.parametrize(
    ("spoil", "given", "match"),
    [
        (lambda folder: None, ("elsewhere",), "one data set of the kind lr-gopro.*elsewhere"),
        (lambda folder: None, ("set", "set"), "one data set of the kind"),
        (lambda folder: None, ("set/train",), "name '.*set'"),
        (lambda folder: (folder / MANIFEST).unlink(), ("set",), "data build lr-gopro SRC DST"),
        (lambda folder: (folder / JOURNAL).touch(), ("set",), "interrupted; run it again"),
    ],
)
def test_what_is_no_such_set_is_told_apart(built, tmp_path, spoil, given, match):
    spoil(built)
    with pytest.raises(UsageError, match=match):
        open_samples(PLAN, [tmp_path / name for name in given], tmp_path, 1)


def test_another_kind_is_named_before_it_is_opened(tmp_path):
    other = build_set("sisr", [Item("test/a", ())], make, {}, tmp_path / "other")
    with pytest.raises(UsageError, match="of the kind sisr, this recipe learns from lr-gopro"):
        open_samples(PLAN, [other], tmp_path, 1)
