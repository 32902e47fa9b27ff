"""Degradations: physics that can be checked by hand."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4, upscale_x4
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
from crispstream.train.degrade.exposure import ExposureRange
from crispstream.train.degrade.foreground import ForegroundRange
from crispstream.train.degrade.lens import LensRange
from crispstream.train.degrade.motion import MotionRange, blur, camera_path, homography
from crispstream.train.degrade.pipeline import Degradation
from tests.helpers.pictures import soft_picture

CENTRE, FOCAL_PX = (64.0, 64.0), 1000.0
CLEAN = CameraRange(clean_share=1.0)
NOISY = CameraRange(clean_share=0.0, dim_share=0.0, jpeg_share=0.0, h264_share=0.0)
STILL, MOVING = MotionRange(8.0, still_share=1.0), MotionRange(8.0, still_share=0.0)
PLAIN = Degradation(
    STILL,
    CLEAN,
    soft_share=0.0,
    enlarged_share=0.0,
    exposure=ExposureRange(dark_share=0.0, bright_share=0.0),
    foreground=ForegroundRange(share=0.0),
    lens=LensRange(share=0.0),
)
"""Nothing but the reduction: each test adds one thing."""


def pair(degradation, sharp=None, seed=7):
    """Return (lr, hr) of a picture that is 64x96 without its margin."""
    margin = degradation.margin_px()
    if sharp is None:
        sharp = soft_picture(6, 64 + 2 * margin, 96 + 2 * margin)
    return degradation.pair(sharp, np.random.default_rng(seed))


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


def test_short_and_long_paths_are_drawn_alike():
    """8, 16 and 32 pixels are all learnt, if the longest is 40."""
    motion = MotionRange(still_share=0.0)
    lengths = [np.hypot(*np.diff(p[:, :2], axis=0).T).sum() for p in paths(600, motion)]
    counts, _ = np.histogram(lengths, bins=5, range=(0, motion.longest_px))
    assert counts.min() > 0.14 * 600
    shorter = paths(200, replace(motion, length_power=3.0))
    assert np.median([np.ptp(path[:, :2]) for path in shorter]) < 8


def test_a_pan_is_straight_and_even_and_its_views_lie_close():
    for path in paths(50, MotionRange(still_share=0.0, pan_share=1.0)):
        steps = np.diff(path, axis=0)
        np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-9)
        assert np.hypot(*steps[0, :2]) <= 2
        assert np.abs(steps[0, 2]) * 300 <= 2
    walks = paths(50, MotionRange(still_share=0.0, pan_share=0.0))
    assert max(np.ptp(np.diff(path, axis=0)[:, 0]) for path in walks) > 0.5


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


def test_a_margin_is_left_out_of_the_blur():
    linear = to_linear(soft_picture(2, 60, 80))
    path = paths(1, MotionRange(8.0, still_share=0.0))[0]
    whole, part = (blur(linear, path, FOCAL_PX, (40.0, 30.0), margin) for margin in (0, 12))
    np.testing.assert_allclose(part, whole[12:-12, 12:-12], atol=0.01)


def test_a_turn_moves_the_centre_by_its_pixels_and_rolling_only_the_corners():
    sideways = homography(np.array([7.0, 0.0, 0.0]), FOCAL_PX, CENTRE) @ [64, 64, 1]
    np.testing.assert_allclose(np.abs(sideways[:2] / sideways[2] - [64, 64]), [7, 0], atol=0.01)
    roll = homography(np.array([0.0, 0.0, 0.05]), FOCAL_PX, CENTRE)
    centre, corner = roll @ [64, 64, 1], roll @ [0, 0, 1]
    np.testing.assert_allclose(centre[:2] / centre[2], [64, 64], atol=1e-9)
    assert np.hypot(*(corner[:2] / corner[2])) == pytest.approx(0.05 * np.hypot(64, 64), rel=0.01)


def test_noise_has_the_variance_of_its_formula():
    rng = np.random.default_rng(3)
    camera = replace(NOISY, shot_noise=(4e-4, 4.0001e-4), read_noise=(2e-3, 2.0001e-3))
    noisy = add_noise(np.full((400, 400, 3), 0.5), rng, camera)
    assert noisy.mean() == pytest.approx(0.5, abs=1e-3)
    assert noisy.var() == pytest.approx(4e-4 * 0.5 + 4e-6, rel=0.02)


def test_low_light_has_noise_of_its_own_on_its_share_of_frames():
    rng, camera = np.random.default_rng(3), replace(NOISY, dim_share=0.3)
    grey = np.full((40, 40, 3), 0.5)
    brightest = camera.shot_noise[1] * 0.5 + camera.read_noise[1] ** 2
    worse = sum(add_noise(grey, rng, camera).var() > 1.2 * brightest for _ in range(200))
    assert 15 <= worse <= 75


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_clean_frames_are_the_reduction_and_nothing_else(share):
    frame = soft_picture(1, 64, 64)
    degradation = Degradation(camera=replace(NOISY, clean_share=share, read_noise=(0.01, 0.011)))
    rng, expected = np.random.default_rng(1), downscale_x4(frame)
    seen = (degradation.sense(to_linear(frame), 2.2, rng) for _ in range(40))
    clean = sum(np.array_equal(lr, expected) for lr in seen)
    assert clean == 40 * share if share != 0.5 else 10 <= clean <= 30


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
    camera = replace(NOISY, jpeg_share=0.5)
    unchanged = sum(np.array_equal(compress(picture, rng, camera), picture) for _ in range(100))
    assert 30 <= unchanged <= 70


@pytest.mark.parametrize("gamma", [1.0, 2.2, 3.2])
def test_bytes_survive_the_way_to_linear_light_and_back(gamma):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(to_bytes(to_linear(levels, gamma), gamma), levels)


def test_a_pair_is_four_to_one_aligned_and_repeatable():
    margin = PLAIN.margin_px()
    sharp = soft_picture(6, 64 + 2 * margin, 96 + 2 * margin)
    lr, hr = pair(PLAIN, sharp)
    assert (lr.shape, hr.shape) == ((16, 24, 3), (64, 96, 3))
    np.testing.assert_array_equal(hr, sharp[margin:-margin, margin:-margin])
    np.testing.assert_array_equal(lr, downscale_x4(hr))
    for once, again in zip(pair(Degradation()), pair(Degradation()), strict=True):
        np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: MotionRange(longest_px=-1),
        lambda: MotionRange(still_share=2),
        lambda: CameraRange(jpeg_share=0.6, h264_share=0.6),
        lambda: CameraRange(read_noise=(0.0, 1.0)),
        lambda: CameraRange(dim_shot_noise=(0.0, 1.0)),
        lambda: CameraRange(clean_share=1.1),
        lambda: MotionRange(pan_share=-0.1),
        lambda: MotionRange(length_power=0),
        lambda: ExposureRange(dark_share=0.6, bright_share=0.6),
        lambda: ExposureRange(bright_gain=(0.0, 2.0)),
        lambda: ForegroundRange(fixed_share=2),
        lambda: ForegroundRange(radius=(0.0, 0.1)),
        lambda: LensRange(share=2),
        lambda: LensRange(radius_px=(-1.0, 2.0)),
    ],
)
def test_ranges_that_cannot_be_drawn_from_are_refused(bad):
    with pytest.raises(ValueError, match=r"got \w+Range\("):
        bad()


def test_a_soft_scene_is_soft_in_its_truth_too():
    sharp = np.random.default_rng(8).integers(0, 256, (80, 112, 3), np.uint8)
    _, soft_hr = pair(replace(PLAIN, soft_share=1.0, soft_px=(2.0, 2.0)), sharp)
    _, crisp_hr = pair(PLAIN, sharp)
    assert soft_hr.std() < 0.3 * crisp_hr.std()


def test_a_frame_that_was_enlarged_before_is_to_be_left_as_it_is():
    sharp = np.random.default_rng(8).integers(0, 256, (80, 112, 3), np.uint8)
    lr, hr = pair(replace(PLAIN, motion=MOVING, enlarged_share=1.0), sharp)
    assert psnr_db(upscale_x4(lr), hr) > 45
    lr, hr = pair(PLAIN, sharp)
    assert psnr_db(upscale_x4(lr), hr) < 25


def test_a_truth_is_as_dark_or_as_clipped_as_its_frame():
    dark = ExposureRange(dark_share=1.0, dark_gain=(0.25, 0.25), bright_share=0.0)
    bright = ExposureRange(dark_share=0.0, bright_share=1.0, bright_gain=(3.0, 3.0))
    _, good = pair(PLAIN)
    for exposure, gain in ((dark, 0.25), (bright, 3.0)):
        lr, hr = pair(replace(PLAIN, exposure=exposure))
        np.testing.assert_allclose(hr.astype(int), to_bytes(to_linear(good) * gain), atol=1)
        np.testing.assert_allclose(lr.astype(int), downscale_x4(hr), atol=1)
    assert (hr == 255).mean() > 2 * (good == 255).mean()


def test_light_that_saturates_leaves_a_bright_streak():
    """The sensor clips what has been blurred: after clipping, a brighter lamp were no brighter."""
    lamp = np.zeros((80, 112, 3), np.uint8)
    lamp[38:42, 54:58] = 255
    exposure = ExposureRange(dark_share=0.0, bright_share=1.0, bright_gain=(1.0, 1.0))
    moving = replace(PLAIN, motion=MOVING, exposure=exposure)
    lr, hr = pair(moving, lamp)
    bright_lr, bright_hr = pair(
        replace(moving, exposure=replace(exposure, bright_gain=(3.0, 3.0))), lamp
    )
    np.testing.assert_array_equal(bright_hr, hr)
    assert bright_lr.sum() > 1.2 * lr.sum()


def test_a_lens_out_of_focus_blurs_the_frame_and_not_its_truth():
    lr, hr = pair(PLAIN)
    blurred, truth = pair(replace(PLAIN, lens=LensRange(1.0, (6.0, 6.0))))
    np.testing.assert_array_equal(truth, hr)
    assert (
        np.abs(np.diff(blurred.astype(int))).mean() < 0.8 * np.abs(np.diff(lr.astype(int))).mean()
    )


def test_an_object_in_front_is_in_the_frame_and_its_truth():
    _, empty = pair(PLAIN)
    lr, hr = pair(replace(PLAIN, foreground=ForegroundRange(1.0)))
    changed = (hr != empty).any(axis=2).mean()
    assert 0.02 < changed < 0.7
    np.testing.assert_allclose(lr.astype(int), downscale_x4(hr), atol=1)


def test_behind_an_object_a_fixed_camera_sees_sharply_and_a_moving_one_does_not():
    kept = []
    for fixed_share in (1.0, 0.0):
        foreground = ForegroundRange(1.0, fixed_share, radius=(0.05, 0.06))
        lr, hr = pair(replace(PLAIN, motion=MOVING, foreground=foreground))
        kept.append((np.abs(lr.astype(int) - downscale_x4(hr)).max(axis=2) <= 1).mean())
    assert kept[0] > 0.6 > kept[1]
