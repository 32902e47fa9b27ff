"""A fake camera's web pages, a server of files, and ports to serve on."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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
    with _server(
        type("Page", (FakeCameraPage,), {"pages": {f"/{k}": v for k, v in pages.items()}})
    ) as url:
        yield url


class FileServer(BaseHTTPRequestHandler):
    """Answers GET with a file or the rest of one, as web servers do."""

    folder: Path
    most_bytes: int | None
    """After which it hangs up."""
    release: threading.Event | None
    """What it waits for then."""

    def do_GET(self):
        data = (self.folder / self.path.lstrip("/")).read_bytes()
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(asked[1]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data[begin:][: self.most_bytes])
            self.wfile.flush()
        if self.release is not None and self.most_bytes is not None:
            self.release.wait(20)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving_files(
    folder: Path, most_bytes: int | None = None, release: threading.Event | None = None
) -> Iterator[str]:
    """A web server of a folder; gives its address, with a login in it.

    It hangs up after so many bytes of an answer, or rather says no more until `release` is set.
    """
    facts = {"folder": folder, "most_bytes": most_bytes, "release": release}
    with _server(type("Files", (FileServer,), facts)) as url:
        yield url


@contextlib.contextmanager
def _server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
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
