"""Sets for super-resolution without blur: luma patches, test pairs, layouts."""

import json

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4, resize_bicubic
from crispstream.core.errors import TrainError, UsageError
from crispstream.train.data.built import BuiltSet
from crispstream.train.data.sisr import build
from crispstream.train.evaluate import read_samples
from tests.helpers.pictures import write_picture


@pytest.fixture
def tree(tmp_path):
    src = tmp_path / "sisr"
    write_picture(src / "train/91/t1.bmp", 0, 84, 125)
    write_picture(src / "train/200/tiny.jpg", 1, 40, 60)
    write_picture(src / "test/Set5/baby.png", 2, 43, 50)
    write_picture(src / "test/Set14/zebra.bmp", 3, 64, 48)
    (src / "train/91/._t1.bmp").write_text("what a Mac puts beside a picture")
    return src


def luma_bytes(picture_bgr):
    """MATLAB's rgb2ycbcr of bytes, channel by channel."""
    blue, green, red = (picture_bgr[..., k] / 255.0 for k in range(3))
    return np.floor(16 + 65.481 * red + 128.553 * green + 24.966 * blue + 0.5)


def test_patches_are_those_of_a_direct_computation(tree, tmp_path):
    found = BuiltSet.open(build(tree, tmp_path / "out"))
    assert (found.kind, found.fields) == ("sisr", ("y", "y_interpolated"))
    assert found.names == ("train/91/t1.bmp",)
    # 84x125 holds 2x3 windows of 41 for x2, x3 and x4; at 0.7 (59x88) 1x2; at 0.5 (42x63) 1x1 for
    # x2 and x3, and none for x4, which cuts it to 40 rows.
    assert len(found) == 3 * 6 + 3 * 2 + 2
    picture = cv2.imread(str(tree / "train/91/t1.bmp"))
    y = luma_bytes(picture)[:84, :123] / 255
    small = resize_bicubic(y[..., None], 1 / 3)
    large = resize_bicubic(small, 3.0)[..., 0]
    sample = found.sample(6 + 4)  # x3, second row, second column
    assert sample["y"].shape == (41, 41, 1)
    assert sample["y"].dtype == np.float32
    np.testing.assert_allclose(sample["y"][..., 0], y[41:82, 41:82], atol=1e-7)
    np.testing.assert_allclose(sample["y_interpolated"][..., 0], large[41:82, 41:82], atol=1e-6)
    shrunk = np.clip(np.floor(resize_bicubic(picture, 0.5) + 0.5), 0, 255)
    expected = luma_bytes(shrunk)[:41, :41] / 255
    np.testing.assert_allclose(found.sample(24)["y"][..., 0], expected, atol=1e-7)


def test_luma_has_studio_swing(tmp_path, tree):
    white = np.full((41, 41, 3), 255, np.uint8)
    assert cv2.imwrite(str(tree / "train/91/t1.bmp"), np.pad(white, ((0, 1), (0, 1), (0, 0))))
    y = BuiltSet.open(build(tree, tmp_path / "out")).sample(0)["y"]
    assert y[0, 0, 0] == pytest.approx(235 / 255)


def test_test_sets_are_pairs_in_colour(tree, tmp_path):
    out = build(tree, tmp_path / "out")
    (baby,) = read_samples(out / "test/Set5")
    expected = cv2.imread(str(tree / "test/Set5/baby.png"))[:40, :48]
    np.testing.assert_array_equal(baby.hr, expected)
    np.testing.assert_array_equal(baby.lr, downscale_x4(expected))
    (zebra,) = read_samples(out / "test/Set14")
    assert (zebra.name, zebra.lr.shape) == ("zebra.png", (16, 12, 3))
    assert json.loads((out / "manifest.json").read_text())["items"] == 4


def test_what_lacks_is_named(tree, tmp_path):
    (tree / "test/Urban100").mkdir()
    with pytest.raises(UsageError, match=r"missing: '[^']*test/Urban100/\*\.png'\. Expected SRC/"):
        build(tree, tmp_path / "out")
    with pytest.raises(UsageError, match=r"train/\*\.png' \(and 1 more\)"):
        build(tree / "train", tmp_path / "out")
    (tree / "test").rename(tree / "other")
    with pytest.raises(UsageError, match=r"holds other, train; missing: '[^']*test/Set5/\*\.png'"):
        build(tree, tmp_path / "out")


def test_two_pictures_of_one_name_are_refused(tree, tmp_path):
    write_picture(tree / "test/Set5/baby.bmp", 4, 40, 40)
    with pytest.raises(UsageError, match="2 pictures called 'baby'"):
        build(tree, tmp_path / "out")


def test_a_broken_picture_is_named(tree, tmp_path):
    (tree / "train/91/t1.bmp").write_text("broken")
    with pytest.raises(TrainError, match=r"t1\.bmp"):
        build(tree, tmp_path / "out")


def test_a_jpeg_that_was_cut_is_refused(tree, tmp_path):
    path = tree / "train/91/long.jpg"
    write_picture(path, 5, 200, 200)
    whole = path.read_bytes()
    path.write_bytes(whole + b"what a camera adds")
    build(tree, tmp_path / "out")
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(TrainError, match=r"no end to the JPEG '[^']*long\.jpg'; unpack it again"):
        build(tree, tmp_path / "cut")


def test_grey_levels_of_sixteen_bits_are_no_picture(tree, tmp_path):
    depth = np.full((50, 50), 900, np.uint16)
    assert cv2.imwrite(str(tree / "train/91/depth.png"), depth)
    with pytest.raises(TrainError, match=r"depth\.png' has one channel of uint16"):
        build(tree, tmp_path / "out")
