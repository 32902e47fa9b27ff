"""Cameras on Linux, with a fake one: pictures, times, losses, and why one does not open."""

import errno
from collections import deque
from fractions import Fraction

import cv2
import numpy as np
import pytest

from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.frame import Colour
from crispstream.runtime.stream.sources import v4l2, v4l2_found
from crispstream.runtime.stream.sources.v4l2 import CameraFeed, camera_feed
from crispstream.runtime.stream.sources.v4l2_device import Device
from crispstream.runtime.stream.sources.v4l2_found import cameras
from tests.runtime.stream.sources.fake_camera import (
    DAMAGED,
    METADATA,
    MONOTONIC,
    S_PARM,
    STREAMING,
    STREAMON,
    FakeCamera,
    Shot,
)

_AT_30 = [(1, 30)]
_RED_YUYV = bytes((81, 90, 81, 240))  # BT.601, limited range


def _camera(**differences) -> FakeCamera:
    modes = [("YUYV", 64, 48, _AT_30), ("MJPG", 64, 48, _AT_30), ("MJPG", 128, 96, _AT_30)]
    return FakeCamera(**{"modes": modes, **differences})


def _yuyv(row_bytes: int = 128) -> bytes:
    return (_RED_YUYV * 32).ljust(row_bytes, b"\xff") * 48


def test_a_camera_gives_pictures_with_the_kernels_times() -> None:
    camera = _camera(shots=deque([Shot(_yuyv(), 7, 5_000_001), Shot(_yuyv(), 8, 5_033_334)]))
    feed = CameraFeed("/dev/video0", None, None, camera)
    first, second = feed.read(), feed.read()
    assert first.pixels_hwc.shape == (48, 64, 3)
    assert np.abs(first.pixels_hwc.astype(int) - (0, 0, 255)).max() <= 2
    assert [first.pts, second.pts] == [5_000_001, 5_033_334]
    assert feed.time_base == Fraction(1, 1_000_000)
    assert (feed.frame_rate, first.skipped, second.skipped) == (30, 0, 0)
    assert feed.colour == Colour("bt601", full_range=False, primaries=1)
    feed.close()
    feed.close()
    assert camera.closed == [90]
    assert not camera.running


def test_rows_may_be_padded() -> None:
    camera = _camera(row_bytes=160, shots=deque([Shot(_yuyv(160), 0)]))
    picture = CameraFeed("/dev/video0", None, None, camera).read()
    assert np.abs(picture.pixels_hwc.astype(int) - (0, 0, 255)).max() <= 2


def test_gaps_in_the_count_and_damaged_pictures_are_lost_ones() -> None:
    shots = [
        Shot(_yuyv(), 2**32 - 2),
        Shot(_yuyv(), 1),  # after 2**32 - 1 and 0
        Shot(_yuyv(), 2, flags=MONOTONIC | DAMAGED),
        Shot(b"half of one", 3),
        Shot(_yuyv(), 4),
        Shot(_yuyv(), 0),  # the counter began anew
    ]
    feed = CameraFeed("/dev/video0", None, None, _camera(shots=deque(shots)))
    assert [feed.read().skipped for _ in range(4)] == [0, 2, 2, 0]


def test_every_buffer_goes_back_to_the_camera() -> None:
    camera = _camera(shots=deque(Shot(_yuyv(), n) for n in range(20)))
    feed = CameraFeed("/dev/video0", None, None, camera)
    for _ in range(20):
        feed.read()
    assert sorted(camera.queued) == [0, 1, 2]


def test_pictures_stay_as_they_were_when_their_buffer_is_filled_again() -> None:
    grey = bytes((126, 128)) * 64 * 48
    camera = _camera(shots=deque([Shot(_yuyv(), 0), *(Shot(grey, n) for n in range(1, 6))]))
    feed = CameraFeed("/dev/video0", None, None, camera)
    first = feed.read().pixels_hwc
    before = first.copy()
    for _ in range(5):
        feed.read()
    assert (first == before).all()


def test_times_of_another_clock_are_not_taken_for_the_kernels() -> None:
    camera = _camera(shots=deque([Shot(_yuyv(), 0, 1_700_000_000_000_000, flags=0)]))
    assert CameraFeed("/dev/video0", None, None, camera).read().pts is None


def test_jpegs_are_decoded_and_broken_ones_skipped() -> None:
    image = np.full((96, 128, 3), (40, 90, 200), np.uint8)
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    camera = _camera(shots=deque([Shot(b"\xff\xd8 no jpeg", 0), Shot(jpeg, 1)]))
    feed = CameraFeed("/dev/video0", (128, 96), None, camera)
    picture = feed.read()
    assert np.abs(picture.pixels_hwc.astype(int) - (40, 90, 200)).max() <= 3
    assert picture.skipped == 1
    assert camera.present == ("MJPG", 128, 96)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((3, 0, 0), Colour("bt709", full_range=False)),
        ((8, 2, 1), Colour("bt709", full_range=True)),
        ((7, 0, 0), Colour("bt601", full_range=True, primaries=1)),
        ((10, 0, 2), Colour("bt2020", full_range=False)),
        ((1, 0, 0), Colour("bt601", full_range=False)),
    ],
)
def test_the_kernels_colour_tags_are_obeyed(tags: tuple[int, int, int], expected: Colour) -> None:
    colorspace, ycbcr, quantization = tags
    camera = _camera(colorspace=colorspace, ycbcr=ycbcr, quantization=quantization)
    assert CameraFeed("/dev/video0", None, None, camera).colour == expected


def test_size_and_rate_are_asked_for() -> None:
    modes = [("YUYV", 64, 48, [(1, 30), (1, 60)]), ("YUYV", 320, 240, [(1, 15)])]
    camera = _camera(modes=modes)
    CameraFeed("/dev/video0", (64, 48), 60, camera)
    assert (camera.present, camera.rate) == (("YUYV", 64, 48), (1, 60))


def test_a_mode_that_is_not_there_is_refused_with_those_that_are() -> None:
    camera = _camera()
    with pytest.raises(UsageError, match="128x96 at 30, 64x48 at 30") as caught:
        CameraFeed("/dev/video0", (1920, 1080), None, camera)
    assert "1920x1080" in str(caught.value)
    assert camera.closed == [90]
    with pytest.raises(UsageError, match="at 120 frames per second"):
        CameraFeed("/dev/video0", (64, 48), 120, camera)


def test_a_camera_without_a_rate_to_set_is_taken_as_it_is() -> None:
    camera = _camera(refusals={S_PARM: errno.ENOTTY})
    assert CameraFeed("/dev/video0", None, None, camera).frame_rate is None


def test_a_wake_for_nothing_is_no_silence() -> None:
    camera = _camera(shots=deque([Shot(_yuyv(), 0)]), idle_wakes=3)
    assert CameraFeed("/dev/video0", None, None, camera).read().skipped == 0
    assert camera.idle_wakes == 0


def test_a_camera_that_gives_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = CameraFeed("/dev/video0", None, None, _camera())
    seconds = iter(range(200))
    monkeypatch.setattr(v4l2.time, "monotonic", lambda: next(seconds) / 10)
    with pytest.raises(SourceError, match="no whole picture for 2 s"):
        feed.read()


def test_a_camera_that_gives_damaged_pictures_only_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shots = deque(Shot(b"half of one", number) for number in range(200))
    feed = CameraFeed("/dev/video0", None, None, _camera(shots=shots))
    seconds = iter(range(200))
    monkeypatch.setattr(v4l2.time, "monotonic", lambda: next(seconds) / 10)
    with pytest.raises(SourceError, match="no whole picture"):
        feed.read()
    assert len(shots) > 150


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EBUSY, "in use by another program.*fuser -v /dev/video0"),
        (errno.EACCES, "sudo usermod -aG"),
        (errno.ENODEV, "there is no camera '/dev/video0'"),
        (errno.EIO, "broke off"),
    ],
)
def test_why_a_camera_does_not_open_is_told(number: int, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        CameraFeed("/dev/video0", None, None, _camera(refusals={-1: number}))


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EBUSY, "in use"), (errno.ENOSPC, "USB port has no room")]
)
def test_a_camera_that_does_not_start_is_closed(number: int, said: str) -> None:
    camera = _camera(refusals={STREAMON: number})
    with pytest.raises(SourceError, match=said):
        CameraFeed("/dev/video0", None, None, camera)
    assert camera.closed == [90]


def test_a_camera_unplugged_midway_breaks_and_can_be_closed() -> None:
    camera = _camera(shots=deque([Shot(_yuyv(), 0), Shot(_yuyv(), 1)]))
    feed = CameraFeed("/dev/video0", None, None, camera)
    feed.read()
    camera.refusals = dict.fromkeys((0xC0585611, 0x40045613), errno.ENODEV)
    with pytest.raises(SourceError, match="there is no camera"):
        feed.read()
    feed.close()
    assert camera.closed == [90]


def test_a_device_for_metadata_is_no_camera() -> None:
    with pytest.raises(UsageError, match="for metadata"):
        CameraFeed("/dev/video1", None, None, _camera(capabilities=METADATA | STREAMING))


def test_a_camera_opens_anew_each_time() -> None:
    camera = _camera()
    opened = camera_feed("/dev/video0", None, None, camera)
    opened().close()
    opened().close()
    assert camera.opens == 2


def test_a_camera_of_any_size_lists_the_usual_ones() -> None:
    camera = _camera(modes=[("YUYV", 640, 480, _AT_30)], stepwise=(32, 1024, 2, 32, 768, 2))
    sizes = [(mode.width, mode.height) for mode in Device("/dev/video0", camera).modes()]
    assert (640, 480) in sizes
    assert sizes[-1] == (1024, 768)
    assert all(width <= 1024 and height <= 768 for width, height in sizes)


def test_other_cameras_are_named_in_order(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (10, 0, 2):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(f"Cam {number}\n")
    known = cameras(tmp_path)
    assert known == {"/dev/video0": "Cam 0", "/dev/video2": "Cam 2", "/dev/video10": "Cam 10"}
    monkeypatch.setattr(v4l2_found, "cameras", lambda: known)
    with pytest.raises(SourceError, match=r"there is /dev/video0 \(Cam 0\), /dev/video2"):
        CameraFeed("/dev/video5", None, None, _camera(with_camera=False))
