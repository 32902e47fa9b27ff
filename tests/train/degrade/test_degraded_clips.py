"""Degraded clips: frames and truths of one camera that moves, or stands still."""

from dataclasses import replace

import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4
from crispstream.core.metrics import psnr_db
from crispstream.train.degrade.camera import CameraRange
from crispstream.train.degrade.clips import (
    STEPS,
    ClipDegradation,
    clip_path,
    h264_stream,
    one_camera,
)
from crispstream.train.degrade.exposure import ExposureRange
from tests.helpers.pictures import soft_picture

CLEAN = CameraRange(clean_share=1.0, h264_share=0.0)
NOISY = CameraRange(clean_share=0.0, jpeg_share=0.0, h264_share=0.0, shot_noise=(4e-4, 5e-4))
STILL = ClipDegradation(
    8.0,
    still_share=1.0,
    h264_share=0.0,
    camera=CLEAN,
    exposure=ExposureRange(dark_share=0.0, bright_share=0.0),
)
MOVING = replace(STILL, still_share=0.0)
MARGIN = MOVING.margin_px(4)
SCENE = soft_picture(3, 64 + 2 * MARGIN, 96 + 2 * MARGIN)
MIDDLE = SCENE[MARGIN:-MARGIN, MARGIN:-MARGIN]


def clip(degradation, shots=([SCENE] * 4,), seed=5):
    return degradation.clip(shots, MARGIN, np.random.default_rng(seed))


def test_a_clip_has_the_sizes_it_says():
    lr, hr = clip(MOVING)
    assert (lr.shape, hr.shape) == ((4, 16, 24, 3), (4, 64, 96, 3))
    assert lr.dtype == hr.dtype == np.uint8


def test_a_still_camera_shows_the_reduced_scene_in_every_frame():
    lr, hr = clip(STILL)
    for small, large in zip(lr, hr, strict=True):
        np.testing.assert_array_equal(large, MIDDLE)
        np.testing.assert_allclose(small, downscale_x4(MIDDLE), atol=1)


def test_noise_is_fresh_in_each_frame_and_of_one_strength_in_all():
    lr, hr = clip(replace(STILL, camera=NOISY))
    assert (hr == hr[0]).all()
    noise = lr.astype(float) - downscale_x4(MIDDLE)
    deviations = noise.std(axis=(1, 2, 3))
    assert deviations.min() > 0.5
    assert deviations.max() < 1.3 * deviations.min()
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2


def test_one_camera_has_one_strength_of_noise_and_one_quality():
    rng = np.random.default_rng(1)
    cameras = [one_camera(CameraRange(dim_share=0.5), rng) for _ in range(40)]
    for camera in cameras:
        assert camera.shot_noise[0] == camera.shot_noise[1]
        assert camera.read_noise[0] == camera.read_noise[1]
        assert camera.jpeg_quality[0] == camera.jpeg_quality[1]
        assert {camera.clean_share, camera.jpeg_share} <= {0.0, 1.0}
    assert len({camera.shot_noise for camera in cameras}) == 40
    assert {camera.clean_share for camera in cameras} == {0.0, 1.0}


def test_a_moving_camera_blurs_its_frames_and_moves_its_truths():
    lr, hr = clip(replace(MOVING, shutter=(0.9, 0.9)))
    moved = [psnr_db(hr[k], hr[k + 1]) for k in range(3)]
    assert max(moved) < 45
    blurred = [psnr_db(small, downscale_x4(large)) for small, large in zip(lr, hr, strict=True)]
    assert np.mean(blurred) < 45


def test_a_frame_shows_its_own_truth_and_not_that_of_a_neighbour():
    lr, hr = clip(replace(MOVING, shutter=(0.0, 0.0)), seed=8)
    for small, large in zip(lr, hr, strict=True):
        assert psnr_db(small, downscale_x4(large)) > 40
    assert psnr_db(lr[1], downscale_x4(hr[3])) < psnr_db(lr[1], downscale_x4(hr[1])) - 3


def test_shots_follow_each_other():
    other = soft_picture(9, *SCENE.shape[:2])
    _, hr = clip(STILL, ([SCENE], [other] * 3))
    np.testing.assert_array_equal(hr[0], MIDDLE)
    np.testing.assert_array_equal(hr[3], other[MARGIN:-MARGIN, MARGIN:-MARGIN])


def test_the_truth_of_a_dark_frame_is_as_dark():
    dark = replace(STILL, exposure=ExposureRange(1.0, (0.1, 0.1), 0.0))
    lr, hr = clip(dark)
    assert abs(float(lr.mean()) - float(hr.mean())) < 1
    assert hr.mean() < 0.6 * MIDDLE.mean()


def test_a_path_moves_at_its_speed_around_the_middle():
    path = clip_path(6, 12.0, np.random.default_rng(0))
    ways = np.hypot(*np.diff(path[:, :2], axis=0).T).reshape(6, STEPS).sum(axis=1)
    assert ways.mean() == pytest.approx(12.0)
    np.testing.assert_allclose(path.max(axis=0), -path.min(axis=0))


def test_later_frames_of_a_stream_are_predicted_from_earlier_ones():
    rng = np.random.default_rng(2)
    noisy = np.clip(SCENE[:32, :48] + rng.normal(0, 12, (6, 32, 48, 3)), 0, 255).astype(np.uint8)
    streamed = h264_stream(noisy, 30)
    assert streamed.shape == noisy.shape
    assert psnr_db(streamed[5], noisy[5]) > 15
    apart = [h264_stream(frame[None], 30)[0] for frame in noisy]

    def flicker(frames):
        return np.abs(np.diff(np.asarray(frames, float), axis=0)).mean()

    assert flicker(streamed) < 0.7 * flicker(apart)


@pytest.mark.parametrize("change", [{"fastest_px": -1.0}, {"shutter": (0.5, 1.5)}])
def test_what_cannot_be_drawn_is_refused(change):
    with pytest.raises(ValueError, match="got"):
        replace(STILL, **change)
