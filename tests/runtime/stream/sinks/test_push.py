"""Pushing: what arrives, and what happens while the other side is away, silent or refuses."""

import contextlib
import dataclasses
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.frame import StreamInfo
from crispstream.runtime.stream.sink import Sink, SinkOptions, open_sink
from crispstream.runtime.stream.sinks import link, push
from crispstream.runtime.stream.sinks.link import LinkLostError
from crispstream.runtime.stream.sinks.pace import Pace
from crispstream.runtime.stream.sources.synth import read_counter
from tests.helpers.restored import INFO, STEP, enlarged, frame_at, numbers_in
from tests.helpers.rtsp_server import RtspServer

LIVE = dataclasses.replace(INFO, live=True)
_PATIENCE_SECONDS = 30.0


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _send(sink: Sink, serials: range, seconds_each: float = 0.0) -> None:
    for serial in serials:
        frame = frame_at(serial % 200, STEP * serial)
        sink.write(frame, enlarged(frame))
        time.sleep(seconds_each)


def _send_until(sink: Sink, holds: Callable[[], bool]) -> None:
    """Send on until something holds."""
    begun = time.monotonic()
    serial = 1000
    while not holds():
        assert time.monotonic() < begun + _PATIENCE_SECONDS
        _send(sink, range(serial, serial + 1), 0.02)
        serial += 1


def _reconnects(sink: Sink) -> float:
    return sink.figures().get("reconnects", 0)


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "server_codec"), [("h264", "h264"), ("hevc", "h265")])
def test_an_rtsp_server_gets_every_picture(tmp_path: Path, codec: str, server_codec: str) -> None:
    received = tmp_path / "received.ts"
    with RtspServer(record=received, codec=server_codec) as server:
        sink = open_sink(server.record_url, LIVE, 4, options=SinkOptions(codec=codec))
        _send(sink, range(40), 0.01)
        sink.close()
        assert (sink.lost, sink.figures()) == (0, {})
        begun = time.monotonic()
        while len(numbers_in(received)) < 39 and time.monotonic() < begun + _PATIENCE_SECONDS:
            time.sleep(0.1)  # the server writes when the connection has ended
        # Its own depacketiser holds the last picture back until another one comes.
        assert numbers_in(received)[:39] == list(range(39))
        with av.open(str(received)) as container:
            keys = [frame.key_frame for frame in container.decode(video=0)]
    assert keys[0]
    assert keys[30]  # after a second


@pytest.mark.slow
def test_a_server_that_dies_and_returns_gets_the_stream_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with RtspServer(record=True) as server, caplog.at_level(logging.WARNING):
        address = server.record_url.replace("//", "//me:secret@")
        sink = open_sink(address, LIVE, 4)
        _send(sink, range(10), 0.01)
        server.kill()
        _send_until(sink, lambda: sink.lost >= 10)
        server.start()
        _send_until(sink, lambda: _reconnects(sink) == 1)
        lost = sink.lost
        _send(sink, range(10), 0.01)
        sink.close()
        assert (sink.lost, sink.figures()) == (lost, {"reconnects": 1})
    assert "secret" not in caplog.text
    assert "takes the stream again" in caplog.text


@pytest.mark.slow
def test_a_server_that_falls_silent_is_given_up_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "STALL_SECONDS", 0.5)
    noise = np.random.default_rng(0).integers(0, 256, (768, 1024, 3), np.uint8)
    large = dataclasses.replace(LIVE, width=256, height=192)
    with RtspServer(record=True) as server:
        sink = open_sink(server.record_url, large, 4)
        server.halt()
        begun = time.monotonic()
        serial = 0
        while not sink.lost:
            assert time.monotonic() < begun + _PATIENCE_SECONDS
            sink.write(frame_at(0, STEP * serial), noise)
            serial += 1
        server.go_on()
        while not _reconnects(sink):
            assert time.monotonic() < begun + 2 * _PATIENCE_SECONDS
            sink.write(frame_at(0, STEP * serial), noise)
            serial += 1
            time.sleep(0.02)
        sink.close()


def test_udp_carries_a_stream_that_can_be_joined() -> None:
    port = _free_port(socket.SOCK_DGRAM)
    numbers: list[int | None] = []

    def receive() -> None:
        options = {"analyzeduration": "200000", "fflags": "nobuffer"}
        with av.open(f"udp://127.0.0.1:{port}", options=options, timeout=(20, 5)) as container:
            for picture in container.decode(video=0):
                numbers.append(read_counter(picture.to_ndarray(format="bgr24"), 64, 48))
                if len(numbers) == 5:
                    return

    receiver = threading.Thread(target=receive)
    receiver.start()
    sink = open_sink(f"udp://127.0.0.1:{port}", LIVE, 4)
    serial = 0
    while receiver.is_alive() and serial < 1000:
        _send(sink, range(serial, serial + 1), 0.01)
        serial += 1
    sink.close()
    receiver.join(_PATIENCE_SECONDS)
    first = numbers[0]
    assert first is not None
    assert numbers == [(first + n) % 200 for n in range(5)]
    assert (sink.lost, sink.figures()) == (0, {})


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("rtsp://me:secret@127.0.0.1:{port}/a", "Connection refused"),
        ("rtmp://me:secret@127.0.0.1:{port}/a/b", "Connection refused"),
    ],
)
def test_nobody_there_at_the_start_is_an_error(uri: str, words: str) -> None:
    with pytest.raises(SinkError, match=rf"\*\*\*@127.*{words}.*check the address") as caught:
        open_sink(uri.format(port=_free_port(socket.SOCK_STREAM)), LIVE, 4)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["udp://127.0.0.1", "rtsp:///a", "udp://127.0.0.1:99999"])
def test_an_incomplete_address_is_a_usage_error(uri: str) -> None:
    with pytest.raises(UsageError, match="give an address like"):
        open_sink(uri, LIVE, 4)


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ("me:secret@", "the server refused the user name or password"),
        ("", "the server asks for a user name and a password"),
    ],
)
def test_a_refused_login_is_called_that(login: str, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_refuse_all, args=(server,), daemon=True).start()
        uri = f"rtsp://{login}127.0.0.1:{server.getsockname()[1]}/a"
        with pytest.raises(SinkError, match=rf"\({words}\)") as caught:
            open_sink(uri, LIVE, 4)
        server.shutdown(socket.SHUT_RDWR)
    assert "secret" not in str(caught.value)


def _refuse_all(server: socket.socket) -> None:
    """A fake RTSP server that lets nobody in, until its socket is shut down."""
    refusal = 'RTSP/1.0 401 Unauthorized\r\nCSeq: {}\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n'
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    if line.lower().startswith(b"cseq:"):
                        connection.sendall(refusal.format(int(line[5:])).encode())


class _FakeLink:
    """The first one takes three pictures, of which two arrive; later ones take all of them."""

    made: "list[_FakeLink]"

    def __init__(self, *arguments: object) -> None:
        self.made.append(self)
        self.sent = self.arrived = 0

    def send(self, pts: int, duration: int, pixels_hwc: object) -> None:
        self.sent += 1
        if self is self.made[0] and self.sent == 3:
            raise LinkLostError("it fell")
        self.arrived += 1

    def kill(self) -> None: ...
    def close(self) -> None: ...


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> list[_FakeLink]:
    monkeypatch.setattr(_FakeLink, "made", [], raising=False)
    monkeypatch.setattr(push, "Link", _FakeLink)
    return _FakeLink.made


def test_frames_are_lost_and_counted_while_there_is_no_connection(
    links: list[_FakeLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody_is_there = threading.Event()

    def knock(uri: str) -> None:
        if not somebody_is_there.is_set():
            raise LinkLostError("Connection refused")

    monkeypatch.setattr(push, "_knock", knock)
    sink = open_sink("rtsp://host/a", LIVE, 4)
    _send(sink, range(3))
    assert (sink.lost, sink.figures()) == (1, {})
    _send(sink, range(10))
    assert (sink.lost, sink.figures()) == (11, {})
    somebody_is_there.set()
    _send_until(sink, lambda: _reconnects(sink) == 1)
    lost = sink.lost
    _send(sink, range(5))
    sink.close()
    assert (sink.lost, sink.figures()) == (lost, {"reconnects": 1})
    assert links[1].arrived == 6


def test_what_is_no_fault_of_the_network_does_not_stay_in_the_thread(
    links: list[_FakeLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    def knock(uri: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(push, "_knock", knock)
    sink = open_sink("rtsp://host/a", LIVE, 4)
    with pytest.raises(ZeroDivisionError):
        _send_until(sink, lambda: False)
    sink.close()


def test_closing_ends_the_tries(links: list[_FakeLink], monkeypatch: pytest.MonkeyPatch) -> None:
    def knock(uri: str) -> None:
        raise LinkLostError("Connection refused")

    monkeypatch.setattr(push, "_knock", knock)
    sink = open_sink("rtsp://host/a", LIVE, 4)
    _send(sink, range(3))
    sink.close()
    sink.close()
    assert len(links) == 1
    assert "push-reconnect" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize(("info", "times"), [(INFO, [0.0, 1 / 30]), (LIVE, [])])
def test_only_a_recorded_stream_is_held_to_real_time(
    monkeypatch: pytest.MonkeyPatch, info: StreamInfo, times: list[float]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(Pace, "wait", lambda pace, seconds: waited.append(seconds))
    sink = open_sink("rtsp://host/a", info, 4)
    _send(sink, range(2))
    sink.close()
    assert waited == times
