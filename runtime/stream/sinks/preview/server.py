"""The page, the stream of messages and single answers over HTTP, from the standard library.

Nothing is read from disk by a name in a request, and the page needs nothing from elsewhere.
"""

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from crispstream.core.errors import SinkError, UsageError

from .address import Address
from .audience import Audience, Message

MOST_VIEWERS = 8
"""Streams at once; whoever comes later is told so."""

_MOST_CONNECTIONS = MOST_VIEWERS + 16
_SEND_SECONDS = 10.0
_BEAT_SECONDS = 1.0
"""Without frames the facts still go out this often: they tell why there are none."""
_PATIENCE_SECONDS = 2.0
_SEND_BUFFER_BYTES = 1 << 18
"""One or two frames. By default the kernel keeps megabytes for a slow viewer, seconds old."""
_GRACE_SECONDS = 0.5
_JOIN_SECONDS = 2.0
_HERE = Path(__file__).parent
_PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/chart.js": ("chart.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_log = logging.getLogger("crispstream.stream")


class PreviewServer(ThreadingMixIn, TCPServer):
    """Serves one stream; a thread a connection, and a bounded number of them."""

    allow_reuse_address = True
    daemon_threads = True  # they are waited for in `stop`, but not for ever

    def __init__(
        self, address: Address, audience: Audience, facts: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Listen and serve from a thread.

        Args:
            address: to listen on.
            audience: whom the frames are shown to.
            facts: gives what is known of the stream at any moment, for JSON.

        Raises:
            UsageError: if this machine has no such address.
            SinkError: if it cannot be listened on, as when the port is in use.
        """
        self.audience = audience
        self.facts = facts
        self._connections: set[socket.socket] = set()
        self._idle = threading.Condition()
        self.address_family, where = _resolved(address)
        try:
            super().__init__(where, _Handler)
        except OSError as error:
            raise SinkError(
                f"the preview cannot listen on port {address.port} of {address.host} "
                f"({error.strerror}); name another port, or 0 for any free one, as in "
                f"preview://{address.host}:0"
            ) from error
        self.address = Address(address.host, self.server_address[1])
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="preview", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Tell the viewers that it is over, close every connection and end all threads."""
        self.audience.end()
        self.shutdown()
        self._thread.join(_JOIN_SECONDS)
        self.server_close()
        if not self._wait_until_idle(_GRACE_SECONDS):
            with self._idle:
                stuck = list(self._connections)
            for connection in stuck:  # in the middle of a send to somebody who does not read
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._wait_until_idle(_JOIN_SECONDS)

    def _wait_until_idle(self, seconds: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: not self._connections, seconds)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer in a new thread, unless there are too many."""
        with self._idle:
            full = len(self._connections) >= _MOST_CONNECTIONS
            if not full:
                self._connections.add(request)
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """Close a connection and forget it."""
        super().shutdown_request(request)
        with self._idle:
            self._connections.discard(request)
            self._idle.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A viewer who went away in the middle of a message is nothing to report."""
        _log.debug("a viewer of the preview is gone", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request: HTTP/1.0, whose answers end with the connection."""

    server: PreviewServer
    server_version = "crispstream"
    sys_version = ""
    timeout = _SEND_SECONDS

    def do_GET(self) -> None:
        """Answer what is asked for, or say what could be."""
        if not self.server.address.admits(self.headers.get("Host", "")):
            self._refuse(403, "ask for this page by the address it was started with")
        elif self.path in _PAGE:
            name, kind = _PAGE[self.path]
            self._answer(200, kind, (_HERE / name).read_bytes())
        elif self.path == "/stream":
            self._stream()
        elif self.path == "/snapshot.json":
            facts = json.dumps(self.server.facts()).encode()
            self._answer(200, "application/json", facts)
        elif self.path == "/frame.jpg":
            self._frame()
        else:
            self._refuse(404, "there are /, /stream, /snapshot.json and /frame.jpg here")

    def log_message(self, format: str, *args: object) -> None:
        """Requests are of interest to nobody."""

    def _stream(self) -> None:
        """Send message after message until the stream or the viewer goes."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        audience = self.server.audience
        with audience:
            if audience.viewers > MOST_VIEWERS:
                self._refuse(503, f"{MOST_VIEWERS} others look already; close one of their pages")
                return
            self._begin(200, "application/octet-stream")
            number = 0
            self._send_facts()
            while not audience.ended:
                found = audience.next(number, _BEAT_SECONDS)
                if found is None:
                    self._send_facts()
                else:
                    number, _, packed = found
                    self.wfile.write(packed)
            self._send_facts(ended=True)

    def _send_facts(self, *, ended: bool = False) -> None:
        self.wfile.write(Message({**self.server.facts(), "ended": ended}).packed())

    def _frame(self) -> None:
        with self.server.audience as audience:
            found = audience.next(0, _PATIENCE_SECONDS)
        if found is None:
            self._refuse(503, f"no frame came within {_PATIENCE_SECONDS:g} s")
        else:
            self._answer(200, "image/jpeg", found[1].after)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self._begin(status, kind, len(body))
        self.wfile.write(body)

    def _refuse(self, status: int, why: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", f"{why}\n".encode())

    def _begin(self, status: int, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()


def _resolved(address: Address) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(
            f"this machine knows no host '{address.host}' ({error.strerror}); serve the preview "
            "at 127.0.0.1 for this machine only, or at one of its own addresses"
        ) from error
    family, _, _, _, where = found[0]
    return family, (str(where[0]), int(where[1]))
