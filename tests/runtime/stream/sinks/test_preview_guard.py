"""The preview's server on a network: what it gives to whom, and that nobody can lock it up."""

import contextlib
import logging
import socket

import pytest

from crispstream.core.clock import FakeClock, monotonic_ns
from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.sinks.preview import server
from crispstream.runtime.stream.sinks.preview.address import Address
from crispstream.runtime.stream.sinks.preview.preview import PreviewSink
from crispstream.runtime.stream.sinks.preview.server import MOST_VIEWERS
from tests.helpers.viewing import (
    ANYWHERE,
    HANG_SECONDS,
    FakeViewer,
    get,
    looking,
    wait_until,
    write,
)

SECOND = 10**9


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def sink(clock):
    preview = PreviewSink(ANYWHERE, Ledger(Health("synth://")), clock)
    yield preview
    preview.close()


@pytest.mark.parametrize("path", ["/../preview.py", "/preview.py", "//etc/passwd", "/stream/"])
def test_no_other_path_is_answered(sink, path: str) -> None:
    assert get(sink, path)[0] == 404


def test_the_page_may_load_nothing_from_elsewhere(sink) -> None:
    for path in ("/", "/page.css", "/page.js", "/chart.js"):
        status, headers, body = get(sink, path)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert b"https://" not in body
        assert body.count(b"http://") == body.count(b"http://www.w3.org/2000/svg")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:9", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:80", 403),
        ("[", 403),
    ],
)
def test_a_request_for_another_name_is_refused(sink, host: str, status: int) -> None:
    assert get(sink, "/snapshot.json", host)[0] == status


@pytest.mark.parametrize("name", ["127.1", "camera-pc"])
def test_a_name_for_this_machine_is_as_private_as_its_number(name: str, monkeypatch) -> None:
    def found(host: str, port: int, **_: object) -> list[tuple]:
        assert host == name
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    with monkeypatch.context() as patch:
        patch.setattr(server.socket, "getaddrinfo", found)
        sink = PreviewSink(f"preview://{name}:0")
    assert sink.address.private
    for host, status in ((name, 200), (name.upper(), 200), ("127.0.0.1", 200), ("evil.lan", 403)):
        assert get(sink, "/snapshot.json", f"{host}:{sink.address.port}")[0] == status
    sink.close()


def test_the_number_of_viewers_is_bounded(sink) -> None:
    viewers = []
    for count in range(MOST_VIEWERS):
        viewers.append(FakeViewer(sink))
        looking(sink, count + 1)
    late = FakeViewer(sink)
    assert "503" in late.status
    assert get(sink, "/snapshot.json")[0] == 200
    for viewer in (*viewers, late):
        viewer.close()


def knock(sink: PreviewSink) -> socket.socket:
    """Connect, and say the beginning of a request."""
    connection = socket.create_connection(("127.0.0.1", sink.address.port), HANG_SECONDS)
    connection.sendall(b"GET / HTTP/1.0\r\nHost: local")
    return connection


def test_connections_that_never_ask_keep_nobody_out(sink) -> None:
    slow = []
    for count in range(server._MOST_CONNECTIONS):
        slow.append(knock(sink))
        wait_until(lambda count=count: len(sink._server._connections) == count + 1)
    for _ in range(3):
        assert get(sink, "/snapshot.json")[0] == 200
    assert slow[0].recv(1) == b""  # the oldest has made room
    for connection in slow:
        connection.close()


def test_a_request_has_its_time_as_a_whole(sink, clock, monkeypatch) -> None:
    monkeypatch.setattr(sink._server, "_clock", clock)
    viewer, slow = FakeViewer(sink), knock(sink)
    looking(sink)
    wait_until(lambda: len(sink._server._unheard) == 1)
    for _ in range(6):
        clock.advance(SECOND)
        with contextlib.suppress(OSError):
            slow.sendall(b"h")  # each piece comes in time
    slow.settimeout(HANG_SECONDS)
    with contextlib.suppress(ConnectionResetError):
        assert slow.recv(1) == b""
    write(sink, 0)
    assert viewer.picture()[0]["serial"] == 0  # who has asked may stay
    slow.close()
    viewer.close()


@pytest.mark.parametrize(
    "uri",
    [
        "preview://127.0.0.1:99999",
        "preview://127.0.0.1:http",
        "preview://8080",
        "preview://127.0.0.1:80/page",
        "preview://me:secret@127.0.0.1",
    ],
)
def test_a_bad_address_is_a_usage_error_without_secrets(uri: str) -> None:
    with pytest.raises(UsageError, match=r"preview://127\.0\.0\.1:8080") as raised:
        Address.of(uri)
    assert "secret" not in str(raised.value)


def test_a_page_for_other_machines_is_warned_of(caplog) -> None:
    with caplog.at_level(logging.INFO):
        sink = PreviewSink("preview://0.0.0.0:0", clock=monotonic_ns)
        assert get(sink, "/", "camera.lan")[0] == 200
        sink.close()
        sink.close()  # twice does no harm
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert "no password" in caplog.text
    assert not Address("0.0.0.0", 0).private
    assert not Address("192.168.0.7", 0).private


def test_a_port_in_use_is_a_sink_error_that_helps(sink) -> None:
    with pytest.raises(SinkError, match=r"in use.*preview://127.0.0.1:0"):
        PreviewSink(f"preview://127.0.0.1:{sink.address.port}")
