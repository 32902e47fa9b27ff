"""Sinks: what comes out plays, at the right times, in the right colours; failures lose nothing."""

import contextlib
import dataclasses
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.frame import Colour, Frame, StreamInfo
from crispstream.runtime.stream.sink import open_sink
from crispstream.runtime.stream.sinks.guarded import GuardedFile
from crispstream.runtime.stream.source import open_source
from crispstream.runtime.stream.sources.synth import read_counter
from tests.helpers.media import (
    audio_packets_of,
    numbered_frame,
    pictures_of,
    times_of,
    write_video,
)

INFO = StreamInfo(
    64, 48, Fraction(30), Fraction(1, 90_000), Colour("bt601", full_range=False), None, None
)


def _frame(serial: int, pts: int, time_base: Fraction = INFO.time_base) -> Frame:
    return Frame(numbered_frame(serial), serial, pts, time_base, 0, 3000)


def _enlarged(frame: Frame) -> np.ndarray:
    return np.repeat(np.repeat(frame.pixels_hwc, 4, axis=0), 4, axis=1)


def _copied(source: Path, target: Path, *, only: int | None = None) -> None:
    """Enlarge a video by pixel repetition, as `run` would."""
    frames = open_source(str(source))
    sink = open_sink(str(target), frames.info, 4, source=str(source))
    for frame in frames:
        if only is not None and frame.serial == only:
            break
        sink.write(frame, _enlarged(frame))
    sink.close(complete=only is None)
    frames.close()


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".m4v"])
@pytest.mark.parametrize("time_base", [Fraction(1, 90_000), Fraction(1001, 30_000)])
def test_times_are_kept_exactly(tmp_path: Path, ending: str, time_base: Fraction) -> None:
    times = [7, 8, 12, 13, 40, 41, 42, 90]
    source, target = tmp_path / "in.mp4", tmp_path / f"out{ending}"
    exact_offset = {"movie_timescale": str(time_base.denominator)}
    write_video(source, times=times, time_base=time_base, container_options=exact_offset)
    _copied(source, target)
    assert times_of(target) == [time * time_base for time in times]
    assert [read_counter(p, 64, 48) for p in pictures_of(target)] == list(range(len(times)))


def test_matroska_keeps_times_to_the_millisecond(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mkv"
    times = write_video(source, times=[0, 3003, 9100])
    _copied(source, target)
    for seen, time in zip(times_of(target), times, strict=True):
        assert abs(seen - Fraction(time, 90_000)) <= Fraction(1, 1000)


def test_the_last_frame_keeps_its_duration(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(str(path), INFO, 4)
    for serial, duration in ((0, 3000), (1, 45_000)):
        frame = Frame(numbered_frame(serial), serial, 3000 * serial, INFO.time_base, 0, duration)
        sink.write(frame, _enlarged(frame))
    sink.close()
    with av.open(str(path)) as container:
        assert container.streams.video[0].duration == 48_000


def test_audio_is_copied_packet_by_packet(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, frames=30, audio_seconds=1.5)
    _copied(source, target)
    assert len(audio_packets_of(source)) > 20
    assert audio_packets_of(target) == audio_packets_of(source)


def test_audio_ends_with_the_pictures_of_a_stopped_run(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, frames=30, audio_seconds=1.0)
    _copied(source, target, only=15)
    times = [time for time, _ in audio_packets_of(target)]
    assert 0.4 < max(times) < 0.5


def test_audio_the_output_cannot_hold_is_refused_before_any_work(tmp_path: Path) -> None:
    source = tmp_path / "in.mov"
    with av.open(str(source), "w") as container:
        video = container.add_stream("mpeg4", rate=30)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream("pcm_mulaw", rate=16_000)
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="bgr24")
        picture.pts = 0
        container.mux(video.encode(picture.reformat(format="yuv420p")))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        frame.sample_rate = 16_000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(UsageError, match=r"pcm_mulaw.*\.mov"):
        _copied(source, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    _copied(source, tmp_path / "out.mov")
    assert audio_packets_of(tmp_path / "out.mov") == audio_packets_of(source)


@pytest.mark.parametrize(("height", "code"), [(48, 6), (180, 1)])
def test_colours_are_right_and_tagged(tmp_path: Path, height: int, code: int) -> None:
    colour_bgr = (40, 90, 200)
    path = tmp_path / "out.mp4"
    info = StreamInfo(64, height, None, Fraction(1, 30), INFO.colour, None, None)
    pixels_hwc = np.full((height, 64, 3), colour_bgr, np.uint8)
    frame = Frame(pixels_hwc, 0, 0, Fraction(1, 30), 0)
    sink = open_sink(str(path), info, 4)
    sink.write(frame, _enlarged(frame))
    sink.close()
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        (picture,) = container.decode(video=0)
        tags = (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range)
        luma = np.frombuffer(picture.planes[0], np.uint8)[0]
    assert tags == (code, code, code, 1)
    k_red, k_blue = (0.2126, 0.0722) if code == 1 else (0.299, 0.114)
    blue, green, red = (value / 255 for value in colour_bgr)
    expected = 16 + 219 * (k_red * red + (1 - k_red - k_blue) * green + k_blue * blue)
    assert abs(float(luma) - expected) <= 1.5
    (decoded,) = open_source(str(path))
    assert np.abs(decoded.pixels_hwc[50, 50].astype(int) - colour_bgr).max() <= 4


def test_file_is_playable_before_it_is_closed(tmp_path: Path) -> None:
    """What SIGKILL or a power cut would leave."""
    path = tmp_path / "out.mp4"
    sink = open_sink(str(path), INFO, 4)
    for serial in range(100):
        sink.write(_frame(serial, 3000 * serial), _enlarged(_frame(serial, 0)))
    left = tmp_path / "left.mp4"
    left.write_bytes(path.read_bytes())
    assert len(pictures_of(left)) >= 60
    sink.close()
    assert len(pictures_of(path)) == 100


def test_finished_file_is_an_ordinary_mp4_with_an_index(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(str(path), INFO, 4)
    for serial in range(70):
        sink.write(_frame(serial, 3000 * serial), _enlarged(_frame(serial, 0)))
    sink.close()
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 70


def test_nothing_is_made_before_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    open_sink(str(path), INFO, 4, overwrite=True).close()
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["out.mp4", "out.png"])
def test_existing_file_is_kept_unless_overwriting_is_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="--overwrite"):
        open_sink(str(path), INFO, 4)
    assert path.read_bytes() == b"precious"
    sink = open_sink(str(path), INFO, 4, overwrite=True)
    sink.write(_frame(0, 0), _enlarged(_frame(0, 0)))
    sink.close()
    assert path.read_bytes() != b"precious"


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    write_video(path, frames=2)
    (tmp_path / "alias.mp4").symlink_to(path)
    for name in ("in.mp4", "alias.mp4"):
        with pytest.raises(UsageError, match="the source itself"):
            open_sink(str(tmp_path / name), INFO, 4, source=str(path), overwrite=True)


@pytest.mark.parametrize("uri", ["out.xyz", "rtsp://host/stream"])
def test_unknown_kind_is_a_usage_error(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UsageError):
        open_sink(uri if "://" in uri else str(tmp_path / uri), INFO, 4)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"folder '.*nowhere' does not exist"):
        open_sink(str(tmp_path / "nowhere" / "out.mp4"), INFO, 4)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that takes no files")
@pytest.mark.parametrize("uri", ["/proc/out.mp4", "/proc/out.png", "/proc/out"])
def test_unwritable_folder_is_found_before_any_work(uri: str) -> None:
    with pytest.raises(SinkError, match="cannot be"):
        open_sink(uri, INFO, 4)


_WRITE_UNTIL_FULL = """
import resource, signal, sys
import numpy
generator = numpy.random.default_rng(0)
sys.path[:0] = sys.argv.pop().split(":")
from tests.runtime.stream.test_sinks import INFO, _enlarged, _frame
from crispstream.core.errors import SinkError
from crispstream.runtime.stream.sink import open_sink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
sink = open_sink(sys.argv[1], INFO, 4)
try:
    for serial in range(500):
        large = _enlarged(_frame(serial, 0))
        large[100:] = generator.integers(0, 256, large[100:].shape)
        sink.write(_frame(serial, 3000 * serial), large)
except SinkError as error:
    print(error)
finally:
    try:
        sink.close(complete=False)
    except SinkError:
        pass
"""


def _write_until_full(path: Path, limit_bytes: int) -> str:
    """Write to a disk that takes `limit_bytes` a file; return what the error said."""
    ran = subprocess.run(
        [sys.executable, "-c", _WRITE_UNTIL_FULL, str(path), str(limit_bytes), ":".join(sys.path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    return ran.stdout


@pytest.mark.parametrize("limit_bytes", [2_000_000, 2_500_000])
def test_full_disk_is_one_sentence_and_what_was_written_plays(
    tmp_path: Path, limit_bytes: int
) -> None:
    path = tmp_path / "out.mp4"
    said = _write_until_full(path, limit_bytes)
    assert "the disk is full" in said
    assert said.count("\n") == 1
    assert path.stat().st_size <= limit_bytes
    numbers = [read_counter(picture, 64, 48) for picture in pictures_of(path)]
    assert len(numbers) >= 29
    assert numbers == list(range(len(numbers)))
    with av.open(str(path)) as container:  # nothing torn is left at the end
        assert len(list(container.decode(video=0))) == len(numbers)


def test_full_disk_before_the_first_fragment_leaves_no_stub(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    assert "the disk is full" in _write_until_full(path, 100_000)
    assert not path.exists()


def test_full_disk_leaves_matroska_up_to_its_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    assert "the disk is full" in _write_until_full(path, 2_000_000)
    numbers = [read_counter(picture, 64, 48) for picture in pictures_of(path)]
    assert len(numbers) > 10
    assert numbers == list(range(len(numbers)))


def test_full_disk_leaves_no_half_image(tmp_path: Path) -> None:
    said = _write_until_full(tmp_path / "images", 500)
    assert "the disk is full" in said
    assert list((tmp_path / "images").iterdir()) == []


def test_folder_takes_numbered_images(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "images"
    sink = open_sink(str(folder), INFO, 4)
    for serial in (0, 1, 5):
        sink.write(_frame(serial, serial), _enlarged(_frame(serial, 0)))
    sink.close()
    assert sorted(path.name for path in folder.iterdir()) == [
        "000000.png",
        "000001.png",
        "000005.png",
    ]
    assert (cv2.imread(str(folder / "000005.png")) == _enlarged(_frame(5, 0))).all()
    with pytest.raises(UsageError, match="--overwrite"):
        open_sink(str(folder), INFO, 4)


def test_folder_of_the_source_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), numbered_frame(0))
    with pytest.raises(UsageError, match="the source itself"):
        open_sink(str(tmp_path), INFO, 4, source=str(tmp_path))


def test_folder_that_holds_the_source_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "000000.png"
    cv2.imwrite(str(source), numbered_frame(0))
    with pytest.raises(UsageError, match="holds the source"):
        open_sink(str(tmp_path), INFO, 4, source=str(source), overwrite=True)


def test_one_image_takes_one_frame(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.png"), INFO, 4)
    sink.write(_frame(0, 0), _enlarged(_frame(0, 0)))
    with pytest.raises(SinkError, match="more than one frame"):
        sink.write(_frame(1, 1), _enlarged(_frame(1, 1)))
    sink.close()


def test_null_counts(tmp_path: Path) -> None:
    sink = open_sink("null://", INFO, 4)
    for serial in range(3):
        sink.write(_frame(serial, 0), _enlarged(_frame(serial, 0)))
    sink.close()
    assert vars(sink) == {"frames": 3}


def test_pixels_may_be_a_view_with_gaps_between_rows(tmp_path: Path) -> None:
    """A restorer crops padding by a view."""
    path = tmp_path / "out.mp4"
    frame = _frame(9, 0)
    padded = np.zeros((200, 272, 3), np.uint8)
    padded[:192, :256] = _enlarged(frame)
    sink = open_sink(str(path), INFO, 4)
    sink.write(frame, padded[:192, :256])
    sink.close()
    (picture,) = pictures_of(path)
    assert read_counter(picture, 64, 48) == 9


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_guarded_file_reports_a_failure_once_and_goes_on_pretending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unlinked: list[Path] = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: unlinked.append(path))
    file = GuardedFile(Path("/dev/full"), fragmented=True)
    assert file.write(b"12345678") == 8
    assert file.error is not None
    assert file.write(b"more") == 4
    file.error = None  # a device cannot be cut
    file.close()
    assert unlinked == []  # nor may it be removed, which root could do


@pytest.mark.parametrize(("name", "width"), [("out.webp", 16_384), ("out.jpg", 65_536)])
def test_image_too_large_for_its_format_is_one_sentence(
    tmp_path: Path, name: str, width: int
) -> None:
    path = tmp_path / name
    sink = open_sink(str(path), INFO, 4)
    with pytest.raises(SinkError, match=rf"{width}x4 px .*\.png") as caught:
        sink.write(_frame(0, 0), np.zeros((4, width, 3), np.uint8))
    assert "\n" not in str(caught.value)
    assert not path.exists()


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
    monkeypatch.setattr("crispstream.runtime.stream.sinks.file._MOST_PX", 1 << 20)
    path = tmp_path / name
    sink = open_sink(str(path), dataclasses.replace(INFO, width=4097, height=4), 4)
    with pytest.raises(SinkError, match="cannot be written after 0 frames"):
        sink.write(_frame(0, 0), np.zeros((16, 16_388, 3), np.uint8))
    with contextlib.suppress(SinkError):
        sink.close(complete=False)
    assert not path.exists()
