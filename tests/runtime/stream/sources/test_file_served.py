"""Video files on a web server: read as files are, in so far as the server plays along."""

import logging
import threading

import pytest

from crispstream.core.errors import SourceError
from crispstream.runtime.stream.compose import policy_for, wait_for_source
from crispstream.runtime.stream.source import open_source, path_of
from crispstream.runtime.stream.sources import file_opening
from crispstream.runtime.stream.sources.file import FileSource
from tests.helpers.http_camera import serving_files
from tests.helpers.media import write_video
from tests.helpers.reading import numbers, until_error

ALL_INTRA = {"g": "1", "preset": "ultrafast", "crf": "10"}


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_a_file_on_a_server_is_a_file(tmp_path, ending):
    write_video(tmp_path / f"a{ending}", frames=40)
    with serving_files(tmp_path) as address:
        source = open_source(f"{address}/a{ending}")
        assert not source.info.live
        assert policy_for("auto", source.info) == "all"
        frames, error = until_error(source)
        source.close()
    assert (numbers(frames), error) == (list(range(40)), None)
    assert source.health.name.startswith("http://***@127.0.0.1:")


def test_a_playlist_with_an_end_is_a_file(tmp_path):
    write_video(tmp_path / "a.ts", frames=40)
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    (tmp_path / "list.m3u8").write_text(f"{head}#EXTINF:1.3,\na.ts\n#EXT-X-ENDLIST\n")
    with serving_files(tmp_path) as address:
        source = open_source(f"{address}/list.m3u8")
        frames, error = until_error(source)
        source.close()
    assert (numbers(frames), error) == (list(range(40)), None)


def test_its_sound_is_left_and_that_is_told_without_the_password(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    write_video(tmp_path / "a.mp4", frames=4, audio_seconds=0.3)
    with serving_files(tmp_path) as address:
        source = open_source(f"{address}/a.mp4")
        source.close()
    assert source.info.audio_from is None
    assert "the sound of http://***@127.0.0.1:" in caplog.text
    assert "top-secret" not in caplog.text


def test_a_server_that_hangs_up_midway_is_asked_for_the_rest(tmp_path):
    write_video(tmp_path / "a.mp4", frames=40, container_options={"movflags": "faststart"})
    size = (tmp_path / "a.mp4").stat().st_size
    with serving_files(tmp_path, most_bytes=size * 2 // 3) as address:
        source = open_source(f"{address}/a.mp4")
        frames, error = until_error(source)
        source.close()
    assert (numbers(frames), error) == (list(range(40)), None)


def test_a_server_that_falls_silent_midway_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(file_opening, "_SILENT_SECONDS", 0.3)
    write_video(
        tmp_path / "a.mp4",
        frames=40,
        options=ALL_INTRA,
        container_options={"movflags": "faststart"},
    )
    size, release = (tmp_path / "a.mp4").stat().st_size, threading.Event()
    with serving_files(tmp_path, most_bytes=size * 2 // 3, release=release) as address:
        source = open_source(f"{address}/a.mp4")
        frames, error = until_error(source)
        source.close()
        release.set()
    assert 5 < len(frames) < 40
    assert isinstance(error, SourceError)
    assert f"sent nothing more after {len(frames)} frames" in str(error)
    assert "top-secret" not in str(error)


def test_an_opening_that_hangs_ends_when_it_is_told_to(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", frames=2)
    hanging, release, stop = threading.Event(), threading.Event(), threading.Event()
    opened = file_opening.opened_address

    def hang(*arguments):
        hanging.set()
        assert release.wait(20)
        return opened(*arguments)

    monkeypatch.setattr(file_opening, "opened_address", hang)
    threading.Thread(target=lambda: hanging.wait(20) and stop.set()).start()
    with serving_files(tmp_path) as address:
        with pytest.raises(SourceError, match="told to stop") as caught:
            open_source(f"{address}/a.mp4", stop=stop)
        release.set()
    assert "top-secret" not in str(caught.value)


def test_an_address_is_no_path_and_its_source_is_waited_for(tmp_path):
    write_video(tmp_path / "a.mp4", frames=2)
    with serving_files(tmp_path) as address:
        uri = f"{address}/a.mp4"
        assert path_of(uri) is None
        source = wait_for_source(uri, lambda: open_source(uri), threading.Event(), pytest.fail)
        assert isinstance(source, FileSource)
        source.close()
