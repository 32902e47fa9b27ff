"""Degradations: physics that can be checked by hand."""

import cv2
import numpy as np
import pytest

from crispstream.core.metrics import psnr_db
from crispstream.train.degrade.camera import (
    CameraRange,
    add_noise,
    compress,
    h264,
    jpeg,
    to_bytes,
    to_linear,
)
from crispstream.train.degrade.motion import MotionRange, blur, camera_path, homography
from crispstream.train.degrade.pipeline import Degradation

CENTRE, FOCAL_PX = (64.0, 64.0), 1000.0
QUIET = CameraRange((1e-12, 1.1e-12), (1e-12, 1.1e-12), jpeg_share=0, h264_share=0)


def paths(count=200, motion=None):
    rng = np.random.default_rng(0)
    return [camera_path(rng, motion or MotionRange()) for _ in range(count)]


def test_the_mean_pose_is_the_truth():
    for path in paths():
        np.testing.assert_allclose(path.mean(axis=0), 0, atol=1e-12)


def test_paths_are_as_long_as_asked_and_some_stand_still():
    lengths = [np.hypot(*np.diff(path[:, :2], axis=0).T).sum() for path in paths()]
    assert max(lengths) <= MotionRange().longest_px + 1e-9
    assert max(lengths) > 0.8 * MotionRange().longest_px
    still = sum(length == 0 for length in lengths)
    assert 10 <= still <= 45  # 12 % of 200


def test_paths_are_smooth():
    """Neighbouring steps turn by little (a die would turn by a quarter on average): a hand."""
    turns = []
    for path in paths(100, MotionRange(still_share=0)):
        steps = np.diff(path[:, :2], axis=0)
        angle = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        turns.extend(np.abs(np.diff(angle)))
    assert np.mean(turns) < np.pi / 4


def test_blur_is_a_mean_in_linear_light():
    """A white point moved over 5 pixels leaves a fifth of its light, not of its byte."""
    point = np.zeros((128, 128, 3), np.float32)
    point[64, 64] = 1.0
    path = np.array([[dx, 0.0, 0.0] for dx in (-2, -1, 0, 1, 2)])
    blurred = blur(point, path, FOCAL_PX, CENTRE)
    np.testing.assert_allclose(blurred[64, 62:67, 0], 0.2, atol=0.02)
    assert blurred.sum() == pytest.approx(3.0, rel=1e-3)
    assert to_bytes(blurred)[64, 64, 0] == pytest.approx(255 * 0.2 ** (1 / 2.2), abs=8)


def test_a_turn_moves_the_centre_by_its_pixels_and_rolling_only_the_corners():
    sideways = homography(np.array([7.0, 0.0, 0.0]), FOCAL_PX, CENTRE) @ [64, 64, 1]
    np.testing.assert_allclose(np.abs(sideways[:2] / sideways[2] - [64, 64]), [7, 0], atol=0.01)
    roll = homography(np.array([0.0, 0.0, 0.05]), FOCAL_PX, CENTRE)
    centre, corner = roll @ [64, 64, 1], roll @ [0, 0, 1]
    np.testing.assert_allclose(centre[:2] / centre[2], [64, 64], atol=1e-9)
    assert np.hypot(*(corner[:2] / corner[2])) == pytest.approx(0.05 * np.hypot(64, 64), rel=0.01)


def test_noise_has_the_variance_of_its_formula():
    rng = np.random.default_rng(3)
    camera = CameraRange(shot_noise=(4e-4, 4.0001e-4), read_noise=(2e-3, 2.0001e-3))
    noisy = add_noise(np.full((400, 400, 3), 0.5), rng, camera)
    assert noisy.mean() == pytest.approx(0.5, abs=1e-3)
    assert noisy.var() == pytest.approx(4e-4 * 0.5 + 4e-6, rel=0.02)


@pytest.mark.parametrize("codec", [jpeg, h264])
def test_codecs_lose_more_at_worse_settings(codec):
    rng = np.random.default_rng(4)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (64, 96, 3), np.uint8), (0, 0), 2)
    good, bad = (95, 30) if codec is jpeg else (10, 40)
    assert psnr_db(codec(picture, good), picture) > psnr_db(codec(picture, bad), picture) + 3
    assert codec(picture, good).shape == picture.shape


def test_compression_keeps_its_shares():
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 256, (16, 16, 3), np.uint8)
    camera = CameraRange(jpeg_share=0.5, h264_share=0.0)
    unchanged = sum(np.array_equal(compress(picture, rng, camera), picture) for _ in range(100))
    assert 30 <= unchanged <= 70


def test_bytes_survive_the_way_to_linear_light_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(to_bytes(to_linear(levels)), levels)


def test_a_pair_is_four_to_one_aligned_and_repeatable():
    degradation = Degradation(MotionRange(longest_px=8, still_share=1.0), QUIET, soft_share=0.0)
    margin = degradation.margin_px()
    sharp = cv2.GaussianBlur(
        np.random.default_rng(6).integers(0, 256, (64 + 2 * margin, 96 + 2 * margin, 3), np.uint8),
        (0, 0),
        3,
    )
    lr, hr = degradation.pair(sharp, np.random.default_rng(7))
    assert (lr.shape, hr.shape) == ((16, 24, 3), (64, 96, 3))
    np.testing.assert_array_equal(hr, sharp[margin:-margin, margin:-margin])
    area = cv2.resize(hr, (24, 16), interpolation=cv2.INTER_AREA)
    assert psnr_db(lr, area) > 35
    again, _ = degradation.pair(sharp, np.random.default_rng(7))
    np.testing.assert_array_equal(lr, again)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: MotionRange(longest_px=-1),
        lambda: MotionRange(still_share=2),
        lambda: CameraRange(jpeg_share=0.6, h264_share=0.6),
        lambda: CameraRange(read_noise=(0.0, 1.0)),
    ],
)
def test_ranges_that_cannot_be_drawn_from_are_refused(bad):
    with pytest.raises(ValueError, match=r"MotionRange|CameraRange"):
        bad()


def test_a_soft_scene_is_soft_in_its_truth_too():
    sharp = np.random.default_rng(8).integers(0, 256, (160, 160, 3), np.uint8)
    motion = MotionRange(longest_px=8, still_share=1.0)
    soft = Degradation(motion, QUIET, soft_share=1.0, soft_px=(2.0, 2.0))
    crisp = Degradation(motion, QUIET, soft_share=0.0)
    _, soft_hr = soft.pair(sharp, np.random.default_rng(9))
    _, crisp_hr = crisp.pair(sharp, np.random.default_rng(9))
    assert soft_hr.std() < 0.3 * crisp_hr.std()
