"""A fake camera's web pages, and ports to serve on."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOGIN = "joe:top-secret"


class FakeCameraPage(BaseHTTPRequestHandler):
    """Answers GET with a status or a file, of which it does not say how long it is."""

    pages: dict[str, int | bytes]

    def do_GET(self):
        answer = self.pages.get(self.path, 404)
        self.send_response(answer if isinstance(answer, int) else 200)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(b"" if isinstance(answer, int) else answer)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(**pages: int | bytes) -> Iterator[str]:
    """A fake camera's pages; gives its address, with a login in it."""
    handler = type("Page", (FakeCameraPage,), {"pages": {f"/{k}": v for k, v in pages.items()}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://{LOGIN}@127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(20)


def free_port(kind=socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
