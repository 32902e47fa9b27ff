"""Which sink an address asks for, and what is refused before any work."""

from pathlib import Path

import av
import av.error
import pytest

from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.stream.sink import (
    SinkOptions,
    check_distinct,
    check_options,
    open_sink,
)
from crispstream.runtime.stream.sinks.kinds import SCHEMES
from tests.helpers.media import write_video
from tests.helpers.restored import INFO, enlarged, frame_at


@pytest.mark.parametrize("name", ["out.mp4", "out.png"])
def test_existing_file_is_kept_unless_overwriting_is_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="--overwrite"):
        open_sink(str(path), INFO, 4)
    assert path.read_bytes() == b"precious"
    sink = open_sink(str(path), INFO, 4, overwrite=True)
    sink.write(frame_at(0, 0), enlarged(frame_at(0, 0)))
    sink.close()
    assert path.read_bytes() != b"precious"


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    write_video(path, frames=2)
    (tmp_path / "alias.mp4").symlink_to(path)
    for name in ("in.mp4", "alias.mp4"):
        for source in (str(path), path.as_uri()):
            with pytest.raises(UsageError, match="the source itself"):
                open_sink(str(tmp_path / name), INFO, 4, source=source, overwrite=True)


def test_the_folder_of_a_source_of_images_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"precious")
    for source in (f"{tmp_path}/a.png", f"file://{tmp_path}/a.png", f"{tmp_path}/*.png"):
        with pytest.raises(UsageError, match="holds the source"):
            open_sink(str(tmp_path), INFO, 4, source=source, overwrite=True)


@pytest.mark.parametrize("source", ["0", "gst:videotestsrc", "rtsp://host/a", "nowhere.mp4"])
def test_a_source_that_is_no_file_here_keeps_no_output_from_being_replaced(
    tmp_path: Path, source: str
) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    open_sink(str(path), INFO, 4, source=source, overwrite=True).close()


@pytest.mark.parametrize("uri", ["out.xyz", "gopher://host/stream"])
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


def test_unknown_scheme_lists_the_known_ones_and_hides_the_password() -> None:
    with pytest.raises(UsageError) as caught:
        open_sink("gopher://me:secret@host/stream", INFO, 4)
    for scheme in SCHEMES:
        assert f"{scheme}://" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_stream_is_not_pushed_to_where_it_comes_from() -> None:
    with pytest.raises(UsageError, match="the source itself"):
        open_sink("rtsp://127.0.0.1/a", INFO, 4, source="rtsp://me:secret@127.0.0.1/a/")


@pytest.mark.parametrize(
    "uris",
    [
        ("out.mp4", "./deep/../out.mp4"),
        ("rtsp://me:secret@host/a", "RTSP://host/a/"),
        ("null://", "out.mp4", "null://"),
    ],
)
def test_two_sinks_with_one_target_are_refused(uris: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="one and the same output") as caught:
        check_distinct(uris)
    assert "secret" not in str(caught.value)
    check_distinct(uris[:1])


def test_different_targets_are_fine() -> None:
    check_distinct(["a.mp4", "b.mp4", "a", "rtsp://host/a", "rtsp://host/b", "udp://host:1"])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (SinkOptions(codec="hevc"), r"codec \(--codec\)"),
        (SinkOptions(encoder="cpu"), r"encoder \(--encoder\)"),
        (SinkOptions(frame_rate=25), r"output_fps \(--output-fps\)"),
        (SinkOptions(segment_seconds=60), r"segment_seconds \(--segment-seconds\)"),
    ],
)
def test_an_option_is_refused_only_if_no_sink_can_obey(options: SinkOptions, word: str) -> None:
    check_options(["null://", "out.mp4"], options)
    with pytest.raises(UsageError, match=f"^{word} is asked for, and 'null://' and 'images' can"):
        check_options(["null://", "images"], options)


def test_what_is_pushed_has_a_codec_but_no_segments() -> None:
    check_options(["rtsp://host/a"], SinkOptions(codec="hevc", frame_rate=10))
    with pytest.raises(UsageError, match="segment_seconds"):
        check_options(["rtsp://host/a"], SinkOptions(segment_seconds=60))


def test_segments_have_nothing_to_overwrite_but_what_is_beside_them_may() -> None:
    options = SinkOptions(segment_seconds=60)
    check_options(["rec.mp4", "still.png"], options, overwrite=True)
    check_options(["rec.mp4"], SinkOptions(), overwrite=True)
    with pytest.raises(UsageError, match=r"numbered on .* leave out overwrite \(--overwrite\)"):
        check_options(["rec.mp4", "null://"], options, overwrite=True)


def test_a_protocol_that_is_not_there_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_srt(address: str) -> None:
        assert address == "srt://"
        raise av.error.ProtocolNotFoundError(1330794744, "Protocol not found", address)

    monkeypatch.setattr(av, "open", without_srt)
    uri = "srt://127.0.0.1:9?passphrase=secret"
    for refuse in (lambda: check_options([uri], SinkOptions()), lambda: open_sink(uri, INFO, 4)):
        with pytest.raises(UsageError, match=r"does not speak SRT.*push to rtsp://") as caught:
            refuse()
        assert "secret" not in str(caught.value)
    check_options(["udp://127.0.0.1:9"], SinkOptions())


@pytest.mark.parametrize(
    "bad",
    [
        {"codec": "av1"},
        {"encoder": "gpu"},
        {"size": (0, 96)},
        {"frame_rate": 0.0},
        {"frame_rate": float("nan")},
        {"segment_seconds": 0.5},
        {"segment_seconds": 86_401},
        {"segment_seconds": float("inf")},
        {"segment_seconds": float("nan")},
    ],
)
def test_impossible_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SinkOptions(**bad)
