"""Looking at a preview as a browser or a script would."""

import http.client
import json
import socket
import struct
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.sinks.preview.preview import PreviewSink

ANYWHERE = "preview://127.0.0.1:0"
HANG_SECONDS = 20.0


def frame(serial: int) -> Frame:
    """A small grey one."""
    pixels_hwc = np.full((18, 32, 3), 90, np.uint8)
    return Frame(pixels_hwc, serial, serial, Fraction(1, 30), 0)


def write(sink: PreviewSink, serial: int, size: tuple[int, int] = (128, 72)) -> None:
    """Write one, restored to this width and height."""
    sink.write(frame(serial), np.full((size[1], size[0], 3), 200, np.uint8))


def get(sink: PreviewSink, path: str, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Ask once, by a name of the host; return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", sink.address.port, timeout=HANG_SECONDS)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


class FakeViewer:
    """Reads the stream as the page does."""

    def __init__(self, sink: PreviewSink) -> None:
        """Ask for the stream; `status` is the first line of the answer."""
        self._socket = socket.create_connection(("127.0.0.1", sink.address.port), HANG_SECONDS)
        self._socket.sendall(b"GET /stream HTTP/1.0\r\nHost: localhost\r\n\r\n")
        self._file = self._socket.makefile("rb")
        self.status = self._file.readline().decode().strip()
        while self._file.readline().strip():
            pass

    def message(self) -> tuple[dict[str, Any], bytes, bytes] | None:
        """The next one; None at the end."""
        head = self._file.read(12)
        if not head:
            return None
        facts, before, after = (self._file.read(n) for n in struct.unpack(">III", head))
        return json.loads(facts), before, after

    def picture(self) -> tuple[dict[str, Any], bytes, bytes]:
        """The next message that has pictures."""
        while True:
            message = self.message()
            assert message is not None, "the stream ended"
            if message[2]:
                return message

    def close(self) -> None:
        """Look no more."""
        self._file.close()
        self._socket.close()


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    until = time.monotonic() + HANG_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def looking(sink: PreviewSink, viewers: int = 1) -> None:
    """Wait until so many look."""
    wait_until(lambda: sink._audience.viewers == viewers)
