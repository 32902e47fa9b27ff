"""The preview's server: whom it answers, what it sends, and that nobody can hold it up."""

import http.client
import json
import logging
import socket
import struct
import threading
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest

from crispstream.core.clock import FakeClock, monotonic_ns
from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.sinks.preview import server
from crispstream.runtime.stream.sinks.preview.address import Address
from crispstream.runtime.stream.sinks.preview.preview import PreviewSink
from crispstream.runtime.stream.sinks.preview.server import MOST_VIEWERS

ANYWHERE = "preview://127.0.0.1:0"
HANG_SECONDS = 20.0
SECOND = 10**9


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def sink(clock):
    preview = PreviewSink(ANYWHERE, Ledger(Health("synth://")), clock)
    yield preview
    preview.close()


def frame(serial: int, level: int = 90) -> Frame:
    pixels_hwc = np.full((18, 32, 3), level, np.uint8)
    return Frame(pixels_hwc, serial, serial, Fraction(1, 30), 0)


def write(sink: PreviewSink, serial: int, size: tuple[int, int] = (128, 72)) -> None:
    sink.write(frame(serial), np.full((size[1], size[0], 3), 200, np.uint8))


def get(sink: PreviewSink, path: str, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", sink.address.port, timeout=HANG_SECONDS)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


class FakeViewer:
    """Reads the stream as the page does."""

    def __init__(self, sink: PreviewSink) -> None:
        self._socket = socket.create_connection(("127.0.0.1", sink.address.port), HANG_SECONDS)
        self._socket.sendall(b"GET /stream HTTP/1.0\r\nHost: localhost\r\n\r\n")
        self._file = self._socket.makefile("rb")
        self.status = self._file.readline().decode().strip()
        while self._file.readline().strip():
            pass

    def message(self) -> tuple[dict, bytes, bytes] | None:
        """The next one; None at the end."""
        head = self._file.read(12)
        if not head:
            return None
        facts, before, after = (self._file.read(n) for n in struct.unpack(">III", head))
        return json.loads(facts), before, after

    def picture(self) -> tuple[dict, bytes, bytes]:
        """The next message that has pictures."""
        while True:
            message = self.message()
            assert message is not None, "the stream ended"
            if message[2]:
                return message

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def wait_until(holds) -> None:
    until = time.monotonic() + HANG_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def looking(sink: PreviewSink, viewers: int = 1) -> None:
    wait_until(lambda: sink._audience.viewers == viewers)


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_before_and_after_of_one_frame_come_with_the_books(sink) -> None:
    ledger = sink._ledger
    ledger.capture()
    ledger.restore(7_000_000, "edge-n int8-cpu")
    viewer = FakeViewer(sink)
    looking(sink)
    write(sink, 41)
    facts, before, after = viewer.picture()
    viewer.close()
    assert (facts["serial"], facts["input"], facts["output"]) == (41, [32, 18], [128, 72])
    assert (facts["latency_ms"], facts["rung"]) == (7.0, "edge-n int8-cpu")
    assert set(facts["dropped"]) == {"source", "slot", "deadline", "stop"}
    assert decoded(before).shape == (18, 32, 3)
    assert abs(int(decoded(after).mean()) - 200) <= 1


def test_nothing_is_encoded_while_nobody_looks(sink, clock) -> None:
    for serial in range(5):
        clock.advance(SECOND)
        write(sink, serial)
    assert sink.figures() == {"shown": 0.0}
    viewer = FakeViewer(sink)
    looking(sink)
    write(sink, 5)
    assert viewer.picture()[0]["serial"] == 5  # and nothing that was before it came
    viewer.close()
    assert sink.figures() == {"shown": 1.0}


def test_at_most_30_frames_a_second_are_encoded_and_every_one_at_30(sink, clock) -> None:
    viewer = FakeViewer(sink)
    looking(sink)
    for serial in range(120):
        clock.advance(SECOND // 120)
        write(sink, serial)
    assert 29 <= sink.figures()["shown"] <= 32
    before = sink.figures()["shown"]
    for serial in range(30):
        clock.advance(SECOND // 30 + (2_000_000 if serial % 2 else -2_000_000))  # jitter
        write(sink, serial)
    assert sink.figures()["shown"] - before == 30
    viewer.close()


def test_a_viewer_who_does_not_read_holds_up_nobody(sink, clock) -> None:
    stuck, viewer = FakeViewer(sink), FakeViewer(sink)
    looking(sink, 2)
    noise_hwc = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    for serial in range(12):  # about 1 MB each: far more than the sockets hold
        clock.advance(SECOND)
        sink.write(frame(serial), noise_hwc)
    assert viewer.picture()[0]["serial"] <= 11
    while viewer.picture()[0]["serial"] < 11:
        pass
    begun = time.monotonic()
    sink.close()
    assert time.monotonic() - begun < HANG_SECONDS
    stuck.close()
    viewer.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "preview"]


def test_the_facts_come_without_frames_too(sink, monkeypatch) -> None:
    monkeypatch.setattr(server, "_BEAT_SECONDS", 0.02)
    viewer = FakeViewer(sink)
    assert viewer.message()[0]["state"] == "connecting"
    sink._ledger.health.enter("stalled", "no new picture")
    seen = [viewer.message() for _ in range(4)]
    viewer.close()
    assert seen[-1][0]["state"] == "stalled"
    assert all((before, after) == (b"", b"") for _, before, after in seen)


def test_the_end_of_the_stream_is_told(sink) -> None:
    viewer = FakeViewer(sink)
    looking(sink)
    threading.Thread(target=sink.close).start()
    last, message = None, viewer.message()
    while message is not None:
        last, message = message, viewer.message()
    viewer.close()
    assert last is not None
    assert last[0]["ended"] is True


def test_snapshot_and_frame_for_scripts(sink, clock) -> None:
    status, headers, body = get(sink, "/snapshot.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["state"] == "connecting"
    answers = []
    asking = threading.Thread(target=lambda: answers.append(get(sink, "/frame.jpg")))
    asking.start()
    looking(sink)
    write(sink, 0)
    asking.join(HANG_SECONDS)
    assert answers[0][1]["Content-Type"] == "image/jpeg"
    assert decoded(answers[0][2]).shape == (72, 128, 3)


def test_a_very_large_frame_is_shown_smaller(sink) -> None:
    viewer = FakeViewer(sink)
    looking(sink)
    write(sink, 0, (2560, 720))
    facts, _, after = viewer.picture()
    viewer.close()
    assert facts["output"] == [2560, 720]
    assert decoded(after).shape == (540, 1920, 3)


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


def test_a_port_in_use_is_a_sink_error_that_helps(sink) -> None:
    with pytest.raises(SinkError, match=r"in use.*preview://127.0.0.1:0"):
        PreviewSink(f"preview://127.0.0.1:{sink.address.port}")


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
