"""Video files that are none, break off, or are damaged: what is whole comes, then one sentence."""

from pathlib import Path

import pytest

from crispstream.core.errors import SourceError
from crispstream.runtime.stream.source import open_source
from tests.helpers.media import (
    halve_edit,
    write_sound,
    write_video,
    write_with_a_hole,
)
from tests.helpers.reading import is_one_sentence, numbers, until_error

# Every frame stands alone, and the index precedes them: damage stays where a test puts it.
_ALL_INTRA = {"g": "1", "preset": "ultrafast", "crf": "10"}
_HEAD_FIRST = {"movflags": "faststart"}


def test_text_named_mp4_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("Dear diary,\n" * 100)
    with pytest.raises(SourceError, match="not a video") as caught:
        open_source(str(path))
    assert is_one_sentence(caught.value)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(SourceError, match="empty file"):
        open_source(str(path))


def test_a_codec_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "strange.mp4"
    write_video(path, frames=2)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(SourceError, match=r"cannot decode; convert it to H\.264") as caught:
        open_source(str(path))
    assert is_one_sentence(caught.value)


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
    frames, error = until_error(open_source(str(cut)))
    assert 5 < len(frames) < 40
    assert numbers(frames[:5]) == list(range(5))
    assert isinstance(error, SourceError)
    assert is_one_sentence(error)
    assert str(cut) in str(error)


@pytest.mark.parametrize("ending", [".mkv", ".avi"])
@pytest.mark.parametrize("audio_seconds", [0.0, 4.0])
def test_cut_video_without_a_frame_count_breaks_off_too(
    tmp_path: Path, ending: str, audio_seconds: float
) -> None:
    whole, cut = tmp_path / f"whole{ending}", tmp_path / f"cut{ending}"
    write_video(whole, frames=90, options=_ALL_INTRA, audio_seconds=audio_seconds)
    frames, error = until_error(open_source(str(whole)))
    assert (len(frames), error) == (90, None)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 5])
    frames, error = until_error(open_source(str(cut)))
    assert 5 < len(frames) < 80
    assert isinstance(error, SourceError)
    assert "breaks off" in str(error)
    assert is_one_sentence(error)


def test_whole_video_shorter_than_its_sound_is_whole(tmp_path: Path) -> None:
    for name in ("long.mkv", "long.mp4"):
        write_video(tmp_path / name, frames=10, audio_seconds=3.0)
        frames, error = until_error(open_source(str(tmp_path / name)))
        assert (len(frames), error) == (10, None)


def test_edited_video_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "trimmed.mp4"
    write_video(path, frames=60, options=_ALL_INTRA)
    halve_edit(path)
    frames, error = until_error(open_source(str(path)))
    assert error is None
    assert numbers(frames) == list(range(len(frames)))
    assert len(frames) < 40


def test_video_corrupt_to_its_end_gives_its_frames_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "corrupt.mp4"
    write_video(path, frames=40, options=_ALL_INTRA, container_options=_HEAD_FIRST)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = bytes(len(data) - half)
    path.write_bytes(data)
    frames, error = until_error(open_source(str(path)))
    assert 5 < len(frames) < 40
    assert isinstance(error, SourceError)
    assert is_one_sentence(error)


def test_a_hole_in_a_video_is_counted_and_passed(tmp_path: Path) -> None:
    path = tmp_path / "hole.mp4"
    write_with_a_hole(path)
    source = open_source(str(path))
    frames, error = until_error(source)
    assert error is None
    assert source.damaged > 0
    assert numbers(frames)[-1] == 39


def test_size_change_midway_ends_the_stream_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "both.h264"
    for name, width in (("a", 64), ("b", 96)):
        write_video(tmp_path / f"{name}.h264", frames=6, width=width)
    path.write_bytes((tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes())
    frames, error = until_error(open_source(str(path)))
    assert len(frames) == 6
    assert isinstance(error, SourceError)
    assert "64x48" in str(error)
    assert "96x48" in str(error)
    assert is_one_sentence(error)
