"""Cameras as the doctor sees them, and the mode for a wanted output; with a fake camera."""

import errno
from fractions import Fraction

import pytest

from crispstream.runtime.doctor.camera_modes import as_json, find_cameras, suggest
from crispstream.runtime.stream.sources.v4l2_device import Mode
from tests.runtime.stream.sources.fake_camera import METADATA, STREAMING, FakeCamera

_30 = [(1, 30)]
_WEBCAM = [
    ("YUYV", 320, 180, _30),
    ("YUYV", 320, 240, _30),
    ("YUYV", 640, 360, _30),
    ("MJPG", 640, 360, [(1, 60), (1, 30)]),
    ("MJPG", 1280, 720, _30),
    ("YUYV", 1280, 720, [(1, 10)]),
    ("H264", 1280, 720, _30),
]


def _found(camera: FakeCamera, name: str = "Webcam") -> list:
    return find_cameras(camera, lambda: {"/dev/video0": name})


def _modes() -> tuple[Mode, ...]:
    return _found(FakeCamera(_WEBCAM))[0].modes


def test_every_mode_that_can_be_read_is_listed() -> None:
    camera = FakeCamera(_WEBCAM, name="Fake Cam")
    (found,) = _found(camera)
    assert (found.device, found.name, found.trouble) == ("/dev/video0", "Fake Cam", "")
    assert Mode(640, 360, Fraction(60), "MJPG") in found.modes
    assert Mode(1280, 720, Fraction(10), "YUYV") in found.modes
    assert (len(found.modes), found.unread) == (7, ("H264",))
    assert camera.closed == [90]
    assert not camera.running


def test_devices_beside_a_camera_are_left_out() -> None:
    assert _found(FakeCamera([], capabilities=METADATA | STREAMING)) == []


def test_a_camera_that_may_not_be_asked_says_why() -> None:
    (found,) = _found(FakeCamera(_WEBCAM, refusals={-1: errno.EACCES}))
    assert (found.name, found.modes) == ("Webcam", ())
    assert "usermod" in found.trouble


@pytest.mark.parametrize(
    ("output", "size", "pixel_format", "line"),
    [
        ((1280, 720), (320, 180), "YUYV", "--input-size 320x180 --input-fps 30"),
        ((1920, 1080), (640, 360), "YUYV", "--input-fps 30 --output-size 1920x1080"),
        ((1280, 960), (320, 240), "YUYV", "--input-size 320x240 --input-fps 30"),
        ((3840, 2160), (1280, 720), "MJPG", "--output-size 3840x2160"),
    ],
)
def test_the_smallest_mode_that_covers_the_output_is_suggested(
    output: tuple[int, int], size: tuple[int, int], pixel_format: str, line: str
) -> None:
    suggestion = suggest(_modes(), output)
    assert suggestion.mode is not None
    assert (suggestion.mode.width, suggestion.mode.height) == size
    assert suggestion.mode.pixel_format == pixel_format
    command = suggestion.command("/dev/video0", output)
    assert command.startswith("crispstream run v4l2:///dev/video0 restored.mp4 --input-size")
    assert command.endswith(line)


def test_a_camera_that_is_large_enough_by_itself_is_told() -> None:
    assert "need no restoring" in " ".join(suggest(_modes(), (1280, 720)).notes)
    assert suggest(_modes(), (1920, 1080)).notes == ()


def test_the_artefacts_of_mjpeg_are_told() -> None:
    assert "MJPEG" in " ".join(suggest(_modes(), (3840, 2160)).notes)


def test_another_aspect_and_a_too_large_output_are_told() -> None:
    tall = suggest(_modes(), (720, 1280))
    assert tall.mode is not None
    assert (tall.mode.height, "bars" in tall.reason) == (360, True)
    huge = suggest(_modes(), (7680, 4320))
    assert huge.mode is not None
    assert (huge.mode.width, "still too small" in huge.reason) == (1280, True)


def test_without_a_mode_there_is_no_line() -> None:
    suggestion = suggest([], (1280, 720))
    assert suggestion.mode is None
    assert suggestion.command("/dev/video0", (1280, 720)) == ""


def test_machines_read_the_same() -> None:
    told = as_json(_found(FakeCamera(_WEBCAM))[0], (1280, 720))
    assert told["suggested"] == {
        "size": "320x180",
        "frames_per_second": 30.0,
        "pixel_format": "YUYV",
    }
    assert told["command"].startswith("crispstream run v4l2:///dev/video0")
    assert len(told["modes"]) == 7
