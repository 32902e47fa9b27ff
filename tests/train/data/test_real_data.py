"""The builders on real pictures, where the data folder lies beside the project."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from crispstream.core.bicubic import resize_bicubic
from crispstream.train.data.built import BuiltSet
from crispstream.train.data.defocus_pool import DefocusPlan, build_defocus_pool
from crispstream.train.data.lr_gopro import build
from crispstream.train.evaluate import read_samples

DATA = Path(__file__).parents[4] / "shared/data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the data folder '{DATA}' is not there"),
]


def test_real_pairs_become_lr_gopro(tmp_path):
    pairs = sorted((DATA / "pairs/gopro/sharp").glob("*.png"))
    for split, picture in zip(("train", "test"), pairs, strict=False):
        for side, folder in (("sharp", "sharp"), ("blur_gamma", "blur")):
            place = tmp_path / "src" / split / picture.stem / side
            place.mkdir(parents=True)
            shutil.copy(picture.parent.parent / folder / picture.name, place / "000047.png")
    out = build(tmp_path / "src", tmp_path / "out")
    triplets = BuiltSet.open(out)
    assert 40 <= len(triplets) <= 52
    sample = triplets.sample(7)
    small = resize_bicubic(sample["hr"] / 255, 0.25)
    np.testing.assert_allclose(sample["lr_sharp"], small, atol=1e-6)
    (judged,) = read_samples(out / "test")
    assert judged.lr.shape == (180, 320, 3)


def test_real_depth_and_labels_become_frames_out_of_focus(tmp_path):
    for name in ("depth/nyu/272_rgb.jpg", "depth/nyu/272_depth_mm.png"):
        shutil.copy(DATA / name, tmp_path)
    labelled = sorted((DATA / "seg/camvid").glob("*_rgb.png"))[0]
    for picture in (labelled, labelled.with_name(labelled.name.replace("_rgb", "_label"))):
        shutil.copy(picture, tmp_path)
    plan = DefocusPlan(crop_px=32, crops_per_image=2, classes=12)
    pool = BuiltSet.open(build_defocus_pool([tmp_path], plan, tmp_path / "cache", 1, None))
    samples = [pool.sample(index) for index in range(len(pool))]
    assert len(samples) == 4
    with_labels = [sample for sample in samples if (sample["labels"] != 255).any()]
    assert len(with_labels) == 2
    for sample in samples:
        assert 0 <= sample["sigma"].min() <= sample["sigma"].max() <= 5
        has_labels = any(sample is one for one in with_labels)
        assert (np.ptp(sample["sigma"]) == 0) == has_labels
