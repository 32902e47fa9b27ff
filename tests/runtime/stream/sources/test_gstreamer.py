"""GStreamer pipelines: real ones in a child process, and an OpenCV that has GStreamer, played."""

import os
import signal
from fractions import Fraction

import numpy as np
import pytest

from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.frame import RGB, Colour
from crispstream.runtime.stream.source import SourceOptions, open_source
from crispstream.runtime.stream.sources import gst_child, gstreamer
from crispstream.runtime.stream.sources.gst_child import ChildFeed, without_secrets
from crispstream.runtime.stream.sources.gstreamer import OpenCvFeed, csi_pipeline, pipeline_feed
from tests.helpers.pipelines import SMALL, opened, real, until_error


@real
def test_a_pipeline_gives_its_pictures_with_their_times_and_ends() -> None:
    pictures, error = until_error(opened(f"videotestsrc num-buffers=5 ! {SMALL}"))
    assert [picture.pts for picture in pictures] == [40_000_000 * n for n in range(5)]
    assert {picture.duration for picture in pictures} == {40_000_000}
    assert {picture.pixels_hwc.shape for picture in pictures} == {(48, 64, 3)}
    assert error.endswith("came to its end")


@real
@pytest.mark.parametrize("width", [64, 61])
@pytest.mark.parametrize(
    ("caps", "colour"),
    [
        ("I420,colorimetry=bt601", Colour("bt601", full_range=False)),
        ("NV12,colorimetry=bt709", Colour("bt709", full_range=False)),
        ("YUY2,colorimetry=1:4:7:1", Colour("bt601", full_range=True)),
        ("P010_10LE,colorimetry=bt2020", Colour("bt2020", full_range=False)),
        ("BGR", RGB),
        ("RGBx", RGB),
    ],
)
def test_colours_are_those_of_the_pipeline(width: int, caps: str, colour: Colour) -> None:
    flat = "videotestsrc num-buffers=1 pattern=solid-color foreground-color=0xffb43c28"
    rgb = f"video/x-raw,format=ARGB,width={width},height=39"
    feed = opened(f"{flat} ! {rgb} ! videoconvert ! video/x-raw,format={caps}")
    try:
        assert feed.colour == colour
        pixels_hwc = feed.read().pixels_hwc
        assert pixels_hwc.shape == (39, width, 3)
        # 3: GStreamer rounds once to 8-bit YUV, and so does the way back.
        assert np.abs(pixels_hwc.astype(int) - (0x28, 0x3C, 0xB4)).max() <= 3
    finally:
        feed.close()


@real
def test_a_change_of_size_midway_is_followed() -> None:
    parts = [f"videotestsrc num-buffers=2 ! video/x-raw,width={w},height=48" for w in (64, 96)]
    feed = opened(f"concat name=c {' '.join(f'{part} ! c.' for part in parts)} c.")
    pictures, _ = until_error(feed)
    assert [picture.pixels_hwc.shape[1] for picture in pictures] == [64, 64, 96, 96]


@real
def test_a_pipeline_with_an_appsink_of_its_own_works() -> None:
    feed = opened(f"videotestsrc num-buffers=1 ! {SMALL} ! appsink drop=true max-buffers=1")
    assert feed.read().pixels_hwc.shape == (48, 64, 3)
    feed.close()


@real
@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("videotestsrc ! nosuchelement", 'no element "nosuchelement"; install the plugin'),
        ("nvnosuchsrc", "comes with NVIDIA's JetPack"),
        ("videotestsrc ! ! identity", "syntax error"),
        ("videotestsrc bogus=3", 'no property "bogus"'),
        ("audiotestsrc", "could not link"),
    ],
)
def test_what_is_no_pipeline_is_told_at_once(pipeline: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        opened(pipeline)


@real
def test_a_pipeline_that_fails_tells_the_elements_own_error() -> None:
    with pytest.raises(SourceError, match="ended \\(Resource not found\\)"):
        opened("filesrc location='/nowhere/no such file' ! decodebin")


@real
def test_passwords_in_a_pipeline_are_not_told() -> None:
    with pytest.raises(SourceError) as caught:
        opened("rtspsrc location=rtsp://ann:secret@127.0.0.1:1/a user-pw=hidden ! decodebin")
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


@real
def test_a_pipeline_without_pictures_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gst_child, "_OPEN_SECONDS", 0.3)
    with pytest.raises(SourceError, match="gave no picture in time"):
        opened("appsrc caps=video/x-raw,format=BGR,width=64,height=48,framerate=1/1")


@real
def test_what_a_pipeline_prints_is_neither_a_picture_nor_in_its_way() -> None:
    chatty = f"videotestsrc num-buffers=20 ! {SMALL} ! identity dump=true"  # on standard output
    pictures, _ = until_error(opened(chatty))
    assert len(pictures) == 20


@real
def test_a_pipeline_is_a_live_source() -> None:
    source = open_source(f"gst:videotestsrc is-live=true ! {SMALL}")
    try:
        assert (source.info.width, source.info.height, source.info.live) == (64, 48, True)
        assert source.info.frame_rate == 25
        frames = iter(source)
        assert next(frames).pts < next(frames).pts
    finally:
        source.close()


@real
def test_a_pipeline_that_dies_comes_back_as_the_same_source() -> None:
    source = open_source(f"gst:videotestsrc is-live=true ! {SMALL}")
    try:
        frames = iter(source)
        before = next(frames)
        assert isinstance(source._feed, ChildFeed)
        os.kill(source._feed._process.pid, signal.SIGKILL)
        after = next(frame for frame in frames if frame.fresh)
        assert after.pts > before.pts
        assert source.health.reconnects == 1
    finally:
        source.close()


def test_a_missing_program_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gst_child.shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match=r"apt install gstreamer1\.0-tools"):
        opened("videotestsrc")


@pytest.mark.parametrize("pipeline", ["", " ! ", "appsink", "filesrc location='a b"])
def test_a_pipeline_that_cannot_be_read_is_refused(pipeline: str) -> None:
    with pytest.raises(UsageError, match="pipeline"):
        pipeline_feed(pipeline)


def test_a_csi_camera_is_asked_for_size_and_rate() -> None:
    pipeline = csi_pipeline("1", (1280, 720), 29.97)
    assert pipeline.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM)")
    assert ",width=1280,height=720,framerate=2997/100 " in pipeline
    with pytest.raises(UsageError, match="csi://0"):
        open_source("csi://front", options=SourceOptions())


class FakeCapture:
    """Plays cv2.VideoCapture of an OpenCV that has GStreamer."""

    made: "list[FakeCapture]"

    def __init__(self, pipeline: str, backend: int, limits: list[int]) -> None:
        self.pipeline, self.limits, self.backend = pipeline, limits, backend
        self.pictures = [np.full((48, 64, 3), value, np.uint8) for value in (1, 2)]
        self.released = False
        FakeCapture.made.append(self)

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return "broken" not in self.pipeline

    def get(self, key: int) -> float:
        return 29.97 if key == gstreamer.cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, self.pictures.pop(0)) if self.pictures else (False, None)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def opencv_with_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCapture.made = []
    told = "  Video I/O:\n    GStreamer:                   YES (1.20.3)\n"
    monkeypatch.setattr(gstreamer.cv2, "getBuildInformation", lambda: told)
    monkeypatch.setattr(gstreamer.cv2, "VideoCapture", FakeCapture)


@pytest.mark.usefixtures("opencv_with_gstreamer")
def test_an_opencv_that_has_gstreamer_runs_the_pipeline() -> None:
    feed = pipeline_feed("videotestsrc ! appsink")()
    assert isinstance(feed, OpenCvFeed)
    (capture,) = FakeCapture.made
    assert capture.pipeline.startswith("videotestsrc ! videoconvert ! video/x-raw,format=BGR")
    assert capture.pipeline.count("appsink") == 1
    assert 2000 in capture.limits
    assert feed.frame_rate == Fraction(2997, 100)
    pictures, error = until_error(feed)
    assert [picture.pixels_hwc[0, 0, 0] for picture in pictures] == [1, 2]
    assert "ended or gave no picture" in error
    assert capture.released


@real
@pytest.mark.usefixtures("opencv_with_gstreamer")
def test_where_opencv_fails_the_child_says_why() -> None:
    with pytest.raises(UsageError, match='no element "broken"'):
        pipeline_feed("videotestsrc ! broken")()
    assert FakeCapture.made[0].released


@pytest.mark.usefixtures("opencv_with_gstreamer")
def test_without_a_child_opencvs_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer.shutil, "which", lambda _: None)
    with pytest.raises(SourceError, match="does not start in OpenCV"):
        pipeline_feed("videotestsrc ! broken")()


def test_secrets_are_masked_in_every_place() -> None:
    masked = without_secrets(
        "rtspsrc location=rtsp://ann:pw@host/a user-id=ann user-pw=pw ! fakesink"
    )
    assert masked == "rtspsrc location=rtsp://***@host/a user-id=*** user-pw=*** ! fakesink"
