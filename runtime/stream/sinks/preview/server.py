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

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import SinkError, UsageError

from .address import Address
from .audience import Audience, Message

MOST_VIEWERS = 8
"""Streams at once; whoever comes later is told so."""

_MOST_CONNECTIONS = MOST_VIEWERS + 16
_HEAD_SECONDS = 5.0
"""For a whole request, however it comes in; nobody keeps a place by being slow."""
_LOOK_UP_SECONDS = 0.1
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
        self,
        address: Address,
        audience: Audience,
        facts: Callable[[], Mapping[str, Any]],
        look: Callable[[], object],
        clock: Clock = monotonic_ns,
    ) -> None:
        """Listen and serve from a thread.

        Args:
            address: to listen on.
            audience: whom the frames are shown to.
            facts: gives what is known of the stream at any moment, for JSON.
            look: called ten times a second, whether anybody asks or not.
            clock: times the requests.

        Raises:
            UsageError: if this machine has no such address.
            SinkError: if it cannot be listened on, as when the port is in use.
        """
        self.audience = audience
        self.facts = facts
        self._look = look
        self._clock = clock
        self._connections: set[socket.socket] = set()
        # Since when connections are without a whole request, oldest first.
        self._unheard: dict[socket.socket, int] = {}
        self._idle = threading.Condition()
        self.address_family, where = _resolved(address)
        try:
            super().__init__(where, _Handler)
        except OSError as error:
            raise _cannot_listen(address, error) from error
        self.address = Address(address.host, self.server_address[1], where[0])
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_LOOK_UP_SECONDS,), name="preview", daemon=True
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
                _hang_up(connection)
            self._wait_until_idle(_JOIN_SECONDS)

    def _wait_until_idle(self, seconds: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: not self._connections, seconds)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer in a new thread; if there are too many, in place of one that asked nothing yet."""
        with self._idle:
            full = len(self._connections) >= _MOST_CONNECTIONS and not self._make_room()
            if not full:
                self._connections.add(request)
                self._unheard[request] = self._clock()
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def heard(self, request: socket.socket) -> None:
        """Note that a connection has sent its request."""
        with self._idle:
            self._unheard.pop(request, None)

    def service_actions(self) -> None:
        """Hang up on whoever takes too long to ask; called by `serve_forever` again and again."""
        self._look()
        with self._idle:
            late_ns = self._clock() - round(_HEAD_SECONDS * 1e9)
            for request in [one for one, since_ns in self._unheard.items() if since_ns < late_ns]:
                self._drop(request)

    def _make_room(self) -> bool:
        """Hang up on the one that has asked for nothing for longest; False if all have asked."""
        oldest = next(iter(self._unheard), None)
        if oldest is not None:
            self._drop(oldest)
        return oldest is not None

    def _drop(self, request: socket.socket) -> None:
        """Hang up; its thread sees that and ends. The lock is held."""
        del self._unheard[request]
        self._connections.discard(request)
        _hang_up(request)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """Close a connection and forget it."""
        with self._idle:  # first: what is closed cannot be hung up on any more
            self._unheard.pop(request, None)
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

    def parse_request(self) -> bool:
        """Read the rest of the request's head; see `http.server`."""
        is_good = super().parse_request()
        self.server.heard(self.connection)
        return is_good

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


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _cannot_listen(address: Address, error: OSError) -> SinkError:
    return SinkError(
        f"the preview cannot listen on port {address.port} of {address.host} ({error.strerror}); "
        f"name another port, or 0 for any free one, as in preview://{address.host}:0"
    )


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
