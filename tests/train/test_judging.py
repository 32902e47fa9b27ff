"""Judging the five groups of a BSR test set, by hand on constant maps."""

import json
import math
import shutil

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.errors import UsageError
from crispstream.core.metrics import CONVENTIONS, psnr_db
from crispstream.train.judging import Answer, bsr_split, data_set_of, judge_groups
from tests.helpers.pictures import soft_picture

LABELS = {"a": 1, "b": 40}
"""As NYUv2 has them: classes 0 and 39."""


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def sigma_of(group):
    return group / 2


@pytest.fixture
def split(tmp_path):
    """Two pictures in five groups; sigma is the same in a whole group, a label in a picture."""
    folder = tmp_path / "set" / "test"
    for seed, (name, label) in enumerate(LABELS.items()):
        hr = soft_picture(seed, 64, 96)
        write(folder / "GT" / f"{name}.png", hr)
        write(folder / "semseg" / f"{name}.png", np.full(hr.shape[:2], label, np.uint8))
        for group in range(1, 6):
            tenths = np.full(hr.shape, round(10 * sigma_of(group)), np.uint16)
            write(folder / f"Group{group}/blur/{name}.png", tenths)
            soft = cv2.GaussianBlur(hr, (0, 0), sigma_of(group))
            write(folder / f"Group{group}/LRx4/{name}.png", downscale_x4(soft))
    return folder


def estimator(_frame, truth):
    """Says no blur and class 0 everywhere."""
    size = truth["sigma"].shape
    return Answer(None, np.zeros(size, np.float32), np.zeros(size, np.int64))


def test_frames_are_the_mean_of_the_groups_on_luma(split):
    verdict = judge_groups({"bicubic": lambda lr, _: Answer(upscale_x4(lr))}, split)["bicubic"]
    figures = []
    for group in range(1, 6):
        for name in LABELS:
            lr = cv2.imread(str(split / f"Group{group}/LRx4/{name}.png"))
            hr = cv2.imread(str(split / f"GT/{name}.png"))
            figures.append(psnr_db(upscale_x4(lr), hr, CONVENTIONS["cmos"]))
    assert verdict.maps is None
    assert verdict.restored.frames == 10
    assert verdict.restored.psnr_db == pytest.approx(np.mean(figures))
    assert verdict.restored.gain_db == 0
    assert verdict.restored.model == "bicubic"


def test_maps_are_the_mean_of_the_groups(split):
    """Sigma of k/2 is a share of k/10 of 5. Class 0: half of what was found; class 39: nothing."""
    verdict = judge_groups({"zero": estimator}, split)["zero"]
    assert verdict.restored is None
    assert verdict.maps.frames == 10
    expected = np.mean([-20 * math.log10(group / 10) for group in range(1, 6)])
    assert verdict.maps.sigma_psnr_db == pytest.approx(expected, abs=1e-5)
    # Constant maps, 0 and v: the SSIM is its first factor, c1 / (v^2 + c1).
    c1, levels = (0.01 * 255) ** 2, [25.5 * group for group in range(1, 6)]
    expected = np.mean([c1 / (level**2 + c1) for level in levels])
    assert verdict.maps.sigma_ssim == pytest.approx(expected, abs=1e-6)
    assert verdict.maps.mean_iou == pytest.approx((1 / 2 + 0) / 2)


def test_true_maps_are_given_and_the_worst_frame_is_named(split):
    def peeking(lr, truth):
        assert set(np.unique(truth["labels"])) <= {0, 39}
        restored = upscale_x4(lr)
        fault = truth["sigma"][0, 0] == sigma_of(4) and truth["labels"][0, 0] == 39
        return Answer(255 - restored if fault else restored)

    verdict = judge_groups({"peeking": peeking}, split)["peeking"]
    assert verdict.restored.worst == "Group4/b"


def test_labels_tell_the_data_set(split):
    assert data_set_of(split).kind == "nyuv2-bsr"
    write(split / "semseg" / "a.png", np.full((64, 96), 18, np.uint8))
    assert data_set_of(split).kind == "nyuv2-bsr"
    write(split / "semseg" / "b.png", np.full((64, 96), 255, np.uint8))
    assert data_set_of(split).kind == "cityscapes-bsr"
    write(split / "semseg" / "b.png", np.full((64, 96), 18, np.uint8))
    with pytest.raises(UsageError, match="whole split"):
        data_set_of(split)


def make_manifest(folder, kind):
    about = {"schema": 1, "kind": kind, "settings": {}, "sources": "", "files": {}}
    (folder / "manifest.json").write_text(json.dumps(about))


@pytest.mark.parametrize("kind", ["nyuv2-bsr", "cityscapes-bsr"])
def test_a_built_set_says_itself_which_it_is(split, kind):
    """Labels of neither set alone, and labels that the other set has not."""
    make_manifest(split.parent, kind)
    assert data_set_of(split).kind == kind
    write(split / "semseg" / "b.png", np.full((64, 96), 18, np.uint8))
    assert data_set_of(split).kind == kind


def test_a_manifest_of_another_kind_leaves_it_to_the_labels(split):
    make_manifest(split.parent, "sisr")
    assert data_set_of(split).kind == "nyuv2-bsr"


def test_a_split_without_groups_is_one_group(split):
    for part in ("LRx4", "blur"):
        (split / "Group2" / part).rename(split / part)
    for group in range(1, 6):
        shutil.rmtree(split / f"Group{group}")
    assert bsr_split(split) == split
    told = []
    found = judge_groups({"zero": estimator}, split, told.append)["zero"]
    assert told == ["a", "b"]
    assert found.maps.frames == 2
    assert found.maps.sigma_psnr_db == pytest.approx(-20 * math.log10(0.2), abs=1e-5)
    assert found.maps.mean_iou == pytest.approx((1 / 2 + 0) / 2)


def test_an_unfinished_set_is_not_judged(split):
    (split.parent / "journal.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="interrupted"):
        judge_groups({"zero": estimator}, split)


def test_who_was_told_the_maps_is_said(split):
    told = judge_groups(
        {
            "told": lambda lr, _: Answer(upscale_x4(lr), true_maps=True),
            "blind": lambda lr, _: Answer(upscale_x4(lr)),
        },
        split,
    )
    assert {name: verdict.true_maps for name, verdict in told.items()} == {
        "told": True,
        "blind": False,
    }


def test_where_nothing_is_labelled_there_is_no_iou(split):
    for name in LABELS:
        write(split / "semseg" / f"{name}.png", np.full((64, 96), 255, np.uint8))
    maps = judge_groups({"zero": estimator}, split)["zero"].maps
    assert maps.mean_iou is None
    expected = np.mean([-20 * math.log10(group / 30) for group in range(1, 6)])
    assert maps.sigma_psnr_db == pytest.approx(expected, abs=1e-5)


def test_the_split_is_found_and_what_is_not_one_is_not(split, tmp_path):
    assert bsr_split(split) == bsr_split(split.parent) == split
    assert bsr_split(tmp_path) is None


def test_mistakes(split):
    def confident(_frame, truth):
        return Answer(None, truth["sigma"], np.full(truth["sigma"].shape, 40))

    with pytest.raises(UsageError, match=r"class 40.*nyuv2-bsr"):
        judge_groups({"confident": confident}, split)
    (split / "Group5/blur/b.png").unlink()
    with pytest.raises(UsageError, match=r"Group5/blur/b\.png"):
        judge_groups({"zero": estimator}, split)
