"""LR-GOPRO: windows, rejection, LR in floating point, the test set, and wrong layouts."""

import json

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4, resize_bicubic
from crispstream.core.errors import TrainError, UsageError
from crispstream.train.data.built import BuiltSet
from crispstream.train.data.lr_gopro import build, mean_gradient, triplets
from crispstream.train.evaluate import read_samples
from tests.helpers.pictures import soft_picture, write_picture


@pytest.fixture
def tree(tmp_path):
    """Two training frames and two test frames, sharp and blurred."""
    src = tmp_path / "GOPRO_Large"
    for number, frame in enumerate(
        ("train/s1/{}/1", "train/s2/{}/1", "test/t_1/{}/7", "test/t_1/{}/8")
    ):
        for folder, seed in (("sharp", number), ("blur_gamma", 50 + number)):
            write_picture(src / f"{frame.format(folder)}.png", seed, 290, 300)
    return src


def files_of(folder):
    return json.loads((folder / "manifest.json").read_text())["files"]


def test_windows_of_an_official_frame_are_52():
    sharp = soft_picture(0, 720, 1280)
    found = triplets(sharp, soft_picture(1, 720, 1280))
    assert {name: a.shape for name, a in found.items()} == {
        "lr": (52, 64, 64, 3),
        "lr_sharp": (52, 64, 64, 3),
        "hr": (52, 256, 256, 3),
    }
    assert (found["hr"].dtype, found["lr"].dtype) == (np.uint8, np.float32)
    # 1x4 windows of the frame at 0.5, 2x6 at 0.7, 4x9 at its own size: the last are cuts of it.
    for row in range(4):
        for col in range(9):
            expected = sharp[128 * row : 128 * row + 256, 128 * col : 128 * col + 256]
            np.testing.assert_array_equal(found["hr"][16 + 9 * row + col], expected)


def test_windows_of_resized_frames_start_at_the_top_left():
    sharp, blurred = soft_picture(2, 400, 530), soft_picture(3, 400, 530)
    found = triplets(sharp, blurred)
    # At 0.5 (200x265) none fits; at 0.7 (280x371) one; at 1 (400x528) two rows of three.
    assert len(found["hr"]) == 1 + 6
    small = np.clip(np.floor(resize_bicubic(sharp, 0.7) + 0.5), 0, 255)
    np.testing.assert_array_equal(found["hr"][0], small[:256, :256])
    for k, (top, left) in enumerate((y, x) for y in (0, 128) for x in (0, 128, 256)):
        window = blurred[top : top + 256, left : left + 256]
        expected = resize_bicubic(window.astype(np.float64) / 255, 0.25)
        np.testing.assert_allclose(found["lr"][1 + k], expected, atol=1e-6)


def test_lr_is_neither_rounded_nor_clipped():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::16] = stripes[:, 1::16] = stripes[:, 2::16] = stripes[:, 3::16] = 255
    lr_sharp = triplets(stripes, stripes)["lr_sharp"]
    assert lr_sharp.min() < -0.01
    assert lr_sharp.max() > 0.8
    assert np.abs(lr_sharp * 255 - np.round(lr_sharp * 255)).max() > 0.1


def test_the_mean_gradient_is_that_of_a_direct_computation():
    window = np.random.default_rng(4).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    levels, total = window.astype(np.float64) / 255, 0.0
    for y, x, c in np.ndindex(window.shape):
        above, below, left, right = max(y - 1, 0), min(y + 1, 5), max(x - 1, 0), min(x + 1, 6)
        dy = (levels[below, x, c] - levels[above, x, c]) / (below - above)
        dx = (levels[y, right, c] - levels[y, left, c]) / (right - left)
        total += np.hypot(dx, dy)
    assert mean_gradient(window) == pytest.approx(total / window.size, rel=1e-12)


def test_flat_windows_are_rejected():
    """One grey level a pixel is a gradient of 1/255 = 0.0039, less than 0.005."""
    picture = np.full((256, 512, 3), 100, np.uint8)
    picture[:, :256] = np.arange(256, dtype=np.uint8)[None, :, None]
    assert triplets(picture, picture) == {}
    picture[:, 384:] = soft_picture(5, 256, 128)
    kept = triplets(picture, picture)["hr"]  # of the windows at 0, 128 and 256
    assert len(kept) == 1
    np.testing.assert_array_equal(kept[0], picture[:, 256:])


def test_a_frame_below_a_window_makes_no_files(tree, tmp_path):
    write_picture(tree / "train/s3/sharp/1.png", 8, 100, 120)
    write_picture(tree / "train/s3/blur_gamma/1.png", 9, 100, 120)
    out = build(tree, tmp_path / "out")
    assert BuiltSet.open(out).names == ("train/s1/1", "train/s2/1")


def test_a_set_holds_triplets_and_a_test_set(tree, tmp_path):
    out = build(tree, tmp_path / "out")
    found = BuiltSet.open(out)
    assert (found.kind, len(found), found.fields) == ("lr-gopro", 2, ("hr", "lr", "lr_sharp"))
    sharp = cv2.imread(str(tree / "train/s2/sharp/1.png"))
    np.testing.assert_array_equal(found.sample(1)["hr"], sharp[:256, :256])
    samples = list(read_samples(out / "test"))
    assert [sample.name for sample in samples] == ["t_1_7.png", "t_1_8.png"]
    truth = cv2.imread(str(tree / "test/t_1/sharp/8.png"))[:288, :288]  # a multiple of 16
    blurred = cv2.imread(str(tree / "test/t_1/blur_gamma/8.png"))[:288, :288]
    np.testing.assert_array_equal(samples[1].hr, truth)
    np.testing.assert_array_equal(samples[1].lr, downscale_x4(blurred))


def test_processes_make_the_same_files(tree, tmp_path):
    one, two = build(tree, tmp_path / "one"), build(tree, tmp_path / "two", workers=2)
    assert (one / "manifest.json").read_bytes() == (two / "manifest.json").read_bytes()


def test_an_error_in_a_process_reaches_the_caller_and_the_rest_goes_on(tree, tmp_path):
    frame = tree / "train/s2/sharp/1.png"
    whole = frame.read_bytes()
    frame.write_bytes(b"no picture")
    with pytest.raises(TrainError, match=r"cannot decode .*s2/sharp/1\.png"):
        build(tree, tmp_path / "out", workers=2)
    frame.write_bytes(whole)
    assert len(BuiltSet.open(build(tree, tmp_path / "out", workers=2))) == 2


def test_what_a_layout_lacks_is_named(tree, tmp_path):
    for name in ("1", "2", "3"):
        write_picture(tree / f"train/s1/sharp/9{name}.png", 0, 16, 16)
    with pytest.raises(UsageError, match=r"s1/blur_gamma/91\.png' \(and 2 more\)\. Expected SRC/"):
        build(tree, tmp_path / "out")
    (tree / "train/s2/blur_gamma").rename(tree / "train/s2/blur")
    with pytest.raises(UsageError, match=r"holds test, train; .*\(and 3 more\)"):
        build(tree, tmp_path / "out")
    with pytest.raises(UsageError, match=r"holds s1, s2; missing: '[^']*train/<sequence>'"):
        build(tree / "train", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_twins_of_two_sizes_are_named(tree, tmp_path):
    write_picture(tree / "test/t_1/sharp/7.png", 0, 288, 288)
    with pytest.raises(TrainError, match=r"sharp/7\.png' has 288x288 .* 300x290"):
        build(tree, tmp_path / "out")
