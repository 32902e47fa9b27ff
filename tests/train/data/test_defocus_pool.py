"""The pool of pictures out of focus that is made of whatever has depth or labels."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4
from crispstream.core.errors import TrainError, UsageError
from crispstream.train.data.built import BuiltSet
from crispstream.train.data.defocus_pool import DefocusPlan, build_defocus_pool
from tests.helpers.pictures import soft_picture, write_picture

PLAN = DefocusPlan(crop_px=8, crops_per_image=3, kernel_px=9, classes=11)


def write_map(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / "data"
    write_picture(folder / "depth" / "a_rgb.jpg", 1, 60, 80)
    depth = np.full((60, 80), 3000, np.uint16)
    depth[:, :40], depth[:5], depth[-5:] = 1000, 0, 65535
    write_map(folder / "depth" / "a_depth_mm.png", depth)
    write_picture(folder / "seg" / "b_rgb.png", 2, 60, 80)
    write_map(folder / "seg" / "b_label.png", np.where(np.eye(60, 80), 11, 4).astype(np.uint8))
    write_picture(folder / "c_rgb.png", 3, 60, 80)  # has neither
    write_picture(folder / "d.png", 4, 60, 80)
    return folder


def built(folder, cache, plan=PLAN):
    return BuiltSet.open(build_defocus_pool([folder], plan, cache, workers=1))


def test_pictures_with_depth_or_labels_become_crops(media, tmp_path):
    found = built(media, tmp_path / "cache")
    assert (found.kind, found.names) == ("defocus", ("train/00000-a", "train/00001-b"))
    assert len(found) == 6
    assert {name: (a.shape, a.dtype.name) for name, a in found.sample(0).items()} == {
        "lr": ((8, 8, 3), "uint8"),
        "hr": ((32, 32, 3), "uint8"),
        "sigma": ((32, 32, 1), "float32"),
        "labels": ((32, 32, 1), "uint8"),
    }


def test_depth_gives_varying_blur_and_labels_even_blur(media, tmp_path):
    found = built(media, tmp_path / "cache", replace(PLAN, crops_per_image=8))
    by_depth, by_label = (
        [found.sample(k) for k in range(8)],
        [found.sample(k) for k in range(8, 16)],
    )
    assert {int(value) for s in by_depth for value in np.unique(s["labels"])} == {255}
    assert any(np.ptp(s["sigma"]) > 0 for s in by_depth)
    assert max(s["sigma"].max() for s in by_depth) == 2
    assert all(np.ptp(s["sigma"]) == 0 for s in by_label)
    assert len({float(s["sigma"][0, 0, 0]) for s in by_label}) > 4
    # The label 11 is beyond the classes.
    assert {int(value) for s in by_label for value in np.unique(s["labels"])} == {4, 255}


def test_fields_of_a_crop_lie_on_each_other(media, tmp_path):
    found = built(media, tmp_path / "cache")
    whole = cv2.imread(str(media / "seg" / "b_rgb.png"))
    for number in range(3, 6):
        sample = found.sample(number)
        error = cv2.matchTemplate(whole, np.ascontiguousarray(sample["hr"]), cv2.TM_SQDIFF)
        _, _, (left, top), _ = cv2.minMaxLoc(error)
        part = slice(top, top + 32), slice(left, left + 32)
        np.testing.assert_array_equal(sample["hr"], whole[part])
        assert top % 4 == left % 4 == 0
        ignored = np.eye(60, 80)[part] == 1
        np.testing.assert_array_equal(sample["labels"][..., 0] == 255, ignored)
        # LR is that of the whole picture, its border included.
        sigma = float(sample["sigma"][0, 0, 0])
        blurred = cv2.GaussianBlur(
            whole.astype(np.float64), (9, 9), sigma, borderType=cv2.BORDER_REFLECT
        )
        small = downscale_x4(np.rint(blurred).astype(np.uint8))
        expected = small[top // 4 : top // 4 + 8, left // 4 : left // 4 + 8]
        np.testing.assert_allclose(sample["lr"].astype(int), expected, atol=1)


def test_a_picture_with_depth_and_labels_has_both(tmp_path):
    write_picture(tmp_path / "x_rgb.png", 1, 40, 40)
    write_map(tmp_path / "x_depth_mm.png", np.arange(1, 1601, dtype=np.uint16).reshape(40, 40))
    write_map(tmp_path / "x_label.png", np.full((40, 40), 7, np.uint8))
    sample = built(tmp_path, tmp_path / "cache").sample(0)
    assert np.unique(sample["labels"]).tolist() == [7]
    assert np.ptp(sample["sigma"]) > 0


def test_a_pool_is_built_once_and_again_for_another_plan_or_file(media, tmp_path):
    cache = tmp_path / "cache"
    first = build_defocus_pool([media], PLAN, cache, 1)
    told = []
    assert build_defocus_pool([media], PLAN, cache, 1, told.append) == first
    assert told == []
    assert build_defocus_pool([media], replace(PLAN, seed=2), cache, 1, told.append) != first
    assert told[-1] == "building defocus: 2 of 2 items"
    write_picture(media / "seg" / "b_rgb.png", 9, 60, 80)
    assert build_defocus_pool([media], PLAN, cache, 1) != first


def test_the_same_plan_gives_the_same_crops(media, tmp_path):
    one, two = (built(media, tmp_path / name) for name in ("one", "two"))
    for number in range(len(one)):
        for field, array in one.sample(number).items():
            np.testing.assert_array_equal(array, two.sample(number)[field])


def test_pictures_are_left_out_by_name(media, tmp_path):
    found = built(media, tmp_path / "cache", replace(PLAN, exclude=("a_*",)))
    assert found.names == ("train/00000-b",)


def test_nothing_usable_says_what_files_are_expected(media, tmp_path):
    plan = replace(PLAN, exclude=("a_*", "b_*"))
    with pytest.raises(UsageError, match=r"X_rgb\.png .* X_depth_mm\.png .* X_label\.png"):
        build_defocus_pool([media], plan, tmp_path / "cache", 1)


def test_pictures_smaller_than_a_crop_are_said_and_leave_nothing(media, tmp_path):
    with pytest.raises(UsageError, match="smaller than one crop of 64x64"):
        build_defocus_pool([media], replace(PLAN, crop_px=16), tmp_path / "cache", 1)
    assert list((tmp_path / "cache").iterdir()) == []


def test_sizes_that_differ_and_broken_files_are_named(media, tmp_path):
    write_map(media / "seg" / "b_label.png", np.zeros((60, 76), np.uint8))
    with pytest.raises(TrainError, match=r"b_label\.png' has 76x60 pixels .* 80x60"):
        build_defocus_pool([media], PLAN, tmp_path / "cache", 1)
    (media / "depth" / "a_rgb.jpg").write_text("text")
    with pytest.raises(TrainError, match=r"cannot decode .*a_rgb\.jpg"):
        build_defocus_pool([media], PLAN, tmp_path / "cache", 1)


def test_a_cache_that_cannot_be_written_is_said(media, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match="--cache"):
        build_defocus_pool([media], PLAN, tmp_path / "file" / "cache", 1)


@pytest.mark.parametrize("change", [{"crop_px": 0}, {"classes": 256}, {"kernel_px": 20}])
def test_plans_that_cannot_be_built_are_refused(change):
    with pytest.raises(ValueError, match="got"):
        replace(PLAN, **change)


def test_the_smallest_picture_is_one_crop(tmp_path):
    write_picture(tmp_path / "x_rgb.png", 1, 32, 33)
    write_map(tmp_path / "x_label.png", np.zeros((32, 33), np.uint8))
    sample = built(tmp_path, tmp_path / "cache").sample(0)
    np.testing.assert_array_equal(sample["hr"], soft_picture(1, 32, 33)[:, :32])
