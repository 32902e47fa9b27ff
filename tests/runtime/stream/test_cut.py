"""Scene cuts: each one is told once, and nothing else that changes a picture is one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.pixels import Bytes
from crispstream.runtime.stream.cut import LONGEST_FLASH, CutDetector
from crispstream.runtime.stream.source import open_source
from tests.helpers.pictures import soft_picture

SAMPLE = Path(__file__).parents[3] / "examples/media/gopro-blur-320x180.mp4"


def shot(
    seed: int, frames: int = 12, *, step_px: int = 3, size: tuple[int, int] = (320, 180)
) -> list[Bytes]:
    """A camera that pans over one picture."""
    width, height = size
    wide = soft_picture(seed, 60, 160)
    wide_hwc = cv2.resize(wide, (width + frames * step_px, height), interpolation=cv2.INTER_CUBIC)
    return [wide_hwc[:, step_px * at : step_px * at + width] for at in range(frames)]


def cuts(frames: Sequence[Bytes]) -> list[int]:
    is_cut = CutDetector()
    return [number for number, frame_hwc in enumerate(frames) if is_cut(frame_hwc)]


def scaled(frame_hwc: Bytes, gain: float, offset: float = 0) -> Bytes:
    return np.clip(gain * frame_hwc.astype(np.float32) + offset, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(320, 180), (317, 179), (64, 48), (40, 30), (20, 10), (1, 1)])
def test_frames_of_any_size_and_stride_are_looked_at(size: tuple[int, int]) -> None:
    frames = [*shot(1, step_px=1, size=size), *shot(2, step_px=1, size=size)]
    expected = [12] if min(size) > 1 else []  # one colour is no scene
    assert cuts(frames) == expected
    assert cuts([frame[::-1, :, ::-1] for frame in frames]) == expected


def test_every_cut_between_shots_is_found_once() -> None:
    shots = [shot(seed, 5 + seed) for seed in range(8)]
    starts = np.cumsum([len(frames) for frames in shots])[:-1].tolist()
    assert cuts([frame for frames in shots for frame in frames]) == starts


def test_the_first_frame_and_a_still_picture_are_no_cuts() -> None:
    assert cuts([soft_picture(1, 180, 320)] * 20) == []


@pytest.mark.parametrize("step_px", [0, 8, 20])
def test_pans_are_no_cuts(step_px: int) -> None:
    assert cuts(shot(3, 20, step_px=step_px)) == []


def test_shake_is_no_cut() -> None:
    wide_hwc = shot(4, 1, size=(360, 220))[0]
    rng = np.random.default_rng(0)
    places = zip(rng.integers(0, 41, 40), rng.integers(0, 41, 40), strict=True)
    assert cuts([wide_hwc[y : y + 180, x : x + 320] for y, x in places]) == []


def exposed(at: int) -> tuple[float, float]:
    return (1.0, 0.0) if at % 7 < 3 else (0.35, 20.0)


def faded(at: int) -> tuple[float, float]:
    return abs(np.cos(at / 8)), 0.0


def flashed(at: int) -> tuple[float, float]:
    return (3.0, 80.0) if at % 10 == 5 else (1.0, 0.0)


def flashed_white(at: int) -> tuple[float, float]:
    return (0.0, 255.0) if at % 10 == 5 else (1.0, 0.0)


@pytest.mark.parametrize("change", [exposed, faded, flashed, flashed_white])
def test_what_light_does_is_no_cut(change: Callable[[int], tuple[float, float]]) -> None:
    frames = shot(5, 40, step_px=1)
    assert cuts([scaled(frame, *change(at)) for at, frame in enumerate(frames)]) == []


def test_a_scene_behind_a_fade_through_black_is_a_cut() -> None:
    out = [scaled(frame, 1 - at / 11) for at, frame in enumerate(shot(6))]
    into = [scaled(frame, at / 11) for at, frame in enumerate(shot(7))]
    found = cuts([*out, *into])
    assert len(found) == 1
    assert 12 < found[0] < 16


def test_a_cut_to_a_blown_out_scene_is_told_a_flash_later() -> None:
    bright = [scaled(frame, 2.0, 60) for frame in shot(9)]
    assert cuts([*shot(8), *bright]) == [12 + LONGEST_FLASH]


def test_one_odd_frame_does_not_make_the_return_a_cut() -> None:
    frames = shot(10, 20, step_px=1)
    frames[10] = shot(11, 1)[0]
    assert cuts(frames) == [10]


def test_restless_pictures_need_more_to_be_a_cut() -> None:
    """Water or a crowd: each frame is a different mixture of two pictures, none a new scene."""
    one, other = soft_picture(12, 180, 320), soft_picture(13, 180, 320)
    shares = 0.5 + np.random.default_rng(1).uniform(-0.5, 0.5, 60) * np.linspace(0, 1, 60)
    mixtures = [cv2.addWeighted(one, 1 - share, other, share, 0) for share in shares]
    assert cuts(mixtures) == []
    assert cuts([*mixtures, *shot(15)]) == [60]


def test_the_shipped_clip_has_no_cut_and_a_scene_after_it_is_one() -> None:
    source = open_source(str(SAMPLE))
    frames = [frame.pixels_hwc for frame in source]
    source.close()
    assert cuts(frames) == []
    assert cuts([*frames, *shot(14)]) == [len(frames)]


def test_a_frame_is_only_read() -> None:
    frame_hwc = shot(1, 1)[0].copy()
    frame_hwc.flags.writeable = False
    before = frame_hwc.copy()
    assert not CutDetector()(frame_hwc)
    np.testing.assert_array_equal(frame_hwc, before)
