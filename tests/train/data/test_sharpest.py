"""The sharpest frames: of each stretch of a video the one that moved least."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.errors import TrainError
from crispstream.core.pixels import Bytes
from crispstream.train.data.sharpest import sharpest_frames, sharpness
from tests.helpers.media import write_video
from tests.helpers.pictures import soft_picture


def blurred(picture_hwc: Bytes, pixels: int) -> Bytes:
    return np.asarray(cv2.blur(picture_hwc, (pixels, 1)), np.uint8)


def number_of(frame_hwc: Bytes) -> int:
    """Read the number that `video` painted into the corner."""
    return round(float(frame_hwc[:16, :16].mean()) / 10)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twelve frames of one scene, all blurred but numbers 1, 6 and 11."""
    scene = soft_picture(3, 64, 96)
    frames = []
    for number in range(12):
        frame = scene.copy() if number % 5 == 1 else blurred(scene, 9)
        frame[:16, :16] = 10 * number
        frames.append(frame)
    path = tmp_path / "shaken.mp4"
    write_video(path, times=[3000 * n for n in range(12)], pixels=frames)
    return path


def test_each_stretch_gives_its_sharpest_frame(video: Path) -> None:
    assert [number_of(frame) for frame in sharpest_frames(video, 3)] == [1, 6, 11]
    assert next(number_of(frame) for frame in sharpest_frames(video, 1)) in (1, 6, 11)


def test_a_frame_is_given_once_where_more_are_asked_for(video: Path) -> None:
    frames = list(sharpest_frames(video, 50))
    assert [number_of(frame) for frame in frames] == list(range(12))
    assert frames[0].shape == (64, 96, 3)


def test_sharpness_falls_with_blur_in_either_direction() -> None:
    grey = soft_picture(1, 40, 50)[..., 1]
    sharp = sharpness(grey)
    for size in ((5, 1), (1, 5)):
        assert sharpness(np.asarray(cv2.blur(grey, size), np.uint8)) < sharp
    assert sharpness(np.full((8, 8), 77, np.uint8)) == 0


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"not a video at all")
    with pytest.raises(TrainError, match=r"cannot decode the video .*broken\.mp4.* --exclude"):
        list(sharpest_frames(path, 3))
