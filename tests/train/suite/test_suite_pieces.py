"""Pieces: paths of exact length, truths that lie under their frames, numbers that stay."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.errors import TrainError
from crispstream.core.files import sha256_of
from crispstream.core.metrics import psnr_db
from crispstream.train.suite import optics
from crispstream.train.suite.footage import read_frames
from crispstream.train.suite.pieces import Crop
from tests.helpers.tiny_suite import CLIP, CROP, NOISE, PIECES, write_media

BY_PART = {piece.name.split("/")[0]: piece for piece in PIECES}


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    write_media(folder)
    return folder


def made(media, piece):
    return piece.make([media / source for source in piece.sources])


@pytest.mark.parametrize("length_px", [8.0, 16.0, 32.0])
def test_a_path_is_as_long_as_asked_and_rolls_a_quarter_of_it_at_most(length_px):
    for seed in range(5):
        poses = optics.path_of_length(np.random.default_rng(seed), length_px, reach_px=400)
        assert optics.travelled_px(poses) == pytest.approx(length_px, rel=1e-9)
        np.testing.assert_allclose(poses[:, :2].mean(axis=0), 0, atol=1e-9)
        assert np.abs(poses[:, 2]).max() * 400 == pytest.approx(length_px / 4)


def test_a_sharp_pair_is_the_one_bicubic_of_its_truth(media):
    lr, hr = made(media, BY_PART["sharp"]).values()
    assert hr.shape == (48, 64, 3)
    np.testing.assert_array_equal(lr, downscale_x4(hr))


def test_longer_paths_blur_more_and_all_have_one_truth(media):
    parts = [f"motion-{strength}" for strength in ("weak", "medium", "strong")]
    pairs = [tuple(made(media, BY_PART[part]).values()) for part in parts]
    assert all(np.array_equal(hr, pairs[0][1]) for _, hr in pairs)
    kept = [psnr_db(upscale_x4(lr), hr) for lr, hr in pairs]
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == 3


def test_parts_of_one_length_differ_in_their_sensor_alone(media):
    silent = replace(BY_PART["noise-low"], sensor=replace(NOISE, shot=0, read=0))
    (lr, _), (expected, _) = (
        made(media, piece).values() for piece in (silent, BY_PART["motion-medium"])
    )
    np.testing.assert_array_equal(lr, expected)


def test_a_darker_frame_has_a_darker_truth(media):
    lr, hr = made(media, BY_PART["noise-high"]).values()
    bright = made(media, BY_PART["sharp"])["sharp/hr/a.png"]
    expected = bright.mean() * 0.25 ** (1 / optics.GAMMA)
    assert hr.mean() == pytest.approx(expected, rel=0.01)
    assert lr.mean() == pytest.approx(hr.mean(), rel=0.05)


def test_noise_has_the_strength_that_is_asked_for():
    flat = np.full((400, 400, 3), 0.5)
    noisy = optics.seen(flat, np.random.default_rng(0), NOISE.shot, NOISE.read)
    light = 0.5**optics.GAMMA
    slope = light ** (1 / optics.GAMMA - 1) / optics.GAMMA  # of the tone curve
    expected = np.sqrt(NOISE.shot * light + NOISE.read**2) * slope * 255
    assert noisy.std() == pytest.approx(expected, rel=0.05)


def test_an_upscaled_frame_holds_no_more_than_a_sixteenth(media):
    lr = made(media, BY_PART["upscaled"])["upscaled/lr/a.png"]
    assert psnr_db(upscale_x4(downscale_x4(lr)), lr) > 40


def test_a_panned_truth_lies_under_its_frame(media):
    files = made(media, replace(BY_PART["clips"], sensor=replace(NOISE, shot=0, read=0)))
    for number in range(3):
        lr, hr = (files[f"clips/pan_a/{side}/{number:03d}.png"] for side in ("lr", "hr"))
        large = upscale_x4(lr)
        here = psnr_db(large[8:-8, 8:-8], hr[8:-8, 8:-8])
        for dx, dy in ((2, 0), (-2, 0), (0, 2), (0, -2)):
            moved = np.roll(hr, (dy, dx), axis=(0, 1))
            assert psnr_db(large[8:-8, 8:-8], moved[8:-8, 8:-8]) < here
    steps = [files[f"clips/pan_a/hr/{n:03d}.png"] for n in range(3)]
    assert not np.array_equal(steps[0], steps[1])


def test_a_still_scene_has_one_truth_and_noise_of_its_own_in_each_frame(media):
    files = made(media, BY_PART["still"])
    frames = [picture for name, picture in files.items() if "/lr/" in name]
    assert [name for name in files if "/hr/" in name] == ["still/a-high/hr/000.png"]
    assert len({frame.tobytes() for frame in frames}) == 5


def test_an_exposure_and_a_slow_film_take_the_middle_frame_for_the_truth(media):
    source = read_frames(media / CLIP, 0, 9)
    exposure, _, slow, film = PIECES[8:12]
    np.testing.assert_array_equal(made(media, exposure)["real/hr/fast_n03_f001.png"], source[2])
    files = made(media, slow)
    for number, at in enumerate((1, 4, 7)):
        np.testing.assert_array_equal(files[f"clips/fast/hr/{number:03d}.png"], source[at])
    np.testing.assert_array_equal(made(media, film)["clips/film/hr/002.png"], source[3])


def test_what_is_too_small_or_too_short_is_told(media):
    with pytest.raises(TrainError, match=r"176x160 pixels, its crop ends at 232x120"):
        made(media, replace(BY_PART["sharp"], crop=Crop(CROP.source, 168, 72, 64, 48)))
    with pytest.raises(TrainError, match="ends after 9 frames, the suite needs 12"):
        read_frames(media / CLIP, 2, 10)


def test_numbers_stay_whatever_the_degradations_of_training_become():
    """Pins what `degrade` gives to the suite; if this changes, so has crisp-v1."""
    rng = np.random.default_rng(7)
    ramp = np.indices((96, 96, 3)).sum(axis=0)
    picture = ((ramp * 37) % 251).astype(np.uint8)
    picture = cv2.blur(picture, (5, 5))
    poses = optics.path_of_length(rng, 16.0, 60.0)
    light = optics.smeared(optics.light_of(picture), poses, (40.0, 50.0))
    frame = optics.seen(optics.shown(light), rng, 1e-3, 4e-3)
    assert sha256_of(frame.tobytes())[:16] == "d1e3a6185a3ce805"
