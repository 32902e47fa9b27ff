"""`crispstream doctor --output-size`: what is printed of cameras."""

import json
from fractions import Fraction

import pytest

from crispstream.cli.doctor_camera import show_camera_modes
from crispstream.core.errors import UsageError
from crispstream.runtime.doctor import camera_modes
from crispstream.runtime.doctor.camera_modes import Camera
from crispstream.runtime.stream.sources.v4l2_device import Mode

_MODES = (Mode(320, 180, Fraction(30), "YUYV"), Mode(1280, 720, Fraction(30), "MJPG"))


def _machine(monkeypatch: pytest.MonkeyPatch, *cameras: Camera) -> None:
    monkeypatch.setattr(camera_modes, "find_cameras", lambda: list(cameras))


def test_modes_and_the_line_to_type_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    locked = Camera("/dev/video2", "Locked", trouble="may not be opened")
    _machine(monkeypatch, Camera("/dev/video0", "Webcam", _MODES, ("H264",)), locked)
    show_camera_modes("1280x720", json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "/dev/video0  Webcam"
    assert lines[1].split() == ["YUYV", "320x180", "at", "30"]
    assert "  H264  cannot be read here" in lines
    line = "crispstream run v4l2:///dev/video0 restored.mp4 --input-size 320x180 --input-fps 30"
    assert f"    {line}" in lines
    assert lines[-2:] == ["/dev/video2  Locked", "  may not be opened"]


def test_without_a_camera_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _machine(monkeypatch)
    show_camera_modes("1280x720", json=False)
    assert capsys.readouterr().out.startswith("no camera is known")
    show_camera_modes("1280x720", json=True)
    assert json.loads(capsys.readouterr().out) == {"output_size": "1280x720", "cameras": []}


def test_machines_get_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _machine(monkeypatch, Camera("/dev/video0", "Webcam", _MODES))
    show_camera_modes("1280x720", json=True)
    (camera,) = json.loads(capsys.readouterr().out)["cameras"]
    assert (camera["device"], camera["suggested"]["size"]) == ("/dev/video0", "320x180")


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="WIDTHxHEIGHT"):
        show_camera_modes("large", json=False)
