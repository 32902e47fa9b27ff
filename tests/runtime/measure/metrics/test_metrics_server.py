"""The metrics over HTTP: where, to whom, and that nobody holds up the others or the end."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import UsageError
from crispstream.runtime.measure.metrics import server as serving
from crispstream.runtime.measure.metrics.address import read_address
from crispstream.runtime.measure.metrics.server import (
    MOST_CONNECTIONS,
    MOST_SECONDS,
    MetricsServer,
)
from tests.helpers.metrics import HANG_SECONDS, get, taken_port

ANSWER = b"# TYPE fake counter\nfake_total 1.0\n"


def answer(accept: str) -> tuple[bytes, str]:
    return ANSWER, accept or "text/plain"


@pytest.fixture(autouse=True)
def quick_to_end(monkeypatch) -> None:
    monkeypatch.setattr(serving, "_LOOK_UP_SECONDS", 0.01)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock) -> Iterator[MetricsServer]:
    served = MetricsServer(read_address("0"), answer, clock)
    yield served
    served.stop()


def port_of(server: MetricsServer) -> int:
    return server.address.port


def joined(server: MetricsServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(server)), HANG_SECONDS)


def wait_until(met: Callable[[], bool]) -> None:
    until = time.monotonic() + HANG_SECONDS
    while not met():
        assert time.monotonic() < until
        time.sleep(0.005)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side hangs up, answer or not; a timeout where it does not."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(4096):
            pass
    return True


def test_the_metrics_are_given_in_the_format_asked_for(server) -> None:
    status, headers, body = get(port_of(server), Accept="application/openmetrics-text")
    assert (status, body) == (200, ANSWER.decode())
    assert headers["Content-Type"] == "application/openmetrics-text"
    assert server.url == f"http://127.0.0.1:{port_of(server)}/metrics"


def test_a_query_is_no_other_page(server) -> None:
    assert get(port_of(server), "/metrics?module=x")[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metricsx", "/../metrics"])
def test_no_other_path_is_answered(server, path: str) -> None:
    status, _, body = get(port_of(server), path)
    assert status == 404
    assert "/metrics" in body


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:1", 200), ("127.0.0.1", 200), ("evil.example", 403)]
)
def test_a_request_for_another_name_is_refused(server, host: str, status: int) -> None:
    assert get(port_of(server), Host=host)[0] == status


def test_an_answer_ends_the_connection_whatever_was_asked(server) -> None:
    with joined(server) as connection:
        request = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n"
        connection.sendall(request.encode())
        answered = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answered.endswith(ANSWER)


def test_who_never_asks_is_hung_up_on_after_a_while(server, clock) -> None:
    with joined(server) as silent, joined(server) as slow:
        slow.sendall(b"GET /metr")
        wait_until(lambda: len(server._since_ns) == 2)
        clock.advance(round(MOST_SECONDS * 1e9) + 1)
        assert is_closed(silent)
        assert is_closed(slow)
    assert get(port_of(server))[0] == 200


def test_who_never_asks_holds_up_nobody(server) -> None:
    silent = [joined(server) for _ in range(2 * MOST_CONNECTIONS)]
    assert get(port_of(server))[0] == 200
    assert is_closed(silent[0])  # the oldest gave way
    for connection in silent:
        connection.close()


def test_the_end_waits_for_nobody_who_hangs_on(clock) -> None:
    server = MetricsServer(read_address("0"), answer, clock)
    with joined(server) as silent, joined(server) as slow:
        slow.sendall(b"GET /metr")
        wait_until(lambda: len(server._since_ns) == 2)
        server.stop()
        assert not server._since_ns
        assert is_closed(silent)
        assert is_closed(slow)
    assert not server._thread.is_alive()


def test_an_answer_on_its_way_still_goes_out_at_the_end(clock, monkeypatch) -> None:
    monkeypatch.setattr(serving, "_GRACE_SECONDS", HANG_SECONDS)
    asked, ended = threading.Event(), threading.Event()

    def slow(_accept: str) -> tuple[bytes, str]:
        asked.set()
        ended.wait(HANG_SECONDS)
        return ANSWER, "text/plain"

    server = MetricsServer(read_address("0"), slow, clock)
    found: list[tuple[int, dict[str, str], str]] = []
    asker = threading.Thread(target=lambda: found.append(get(port_of(server))))
    asker.start()
    asked.wait(HANG_SECONDS)
    threading.Timer(0.05, ended.set).start()
    server.stop()
    asker.join(HANG_SECONDS)
    assert [status for status, _, _ in found] == [200]


def test_a_port_that_is_free_again_can_be_taken_at_once(clock) -> None:
    first = MetricsServer(read_address("0"), answer, clock)
    assert get(port_of(first))[0] == 200
    first.stop()
    second = MetricsServer(first.address, answer, clock)
    second.stop()


def test_a_port_in_use_says_what_to_do() -> None:
    listening, port = taken_port()
    with listening, pytest.raises(UsageError) as refused:
        MetricsServer(read_address(str(port)), answer)
    assert f"port {port} of 127.0.0.1" in str(refused.value)
    assert "give another port, or 0" in str(refused.value)


def test_a_port_of_the_system_says_what_to_do(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(MetricsServer, "server_bind", refuse)
    with pytest.raises(UsageError, match=r"port 80 of 127\.0\.0\.1 needs rights .* from 1024 on"):
        MetricsServer(read_address("80"), answer)


def test_a_host_that_is_elsewhere_says_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"'192\.0\.2\.1' is no address of this machine"):
        MetricsServer(read_address("192.0.2.1:0"), answer)


@pytest.mark.parametrize("host", ["no-such-host", "a..b", "x" * 70])
def test_a_host_that_nobody_knows_says_what_to_do(host: str, monkeypatch) -> None:
    look_up = socket.getaddrinfo

    def found(name: str, *rest: object, **options: object) -> object:
        if name == "no-such-host":  # no question to a real server
            raise socket.gaierror(-2, "Name or service not known")
        return look_up(name, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    with pytest.raises(UsageError, match="this machine knows no host"):
        MetricsServer(read_address(f"{host}:0"), answer)


def test_a_fault_of_ours_is_logged_and_the_next_request_answered(clock, caplog) -> None:
    answers = iter([KeyError("planted"), None])

    def broken(_accept: str) -> tuple[bytes, str]:
        if (fault := next(answers)) is not None:
            raise fault
        return ANSWER, "text/plain"

    server = MetricsServer(read_address("0"), broken, clock)
    with caplog.at_level(logging.ERROR, "crispstream.stream"), joined(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        assert is_closed(connection)
        wait_until(lambda: bool(caplog.records))
    assert get(port_of(server))[0] == 200
    server.stop()
