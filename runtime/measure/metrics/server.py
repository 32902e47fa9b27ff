"""The metrics over HTTP, for Prometheus to fetch, from the standard library's server.

One page, one request a connection, few connections at once, each for a bounded time: whoever
connects and says nothing holds up neither other askers nor the end of the run.
"""

import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.runtime.stream.sinks.preview.address import Address

from .address import cannot_listen, resolved

PATH = "/metrics"
MOST_CONNECTIONS = 8
"""At once; one more takes the place of the oldest."""
MOST_SECONDS = 5.0
"""For a whole request and its answer."""
_LOOK_UP_SECONDS = 0.25
_GRACE_SECONDS = 0.5
"""For answers on their way when the run ends."""
_JOIN_SECONDS = 1.0
_log = logging.getLogger("crispstream.stream")


class MetricsServer(ThreadingMixIn, TCPServer):
    """Serves the metrics until it is stopped.

    Attributes:
        address: where, with the port that the system chose if that was 0.
    """

    allow_reuse_address = True
    request_queue_size = 4 * MOST_CONNECTIONS  # with the 5 by default a rush waits for seconds
    daemon_threads = True  # `stop` ends them

    def __init__(
        self,
        address: Address,
        text: Callable[[str], tuple[bytes, str]],
        clock: Clock = monotonic_ns,
    ) -> None:
        """Listen and serve from a thread.

        Args:
            address: to listen on; of `address.read_address`.
            text: gives the metrics and their content type for an Accept header.
            clock: times the requests.

        Raises:
            UsageError: if it cannot be listened on: no such host, port in use, not allowed.
        """
        self.text = text
        self._clock = clock
        self._since_ns: dict[socket.socket, int] = {}  # of each connection, oldest first
        self._idle = threading.Condition()
        self.address_family, number = resolved(address)
        try:
            super().__init__((number, address.port), _Handler)
        except OSError as error:
            raise cannot_listen(address, error) from error
        self.address = Address(address.host, self.server_address[1], number)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_LOOK_UP_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Of the metrics."""
        return self.address.url.rstrip("/") + PATH

    def stop(self) -> None:
        """Close every connection and end all threads, within about 2 s whoever hangs on."""
        self.shutdown()
        self._thread.join(_JOIN_SECONDS)
        self.server_close()
        self._hang_up_all(socket.SHUT_RD)  # who has not asked yet; answers still go out
        if not self._wait_until_idle(_GRACE_SECONDS):
            self._hang_up_all(socket.SHUT_RDWR)
            self._wait_until_idle(_GRACE_SECONDS)

    def _wait_until_idle(self, seconds: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: not self._since_ns, seconds)

    def _hang_up_all(self, how: int) -> None:
        with self._idle:
            for connection in self._since_ns:
                _hang_up(connection, how)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer in a new thread; if there are too many, in place of the oldest connection."""
        with self._idle:
            if len(self._since_ns) >= MOST_CONNECTIONS:
                self._drop(next(iter(self._since_ns)))
            self._since_ns[request] = self._clock()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Hang up on whoever takes too long; called by `serve_forever` again and again."""
        with self._idle:
            late_ns = self._clock() - round(MOST_SECONDS * 1e9)
            for request in [one for one, since in self._since_ns.items() if since < late_ns]:
                self._drop(request)

    def _drop(self, request: socket.socket) -> None:
        """Hang up; its thread sees that and ends. The lock is held."""
        del self._since_ns[request]
        _hang_up(request, socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """Close a connection and forget it."""
        with self._idle:  # at once: what is closed cannot be hung up on
            self._since_ns.pop(request, None)
            super().shutdown_request(request)
            self._idle.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Log a fault of ours; whoever went away before the answer is nothing to report."""
        level = logging.DEBUG if isinstance(sys.exc_info()[1], OSError) else logging.ERROR
        _log.log(level, "a request for the metrics broke off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request: HTTP/1.0, whose answers end with the connection."""

    server: MetricsServer
    server_version = "crispstream"
    sys_version = ""
    timeout = MOST_SECONDS

    def do_GET(self) -> None:
        """Answer with the metrics, or say where they are."""
        if not self.server.address.admits(self.headers.get("Host", "")):
            self._answer(403, b"ask by the address that the metrics were started with\n")
        elif self.path.partition("?")[0] != PATH:
            self._answer(404, f"the metrics are at {PATH}\n".encode())
        else:
            self._answer(200, *self.server.text(self.headers.get("Accept", "")))

    def log_message(self, format: str, *args: object) -> None:
        """Requests are of interest to nobody."""

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)


def _hang_up(connection: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(how)
