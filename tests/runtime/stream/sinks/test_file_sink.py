"""A video file: what comes out plays, at the right times, in the right colours."""

import contextlib
import dataclasses
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.frame import Colour, Frame
from crispstream.runtime.stream.sink import SinkOptions, open_sink
from crispstream.runtime.stream.source import open_source
from crispstream.runtime.stream.sources.synth import read_counter
from tests.helpers.media import numbered_frame, pictures_of, times_of, write_video
from tests.helpers.restored import INFO, STEP, copied, enlarged, frame_at, numbers_in


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".m4v"])
@pytest.mark.parametrize("time_base", [Fraction(1, 90_000), Fraction(1001, 30_000)])
def test_times_are_kept_exactly(tmp_path: Path, ending: str, time_base: Fraction) -> None:
    times = [7, 8, 12, 13, 40, 41, 42, 90]
    source, target = tmp_path / "in.mp4", tmp_path / f"out{ending}"
    exact_offset = {"movie_timescale": str(time_base.denominator)}
    write_video(source, times=times, time_base=time_base, container_options=exact_offset)
    copied(source, target)
    assert times_of(target) == [time * time_base for time in times]
    assert numbers_in(target) == list(range(len(times)))


def test_matroska_keeps_times_to_the_millisecond(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mkv"
    times = write_video(source, times=[0, 3003, 9100])
    copied(source, target)
    for seen, time in zip(times_of(target), times, strict=True):
        assert abs(seen - Fraction(time, 90_000)) <= Fraction(1, 1000)


def test_the_last_frame_keeps_its_duration(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(str(path), INFO, 4)
    for serial, duration in ((0, 3000), (1, 45_000)):
        frame = Frame(numbered_frame(serial), serial, 3000 * serial, INFO.time_base, 0, duration)
        sink.write(frame, enlarged(frame))
    sink.close()
    with av.open(str(path)) as container:
        assert container.streams.video[0].duration == 48_000


@pytest.mark.parametrize(("matrix", "code"), [("bt601", 6), ("bt709", 1)])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_right_and_tagged(
    tmp_path: Path, matrix: str, code: int, full_range: bool
) -> None:
    colour_bgr = (40, 90, 200)
    path = tmp_path / "out.mp4"
    info = dataclasses.replace(INFO, colour=Colour(matrix, full_range))
    pixels_hwc = np.full((48, 64, 3), colour_bgr, np.uint8)
    frame = Frame(pixels_hwc, 0, 0, INFO.time_base, 0)
    sink = open_sink(str(path), info, 4)
    sink.write(frame, enlarged(frame))
    sink.close()
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        (picture,) = container.decode(video=0)
        tags = (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range)
        luma = np.frombuffer(picture.planes[0], np.uint8)[0]
    assert tags == (code, code, code, 2 if full_range else 1)
    k_red, k_blue = (0.2126, 0.0722) if code == 1 else (0.299, 0.114)
    blue, green, red = (value / 255 for value in colour_bgr)
    light = k_red * red + (1 - k_red - k_blue) * green + k_blue * blue
    assert abs(float(luma) - (255 * light if full_range else 16 + 219 * light)) <= 1.5
    (decoded,) = open_source(str(path))
    assert np.abs(decoded.pixels_hwc[50, 50].astype(int) - colour_bgr).max() <= 4


@pytest.mark.parametrize(
    ("name", "tag"), [("out.mp4", "hvc1"), ("out.mov", "hvc1"), ("out.mkv", "")]
)
def test_hevc_plays_and_is_tagged_as_apple_wants_it(tmp_path: Path, name: str, tag: str) -> None:
    path = tmp_path / name
    sink = open_sink(str(path), INFO, 4, options=SinkOptions(codec="hevc"))
    for serial in range(12):
        frame = frame_at(serial, STEP * serial)
        sink.write(frame, enlarged(frame))
    sink.close()
    assert numbers_in(path) == list(range(12))
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert codec.name == "hevc"
        assert (codec.codec_tag == "hvc1") == (tag == "hvc1")


def test_constant_rate_repeats_and_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(str(path), INFO, 4, options=SinkOptions(frame_rate=10))
    for serial, pts in enumerate((0, 1000, 9000, 45_000)):
        frame = frame_at(serial, pts, 27_000)
        sink.write(frame, enlarged(frame))
    sink.close()
    assert times_of(path) == [Fraction(n, 10) for n in range(8)]
    assert numbers_in(path) == [0, 2, 2, 2, 2, 3, 3, 3]
    assert sink.figures() == {"repeated_frames": 5, "skipped_frames": 1}


@pytest.mark.parametrize(("live", "repeated"), [(True, 9), (False, 9 + 19 + 199)])
def test_a_live_stream_does_not_wait_until_a_long_gap_is_filled(
    tmp_path: Path, live: bool, repeated: int
) -> None:
    path = tmp_path / "out.mp4"
    info = dataclasses.replace(INFO, live=live)
    sink = open_sink(str(path), info, 4, options=SinkOptions(frame_rate=10, encoder="cpu"))
    for serial, seconds in enumerate((0, 1, 3, 23)):
        frame = frame_at(serial, 90_000 * seconds)
        sink.write(frame, enlarged(frame))
    assert sink.figures() == {"repeated_frames": repeated}
    sink.close()
    assert times_of(path)[-1] == 23


def test_output_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(str(path), INFO, 4, options=SinkOptions(size=(128, 96)))
    frame = frame_at(3, 0)
    sink.write(frame, np.repeat(np.repeat(frame.pixels_hwc, 2, axis=0), 2, axis=1))
    sink.close()
    (picture,) = pictures_of(path)
    assert picture.shape == (96, 128, 3)
    assert read_counter(picture, 64, 48) == 3


def test_odd_sides_are_refused_with_the_nearest_even_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"127x95 px.*128x96"):
        open_sink(str(tmp_path / "out.mp4"), INFO, 4, options=SinkOptions(size=(127, 95)))


def test_file_is_playable_before_it_is_closed(tmp_path: Path) -> None:
    """What SIGKILL or a power cut would leave."""
    path = tmp_path / "out.mp4"
    sink = open_sink(str(path), INFO, 4)
    for serial in range(100):
        sink.write(frame_at(serial, 3000 * serial), enlarged(frame_at(serial, 0)))
    left = tmp_path / "left.mp4"
    left.write_bytes(path.read_bytes())
    assert len(pictures_of(left)) >= 60
    sink.close()
    assert len(pictures_of(path)) == 100


def test_finished_file_is_an_ordinary_mp4_with_an_index(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(str(path), INFO, 4)
    for serial in range(70):
        sink.write(frame_at(serial, 3000 * serial), enlarged(frame_at(serial, 0)))
    sink.close()
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 70


def test_nothing_is_made_before_the_firstframe_at(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    open_sink(str(path), INFO, 4, overwrite=True).close()
    assert path.read_bytes() == b"precious"


def test_pixels_may_be_a_view_with_gaps_between_rows(tmp_path: Path) -> None:
    """A restorer crops padding by a view."""
    path = tmp_path / "out.mp4"
    frame = frame_at(9, 0)
    padded = np.zeros((200, 272, 3), np.uint8)
    padded[:192, :256] = enlarged(frame)
    sink = open_sink(str(path), INFO, 4)
    sink.write(frame, padded[:192, :256])
    sink.close()
    (picture,) = pictures_of(path)
    assert read_counter(picture, 64, 48) == 9


def test_video_too_large_to_encode_is_refused_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    for width, height in ((4097, 16), (16, 4097)):
        info = dataclasses.replace(INFO, width=width, height=height)
        with pytest.raises(UsageError, match="16384 px a side"):
            open_sink(str(path), info, 4)
    assert not path.exists()


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_encoder_that_refuses_leaves_no_empty_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crispstream.runtime.stream.sinks.encoder._MOST_PX", 1 << 20)
    path = tmp_path / name
    sink = open_sink(str(path), dataclasses.replace(INFO, width=4097, height=4), 4)
    with pytest.raises(SinkError, match="cannot be written after 0 frames"):
        sink.write(frame_at(0, 0), np.zeros((16, 16_388, 3), np.uint8))
    with contextlib.suppress(SinkError):
        sink.close(complete=False)
    assert not path.exists()
