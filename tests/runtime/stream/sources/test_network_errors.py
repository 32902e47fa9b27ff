"""What is said of addresses that cannot be read; a login is in no part of it."""

import socket
import traceback

import av
import pytest

from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.stream.sources import network
from crispstream.runtime.stream.sources.network import SCHEMES, network_feed
from tests.helpers import media
from tests.helpers.http_camera import LOGIN, free_port, serving


def refusal(uri: str, kind: type[Exception] = SourceError) -> str:
    """What is said when an address is opened; the login is in no part of it."""
    with pytest.raises(kind) as caught:
        network_feed(uri, "cpu")()
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "top-secret" not in everything.replace(f'"{uri}"', "")
    assert caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["rtsp", "rtspu", "rtmp", "http"])
def test_a_port_where_nothing_listens_is_told(scheme):
    said = refusal(f"{scheme}://{LOGIN}@127.0.0.1:{free_port()}/app/x")
    assert said.startswith(f"nothing takes connections at '{scheme}://***@127.0.0.1:")
    assert said.endswith("that the server runs")


def test_an_unknown_host_is_told(monkeypatch):
    def unknown(*_):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = refusal(f"rtsp://{LOGIN}@no-such-host.invalid/x")
    assert said.startswith("no host is known by the name in 'rtsp://***@no-such-host.invalid/x'")
    assert "%2F" not in said


@pytest.mark.parametrize("password", ["12/top-secret", "top-secret/12@x", "top@top-secret"])
def test_a_password_that_hides_the_host_is_told(monkeypatch, password):
    def unknown(*_):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = refusal(f"rtsp://joe.invalid:{password}@127.0.0.1.invalid/x")
    assert said.endswith("in a password write %40 for @, %2F for /, %3F for ? and %23 for #")


def test_a_host_that_takes_the_connection_and_says_nothing_is_told(monkeypatch):
    monkeypatch.setattr(network, "_OPEN_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = refusal(f"rtsp://{LOGIN}@127.0.0.1:{silent.getsockname()[1]}/x")
    assert "did not answer in time" in said


def test_a_refused_login_is_told():
    with serving(camera=401) as address:
        said = refusal(f"{address}/camera")
        assert said.startswith("the server refused the user name or password of 'http://***@127")
        said = refusal(f"{address.replace(LOGIN + '@', '')}/camera")
        assert "asks for a user name and a password" in said


def test_a_path_that_is_not_there_is_told():
    with serving() as address:
        assert refusal(f"{address}/camera").startswith("the server has no stream 'http://***@")


def test_what_is_no_video_is_told(tmp_path):
    media.write_sound(tmp_path / "sound.ts")
    with serving(sound=(tmp_path / "sound.ts").read_bytes(), text=b"hello " * 500) as address:
        assert "has no video stream, only audio" in refusal(f"{address}/sound")
        assert "cannot be read as a stream" in refusal(f"{address}/text")


def test_a_recording_is_no_live_stream(tmp_path):
    media.write_video(tmp_path / "a.mp4", container_options={"movflags": "faststart"})
    with serving(clip=(tmp_path / "a.mp4").read_bytes()) as address:
        assert "is a recording of 0.3 s" in refusal(f"{address}/clip", UsageError)


def test_a_playlist_is_no_live_stream(tmp_path):
    media.write_video(tmp_path / "a.ts")
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.3,\na.ts\n"
    pages = {"list.m3u8": playlist, "a.ts": (tmp_path / "a.ts").read_bytes()}
    with serving(**pages) as address:
        assert "is a live playlist" in refusal(f"{address}/list.m3u8", UsageError)


@pytest.mark.parametrize("port", ["99999", "x"])
def test_an_address_that_makes_no_sense_is_told(port):
    assert "'rtsp://***@127.0.0.1:" in refusal(f"rtsp://{LOGIN}@127.0.0.1:{port}/x")


def test_a_kind_of_address_that_this_ffmpeg_lacks_is_told(monkeypatch):
    def lacks(*_, **__):
        raise av.error.ProtocolNotFoundError(1, "Protocol not found", "srt://joe:top-secret@h:1")

    monkeypatch.setattr(av, "open", lacks)
    assert "reads no srt:// addresses" in refusal("srt://joe:top-secret@h:1", UsageError)
    assert "srt" in SCHEMES
