"""Pairs to certify on: what is read, what is refused, and how they meet a graph's size."""

import cv2
import numpy as np
import pytest

from crispstream.calib.certify import pairs as module
from crispstream.calib.certify.pairs import Pair, fitted, read_pairs
from crispstream.core.errors import UsageError
from tests.helpers.pictures import soft_picture
from tests.helpers.sets import write_pairs


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def pair(height, width, name="a"):
    truth = soft_picture(3, 4 * height, 4 * width)
    return Pair(name, np.ascontiguousarray(truth[::4, ::4]), truth)


def test_pairs_come_in_the_order_of_their_names(tmp_path):
    folder = write_pairs(tmp_path / "pairs", 3)
    found = read_pairs(folder)
    assert [one.name for one in found.pairs] == ["0", "1", "2"]
    assert found.folder == folder
    for one in found.pairs:
        assert np.array_equal(one.lr, cv2.imread(str(folder / f"lr/{one.name}.png")))
        assert np.array_equal(one.hr, cv2.imread(str(folder / f"hr/{one.name}.png")))


def test_the_digest_is_that_of_the_pixels(tmp_path):
    first, again = (read_pairs(write_pairs(tmp_path / name)).digest for name in "ab")
    assert first == again
    assert len(first) == 64
    image = cv2.imread(str(tmp_path / "a/hr/1.png"))
    image[0, 0, 0] ^= 1
    write(tmp_path / "a/hr/1.png", image)
    assert read_pairs(tmp_path / "a").digest != first


def test_the_kits_own_pairs_are_the_default():
    found = read_pairs(None)
    assert len(found.pairs) >= 4
    assert all(one.hr.shape[0] == 4 * one.lr.shape[0] for one in found.pairs)


def test_without_a_folder_the_kits_own_pairs_are_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SHIPPED", write_pairs(tmp_path / "own"))
    assert read_pairs(None).folder == tmp_path / "own"


def test_folders_that_hold_no_pairs(tmp_path):
    (tmp_path / "lr").mkdir()
    (tmp_path / "hr").mkdir()
    with pytest.raises(UsageError, match=r"no folder of pairs: there are no PNG files in lr/ and"):
        read_pairs(tmp_path)
    with pytest.raises(UsageError, match=r"no folder of pairs: it does not exist"):
        read_pairs(tmp_path / "nowhere")


@pytest.mark.parametrize("side", ["lr", "hr"])
def test_a_half_without_the_other_is_named(tmp_path, side):
    folder = write_pairs(tmp_path / "pairs")
    write(folder / side / "alone.png", soft_picture(0, 8, 8))
    with pytest.raises(UsageError, match=rf"'alone\.png' is in {side}/ only"):
        read_pairs(folder)


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        (np.zeros((24, 32), np.uint8), r"uint8 \[24, 32\]"),
        (np.zeros((24, 32, 4), np.uint8), r"uint8 \[24, 32, 4\]"),
        (np.zeros((24, 32, 3), np.uint16), r"uint16 \[24, 32, 3\]"),
    ],
)
def test_other_colour_depths_are_refused(tmp_path, image, seen):
    folder = write_pairs(tmp_path / "pairs")
    write(folder / "lr/1.png", image)
    with pytest.raises(UsageError, match=rf"1\.png' is {seen}, expected 8 bits .*convert it"):
        read_pairs(folder)


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    folder = write_pairs(tmp_path / "pairs")
    (folder / "hr/0.png").write_bytes(b"not a picture")
    with pytest.raises(UsageError, match=r"0\.png' is not an image"):
        read_pairs(folder)


def test_a_truth_of_another_size_is_refused(tmp_path):
    folder = write_pairs(tmp_path / "pairs", height=24, width=32)
    write(folder / "hr/0.png", soft_picture(0, 96, 120))
    with pytest.raises(UsageError, match=r"is 120x96 px, expected 128x96: 4 times its frame"):
        read_pairs(folder)


def test_a_pair_of_a_fitting_size_is_taken_whole():
    one = pair(8, 12)
    (ready,) = fitted([one], None, 4)
    assert np.array_equal(ready.frame, one.lr)
    assert np.array_equal(ready.truth, one.hr)
    assert ready.judged(one.hr).shape == one.hr.shape


def test_frames_are_mirrored_to_the_size_multiple_and_only_the_rest_is_judged():
    one = pair(7, 10)
    (ready,) = fitted([one], None, 4)
    assert ready.frame.shape == (8, 12, 3)
    assert np.array_equal(ready.frame[:7, :10], one.lr)
    assert np.array_equal(ready.frame[7, :10], one.lr[5])
    assert np.array_equal(ready.frame[:7, 10:], one.lr[:, 8:6:-1])
    restored = np.arange(32 * 48 * 3).reshape(32, 48, 3).astype(np.uint8)
    assert np.array_equal(ready.judged(restored), restored[:28, :40])
    assert ready.truth.shape == (28, 40, 3)


def test_static_graphs_get_the_middle_of_larger_frames():
    one = pair(12, 20)
    (ready,) = fitted([one], (8, 6), 2)
    assert np.array_equal(ready.frame, one.lr[3:9, 6:14])
    assert np.array_equal(ready.truth, one.hr[12:36, 24:56])
    assert np.array_equal(ready.truth[::4, ::4], ready.frame)


def test_static_graphs_get_smaller_frames_mirrored():
    one = pair(6, 8)
    (ready,) = fitted([one], (12, 8), 4)
    assert ready.frame.shape == (8, 12, 3)
    assert np.array_equal(ready.frame[:6, :8], one.lr)
    assert np.array_equal(ready.truth, one.hr)


def test_static_graphs_get_frames_cut_in_one_direction_and_mirrored_in_the_other():
    one = pair(12, 6)
    (ready,) = fitted([one], (8, 8), 4)
    assert np.array_equal(ready.frame[:, :6], one.lr[2:10])
    assert np.array_equal(ready.truth, one.hr[8:40])
