"""REDS in both of its layouts: shards, Val300, and what lacks."""

import shutil

import cv2
import numpy as np
import pytest

from crispstream.core.errors import TrainError, UsageError
from crispstream.train.data.built import BuiltSet
from crispstream.train.data.reds import build
from crispstream.train.evaluate import read_samples
from tests.helpers.pictures import write_picture

BLUR, SHARP = (7, 8), (28, 32)


def write_frames(folder, names, seed, size):
    for number, name in enumerate(names):
        write_picture(folder / f"{name}.png", seed + number, *size)


@pytest.fixture
def official(tmp_path):
    """Two training sequences of two frames, one validation sequence of 21."""
    src = tmp_path / "REDS"
    for seed, sequence in enumerate(("000", "239")):
        for k, (name, size) in enumerate(
            (
                ("train_blur_bicubic/X4", BLUR),
                ("train_sharp_bicubic/X4", BLUR),
                ("train_sharp", SHARP),
            )
        ):
            frames = ["00000000", "00000099"]
            write_frames(src / "train" / name / sequence, frames, 100 * k + 10 * seed, size)
    for k, (name, size) in enumerate((("val_blur_bicubic/X4", BLUR), ("val_sharp", SHARP))):
        write_frames(src / "val" / name / "007", [f"{n:08d}" for n in range(21)], 500 * k, size)
    return src


@pytest.fixture
def cnlrn(official, tmp_path):
    """The same frames as the code of CNLRN keeps them."""
    src = tmp_path / "cnlrn"
    for ours, theirs in (
        ("train_blur_bicubic/X4", "blur_bicubic_X4"),
        ("train_sharp_bicubic/X4", "sharp_bicubic_X4"),
        ("train_sharp", "sharp"),
    ):
        shutil.copytree(official / "train" / ours, src / "train_240" / theirs)
    for ours, theirs in (("val_blur_bicubic/X4", "blur_bicubic_X4"), ("val_sharp", "sharp")):
        (src / "Val300" / theirs).mkdir(parents=True)
        for frame in ("00000009", "00000019"):
            copy = src / "Val300" / theirs / f"007_{frame}.png"
            shutil.copy(official / "val" / ours / f"007/{frame}.png", copy)
    return src


def test_a_frame_is_a_sample_and_every_tenth_a_test(official, tmp_path):
    out = build(official, tmp_path / "out")
    found = BuiltSet.open(out)
    assert (found.kind, len(found), found.fields) == ("reds", 4, ("hr", "lr", "lr_sharp"))
    assert found.names[3] == "train/239/00000099"
    for field, folder in (
        ("lr", "train_blur_bicubic/X4"),
        ("lr_sharp", "train_sharp_bicubic/X4"),
        ("hr", "train_sharp"),
    ):
        expected = cv2.imread(str(official / "train" / folder / "239/00000099.png"))
        np.testing.assert_array_equal(found.sample(3)[field], expected)
    samples = list(read_samples(out / "test"))
    assert [s.name for s in samples] == ["007_00000009.png", "007_00000019.png"]
    expected = cv2.imread(str(official / "val/val_sharp/007/00000019.png"))
    np.testing.assert_array_equal(samples[1].hr, expected)
    expected = cv2.imread(str(official / "val/val_blur_bicubic/X4/007/00000019.png"))
    np.testing.assert_array_equal(samples[1].lr, expected)


def test_both_layouts_make_the_same_files(official, cnlrn, tmp_path):
    one, two = build(official, tmp_path / "one"), build(cnlrn, tmp_path / "two")
    files = [
        {p.relative_to(out): p.read_bytes() for p in out.rglob("*.*") if p.name != "manifest.json"}
        for out in (one, two)
    ]
    assert len(files[0]) == 4 * 3 + 2 * 2
    assert files[0] == files[1]


def test_what_lacks_is_named(official, tmp_path):
    (official / "train/train_sharp_bicubic/X4/239/00000099.png").unlink()
    with pytest.raises(UsageError, match=r"sharp_bicubic/X4/239/00000099\.png'\. Expected SRC/tr"):
        build(official, tmp_path / "out")
    shutil.rmtree(official / "train/train_sharp/000")
    with pytest.raises(UsageError, match=r"train_sharp/000' \(and 1 more\)"):
        build(official, tmp_path / "out")
    shutil.rmtree(official / "val")
    with pytest.raises(UsageError, match=r"holds train; missing: .* \(and 2 more\)"):
        build(official, tmp_path / "out")
    with pytest.raises(UsageError, match=r"holds train_blur_.*'[^']*train_blur_bicubic/X4/000'"):
        build(official / "train", tmp_path / "out")


def test_validation_frames_without_a_tenth_are_refused(official, tmp_path):
    for folder in ("val_sharp", "val_blur_bicubic/X4"):
        for number in (9, 19):
            (official / "val" / folder / f"007/{number:08d}.png").unlink()
    with pytest.raises(UsageError, match=r"val_blur_bicubic/X4/007/00000009\.png"):
        build(official, tmp_path / "out")


def test_cnlrn_without_its_test_set_is_refused(cnlrn, tmp_path):
    shutil.rmtree(cnlrn / "Val300")
    with pytest.raises(UsageError, match=r"Val300/blur_bicubic_X4' \(and 1 more\)"):
        build(cnlrn, tmp_path / "out")


def test_frames_of_a_wrong_size_and_broken_ones_are_named(official, tmp_path):
    frame = official / "train/train_sharp/000/00000000.png"
    write_picture(frame, 0, 28, 28)
    with pytest.raises(TrainError, match=r"train_sharp/000/00000000\.png' 28x28; expected 4 times"):
        build(official, tmp_path / "out")
    frame.write_text("broken")
    with pytest.raises(TrainError, match="cannot decode"):
        build(official, tmp_path / "out")
