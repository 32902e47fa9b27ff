"""The choice of a source by its URI, and what each kind can be asked for."""

import os
from collections import deque
from itertools import pairwise
from pathlib import Path

import cv2
import pytest

from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.stream.source import SourceOptions, open_source
from crispstream.runtime.stream.sources import v4l2
from tests.helpers.media import (
    numbered_frame,
    write_video,
)
from tests.runtime.stream.sources.fake_camera import FakeCamera, Shot


def test_missing_file_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"no file or folder 'nowhere\.mp4'"):
        open_source("nowhere.mp4")


def test_unknown_scheme_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no kind of source"):
        open_source("gopher://camera")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["pipe.mp4", "pipe.png"])
def test_named_pipe_is_called_one(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match="a pipe or a device"):
        open_source(str(tmp_path / name))


def test_frame_rate_is_for_images(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    write_video(path, frames=1)
    for uri in (str(path), "synth://pattern"):
        with pytest.raises(UsageError, match="frame rate of its own"):
            open_source(uri, options=SourceOptions(frame_rate=10))


def test_a_misspelt_scheme_is_guessed_and_its_password_not_told() -> None:
    with pytest.raises(UsageError, match="did you mean 'rtsp'") as caught:
        open_source("rstp://ann:secret@camera/stream")
    assert "secret" not in str(caught.value)


def test_every_kind_of_source_is_named_to_who_asks_for_another() -> None:
    with pytest.raises(UsageError) as caught:
        open_source("gopher://camera")
    assert all(f"{scheme}:" in str(caught.value) for scheme in ("v4l2", "csi", "gst", "rtsp"))


@pytest.mark.parametrize(
    ("uri", "device"),
    [
        ("3", "/dev/video3"),
        ("v4l2:///dev/v4l/by-id/usb-cam", "/dev/v4l/by-id/usb-cam"),
        ("/dev/video97", "/dev/video97"),
        ("V4L2:///dev/video98", "/dev/video98"),
    ],
)
def test_numbers_devices_and_v4l2_are_cameras(uri: str, device: str) -> None:
    with pytest.raises(SourceError, match=f"no camera '{device}'"):
        open_source(uri)


def test_a_device_that_is_no_camera_is_told() -> None:
    with pytest.raises(SourceError, match="'/dev/null' is no camera"):
        open_source("/dev/null")


def test_a_camera_is_a_live_source(monkeypatch: pytest.MonkeyPatch) -> None:
    shots = deque(Shot(bytes((81, 90, 81, 240)) * 32 * 48, n, 33_333 * n) for n in range(5))
    camera = FakeCamera([("YUYV", 64, 48, [(1, 30)])], shots=shots)
    monkeypatch.setattr(
        v4l2, "camera_feed", lambda *wishes: lambda: v4l2.CameraFeed(*wishes, camera)
    )
    source = open_source("0", options=SourceOptions(size=(64, 48), frame_rate=30))
    info = source.info
    assert (info.width, info.height, info.frame_rate, info.live) == (64, 48, 30, True)
    frames = [frame for frame, _ in zip(source, range(3), strict=False)]
    source.close()
    steps = [float((b.pts - a.pts) * b.time_base) for a, b in pairwise(frames)]
    assert steps == pytest.approx([1 / 30, 1 / 30], abs=1e-4)


def test_a_file_uri_names_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a b.mp4"
    write_video(path, frames=2)
    source = open_source(f"file://{str(path).replace(' ', '%20')}")
    assert len(list(source)) == 2
    source.close()


@pytest.mark.parametrize(
    ("uri", "options", "said"),
    [
        ("in.mp4", SourceOptions(size=(64, 48)), "64x48 cannot be had: .* stored with"),
        ("in.png", SourceOptions(size=(64, 48)), "stored with"),
        ("in.png", SourceOptions(decoder="nvdec"), "holds images, which the CPU decodes"),
        ("0", SourceOptions(decoder="nvdec"), "the decoder 'nvdec' cannot be had"),
        ("gst:videotestsrc", SourceOptions(size=(64, 48)), "written, as in video/x-raw,width"),
        ("gst:videotestsrc", SourceOptions(frame_rate=5), "5 frames per second cannot be had"),
        ("synth://pattern", SourceOptions(size=(64, 48)), "size in its address"),
        ("rtsp://127.0.0.1:1/a", SourceOptions(size=(64, 48)), "the size that it sends"),
        ("rtsp://127.0.0.1:1/a", SourceOptions(frame_rate=5), "frame rate of its own"),
    ],
)
def test_what_a_source_cannot_do_is_refused(
    tmp_path: Path, uri: str, options: SourceOptions, said: str
) -> None:
    write_video(tmp_path / "in.mp4", frames=1)
    cv2.imwrite(str(tmp_path / "in.png"), numbered_frame(1))
    place = str(tmp_path / uri) if uri.startswith("in.") else uri
    with pytest.raises(UsageError, match=said):
        open_source(place, options=options)


@pytest.mark.parametrize("rate", [0.0, -25.0, 1001.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="more than 0 and at most 1000"):
        SourceOptions(frame_rate=rate)


def test_an_unknown_decoder_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'nvdec'"):
        SourceOptions(decoder="nvdce")
