"""Sources: pixels, times and sizes as they are in the file; bad input in one sentence."""

import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.errors import CrispstreamError, SourceError, UsageError
from crispstream.core.pixels import pad_reflect
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.source import Source, open_source
from crispstream.runtime.stream.sources.synth import read_counter
from tests.helpers.media import (
    halve_edit,
    numbered_frame,
    turn,
    write_sound,
    write_video,
    write_with_a_hole,
)

# Every frame stands alone, and the index precedes them: damage stays where a test puts it.
_ALL_INTRA = {"g": "1", "preset": "ultrafast", "crf": "10"}
_HEAD_FIRST = {"movflags": "faststart"}


def _until_error(source: Source) -> tuple[list[Frame], CrispstreamError | None]:
    frames: list[Frame] = []
    try:
        for frame in source:
            frames.append(frame)  # noqa: PERF402 (what came before the error is the point)
    except CrispstreamError as error:
        return frames, error
    finally:
        source.close()
    return frames, None


def _numbers(frames: list[Frame], width: int = 64, height: int = 48) -> list[int | None]:
    return [read_counter(frame.pixels_hwc, width, height) for frame in frames]


def _one_sentence(error: BaseException | None) -> bool:
    return error is not None and "\n" not in str(error) and ". " not in str(error)


def test_video_comes_in_order_with_its_own_times(tmp_path: Path) -> None:
    times = [4500, 7503, 7600, 13_001, 90_000, 90_001]
    path = tmp_path / "variable.mp4"
    write_video(path, times=times)
    source = open_source(str(path))
    assert (source.info.width, source.info.height) == (64, 48)
    assert source.info.frame_count == 6
    frames, error = _until_error(source)
    assert error is None
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(t, 90_000) for t in times]
    assert _numbers(frames) == list(range(6))
    assert [frame.serial for frame in frames] == list(range(6))


def test_b_frames_come_in_presentation_order(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    write_video(path, frames=20, options={"bf": "3", "preset": "medium"})
    frames, _ = _until_error(open_source(str(path)))
    assert _numbers(frames) == list(range(20))


def test_odd_sizes_survive(tmp_path: Path) -> None:
    path = tmp_path / "odd.avi"
    write_video(path, frames=2, width=61, height=39, codec="ffv1", options={})
    frames, _ = _until_error(open_source(str(path)))
    assert [frame.pixels_hwc.shape for frame in frames] == [(39, 61, 3)] * 2


_KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
_CODES = {"bt601": 6, "bt709": 1, "bt2020": 9}


@pytest.mark.parametrize("matrix", sorted(_CODES))
@pytest.mark.parametrize("full_range", [False, True])
def test_pixels_are_converted_with_the_tagged_matrix_and_range(
    tmp_path: Path, matrix: str, full_range: bool
) -> None:
    """Reference: the matrix equations of BT.601, BT.709 and BT.2020 in floats."""
    import av

    y, cb, cr = 120, 90, 170
    path = tmp_path / "flat.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.colorspace = _CODES[matrix]
        stream.codec_context.color_range = 2 if full_range else 1
        planes = np.concatenate(
            [np.full(1024, y, np.uint8), np.full(256, cb, np.uint8), np.full(256, cr, np.uint8)]
        )
        frame = av.VideoFrame.from_ndarray(planes.reshape(48, 32), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    source = open_source(str(path))
    assert (source.info.colour.matrix, source.info.colour.full_range) == (matrix, full_range)
    frames, _ = _until_error(source)

    k_red, k_blue = _KR_KB[matrix]
    luma = y / 255 if full_range else (y - 16) / 219
    blue_minus, red_minus = ((c - 128) / (255 if full_range else 224) for c in (cb, cr))
    red = luma + 2 * (1 - k_red) * red_minus
    blue = luma + 2 * (1 - k_blue) * blue_minus
    green = (luma - k_red * red - k_blue * blue) / (1 - k_red - k_blue)
    expected = 255 * np.clip([blue, green, red], 0, 1)
    assert np.abs(frames[0].pixels_hwc[16, 16] - expected).max() <= 2  # PyAV 17 truncates


@pytest.mark.parametrize(("height", "matrix"), [(48, "bt601"), (720, "bt709")])
def test_untagged_video_is_read_as_players_do(tmp_path: Path, height: int, matrix: str) -> None:
    path = tmp_path / "untagged.mp4"
    write_video(path, frames=1, height=height)
    colour = open_source(str(path)).info.colour
    assert (colour.matrix, colour.full_range) == (matrix, False)


def test_missing_file_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"no file or folder 'nowhere\.mp4'"):
        open_source("nowhere.mp4")


def test_unknown_scheme_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no kind of source"):
        open_source("gopher://camera")


def test_text_named_mp4_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("Dear diary,\n" * 100)
    with pytest.raises(SourceError, match="not a video") as caught:
        open_source(str(path))
    assert _one_sentence(caught.value)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(SourceError, match="empty file"):
        open_source(str(path))


def test_video_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.mp4"
    write_video(path, frames=1)
    data = bytearray(path.read_bytes())
    begin, size = (
        data.index(b"mdat") + 4,
        int.from_bytes(data[data.index(b"mdat") - 4 :][:4], "big"),
    )
    data[begin : begin + size - 8] = bytes(size - 8)
    path.write_bytes(data)
    with pytest.raises(SourceError, match="corrupt after 0 frames"):
        open_source(str(path))


def test_sound_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    write_sound(path)
    with pytest.raises(SourceError, match="only audio"):
        open_source(str(path))


def test_video_that_breaks_off_gives_its_frames_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "whole.mp4"
    write_video(path, frames=40, options=_ALL_INTRA, container_options=_HEAD_FIRST)
    data = path.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 3 // 5])
    frames, error = _until_error(open_source(str(cut)))
    assert 5 < len(frames) < 40
    assert _numbers(frames[:5]) == list(range(5))
    assert isinstance(error, SourceError)
    assert _one_sentence(error)
    assert str(cut) in str(error)


@pytest.mark.parametrize("ending", [".mkv", ".avi"])
@pytest.mark.parametrize("audio_seconds", [0.0, 4.0])
def test_cut_video_without_a_frame_count_breaks_off_too(
    tmp_path: Path, ending: str, audio_seconds: float
) -> None:
    whole, cut = tmp_path / f"whole{ending}", tmp_path / f"cut{ending}"
    write_video(whole, frames=90, options=_ALL_INTRA, audio_seconds=audio_seconds)
    frames, error = _until_error(open_source(str(whole)))
    assert (len(frames), error) == (90, None)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 5])
    frames, error = _until_error(open_source(str(cut)))
    assert 5 < len(frames) < 80
    assert isinstance(error, SourceError)
    assert "breaks off" in str(error)
    assert _one_sentence(error)


def test_whole_video_shorter_than_its_sound_is_whole(tmp_path: Path) -> None:
    for name in ("long.mkv", "long.mp4"):
        write_video(tmp_path / name, frames=10, audio_seconds=3.0)
        frames, error = _until_error(open_source(str(tmp_path / name)))
        assert (len(frames), error) == (10, None)


def test_edited_video_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "trimmed.mp4"
    write_video(path, frames=60, options=_ALL_INTRA)
    halve_edit(path)
    frames, error = _until_error(open_source(str(path)))
    assert error is None
    assert _numbers(frames) == list(range(len(frames)))
    assert len(frames) < 40


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_video_comes_upright(tmp_path: Path, quarters: int) -> None:
    path = tmp_path / "phone.mp4"
    write_video(path, frames=2)
    (lying, _), _ = _until_error(open_source(str(path)))
    turn(path, 90 * quarters)
    source = open_source(str(path))
    height, width = ((48, 64), (64, 48))[quarters % 2]
    assert (source.info.height, source.info.width) == (height, width)
    frames, error = _until_error(source)
    assert error is None
    assert len(frames) == 2
    upright = np.rot90(lying.pixels_hwc, -quarters)
    assert (frames[0].pixels_hwc == upright).all()
    padded = np.empty((height + 3, width + 2, 3), np.uint8)
    pad_reflect(frames[0].pixels_hwc, padded)
    assert (padded[:height, :width] == upright).all()


def test_video_turned_by_an_odd_angle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slanted.mp4"
    write_video(path, frames=1)
    turn(path, 30)
    with pytest.raises(SourceError, match="quarter turns") as caught:
        open_source(str(path))
    assert _one_sentence(caught.value)


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
            open_source(uri, frame_rate=10)


def test_video_corrupt_to_its_end_gives_its_frames_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "corrupt.mp4"
    write_video(path, frames=40, options=_ALL_INTRA, container_options=_HEAD_FIRST)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = bytes(len(data) - half)
    path.write_bytes(data)
    frames, error = _until_error(open_source(str(path)))
    assert 5 < len(frames) < 40
    assert isinstance(error, SourceError)
    assert _one_sentence(error)


def test_a_hole_in_a_video_is_counted_and_passed(tmp_path: Path) -> None:
    path = tmp_path / "hole.mp4"
    write_with_a_hole(path)
    source = open_source(str(path))
    frames, error = _until_error(source)
    assert error is None
    assert source.damaged > 0
    assert _numbers(frames)[-1] == 39


def test_size_change_midway_ends_the_stream_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "both.h264"
    for name, width in (("a", 64), ("b", 96)):
        write_video(tmp_path / f"{name}.h264", frames=6, width=width)
    path.write_bytes((tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes())
    frames, error = _until_error(open_source(str(path)))
    assert len(frames) == 6
    assert isinstance(error, SourceError)
    assert "64x48" in str(error)
    assert "96x48" in str(error)
    assert _one_sentence(error)


def test_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number in (1, 2, 10, 9):
        cv2.imwrite(str(tmp_path / f"shot{number}.png"), numbered_frame(number))
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(str(tmp_path), frame_rate=12.5)
    frames, error = _until_error(source)
    assert error is None
    assert _numbers(frames) == [1, 2, 9, 10]
    assert [frame.pts * frame.time_base for frame in frames] == [
        Fraction(2 * n, 25) for n in range(4)
    ]


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("grey.png", np.full((20, 24), 77, np.uint8), (77, 77, 77)),
        ("deep.png", np.full((20, 24, 3), 77 * 257, np.uint16), (77, 77, 77)),
        ("deep_grey.png", np.full((20, 24), 77 * 257, np.uint16), (77, 77, 77)),
        ("alpha.png", np.full((20, 24, 4), (10, 20, 30, 0), np.uint8), (10, 20, 30)),
    ],
)
def test_any_image_becomes_bgr_bytes(
    tmp_path: Path, name: str, image: np.ndarray, expected: tuple[int, int, int]
) -> None:
    cv2.imwrite(str(tmp_path / name), image)
    (frame,), error = _until_error(open_source(str(tmp_path / name)))
    assert error is None
    assert (frame.pixels_hwc.shape, frame.pixels_hwc.dtype) == ((20, 24, 3), np.uint8)
    assert (frame.pixels_hwc == expected).all()


def test_folder_without_images_names_the_endings(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"\.png, \.jpg"):
        open_source(str(tmp_path))


def test_folder_with_two_sizes_stops_at_the_second(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), numbered_frame(0))
    cv2.imwrite(str(tmp_path / "2.png"), numbered_frame(1, width=80))
    frames, error = _until_error(open_source(str(tmp_path)))
    assert len(frames) == 1
    assert isinstance(error, SourceError)
    assert "80x48" in str(error)
    assert "64x48" in str(error)


def test_text_named_png_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_text("not an image")
    with pytest.raises(SourceError, match="not an image"):
        open_source(str(tmp_path))


def test_synthetic_camera_is_deterministic_and_moves() -> None:
    uri = "synth://pattern?size=40x32&fps=10&frames=3"
    first, _ = _until_error(open_source(uri))
    again, _ = _until_error(open_source(uri))
    assert len(first) == 3
    assert all((a.pixels_hwc == b.pixels_hwc).all() for a, b in zip(first, again, strict=True))
    assert (first[0].pixels_hwc[20:] != first[1].pixels_hwc[20:]).any()
    assert first[2].pts * first[2].time_base == Fraction(1, 5)


@pytest.mark.parametrize("size", ["16x16", "61x39", "320x180", "1920x1080"])
@pytest.mark.parametrize("scale", [1, 4])
def test_counter_is_read_back_after_enlargement_and_blur(size: str, scale: int) -> None:
    width, height = map(int, size.split("x"))
    source = open_source(f"synth://pattern?size={size}&frames=20")
    frame = list(source)[19]
    large = cv2.resize(frame.pixels_hwc, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    assert read_counter(large, width, height) == 19


def test_spoilt_counter_is_not_taken_for_a_number() -> None:
    frame_hwc = numbered_frame(5)
    frame_hwc[0:3, 0:3] = 255 - frame_hwc[0:3, 0:3]
    assert read_counter(frame_hwc, 64, 48) is None


@pytest.mark.parametrize(
    "uri",
    [
        "synth://plasma",
        "synth://pattern?colour=red",
        "synth://pattern?size=8x8",
        "synth://pattern?size=wide",
        "synth://pattern?fps=0",
        "synth://pattern?frames=-1",
        "synth://pattern?live=yes",
    ],
)
def test_bad_synthetic_uri_is_a_usage_error(uri: str) -> None:
    with pytest.raises(UsageError):
        open_source(uri)
