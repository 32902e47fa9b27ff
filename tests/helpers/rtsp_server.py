"""A real RTSP server on loopback that can be made to fail: GStreamer's, in a process of its own.

It is driven through /usr/bin/python3, for which Debian packages GStreamer's bindings; .ci/run
names the packages.

    with RtspServer() as server:                      # plays a moving picture at server.url
        server.freeze()                               # the picture, not the stream
        server.kill(); server.start()                 # dies, and comes back on the same port
    with RtspServer(record="out.ts") as server:       # also takes a push at server.record_url
        ...                                           # RECORD, H.264 unless codec="h265"
"""

import contextlib
import functools
import os
import select
import signal
import subprocess
from pathlib import Path
from types import TracebackType

import pytest

_PYTHON = "/usr/bin/python3"
_SCRIPT = Path(__file__).with_name("rtsp_server_process.py")
_NEEDED = ("x264enc", "videotestsrc", "rtph264pay", "rtph264depay", "h264parse", "mpegtsmux")
_PROBE = f"""
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
missing = [name for name in {_NEEDED} if Gst.ElementFactory.find(name) is None]
raise SystemExit("GStreamer has no " + ", ".join(missing) if missing else 0)
"""
_PATIENCE_SECONDS = 20.0


@functools.cache
def why_no_rtsp_server() -> str:
    """Say what is missing for a server; empty if nothing is."""
    if not Path(_PYTHON).exists():
        return f"there is no {_PYTHON} to run GStreamer's RTSP server"
    probe = subprocess.run(
        [_PYTHON, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False
    )
    if probe.returncode == 0:
        return ""
    said = (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"GStreamer's RTSP server cannot run ({said})"


class RtspServer:
    """The server; a test that makes one is skipped where it cannot run.

    Attributes:
        port: of 127.0.0.1, the same for the whole life.
        url: where it plays; `record_url`: where it takes a pushed stream.
    """

    def __init__(
        self,
        *,
        size: str = "160x96",
        fps: int = 25,
        gop: int = 12,
        login: str = "",
        auth: str = "basic",
        record: str | Path | bool = False,
        codec: str = "h264",
    ) -> None:
        """Start it.

        Args:
            size: width x height of the picture, in pixels.
            fps: pictures a second.
            gop: pictures from one keyframe to the next.
            login: "user:password" to ask for; nothing is asked for by default.
            auth: `basic` or `digest`.
            record: the file, MPEG-TS, to write a pushed stream to; True throws it away.
            codec: of the pushed stream, `h264` or `h265`.
        """
        if reason := why_no_rtsp_server():
            pytest.skip(reason)
        self._arguments = [f"--size={size}", f"--fps={fps}", f"--gop={gop}", f"--codec={codec}"]
        self._arguments += [f"--login={login}", f"--auth={auth}"] if login else []
        self._arguments += [f"--record={record}"] if not isinstance(record, bool) else []
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/stream"

    @property
    def record_url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/record"

    def start(self) -> None:
        """Start the process, on the port it had before if it had one."""
        self._process = subprocess.Popen(
            [_PYTHON, str(_SCRIPT), f"--port={self.port}", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._answer())

    def kill(self) -> None:
        """Let it die as from a power cut."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def halt(self) -> None:
        """Stop the whole process; its connections stay open and say nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo `halt`."""
        os.kill(self._process.pid, signal.SIGCONT)

    def freeze(self) -> None:
        """Send the same picture again and again."""
        self._tell("freeze")

    def thaw(self) -> None:
        """Send a moving picture again."""
        self._tell("thaw")

    def silence(self) -> None:
        """Keep the connection and send no more pictures."""
        self._tell("silence")

    def speak(self) -> None:
        """Undo `silence`."""
        self._tell("speak")

    def resize(self, size: str) -> None:
        """Change width x height of the running stream."""
        self._tell(f"resize {size}")

    def jump(self, seconds: float) -> None:
        """Move the timestamps of all later pictures."""
        self._tell(f"jump {seconds}")

    def _tell(self, command: str) -> None:
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        assert self._answer() == "done"

    def _answer(self) -> str:
        ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE_SECONDS)
        line = self._process.stdout.readline().strip() if ready else ""
        if not line:
            self.kill()
            raise RuntimeError("the RTSP server gave no answer; see its messages above")
        return line

    def __enter__(self) -> "RtspServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
