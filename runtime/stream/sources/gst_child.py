"""Pictures of a GStreamer pipeline that runs in a child process, `gst-launch-1.0`.

The pictures come through a pipe of their own, because some elements print to standard output
(NVIDIA's camera source does), in GStreamer's data protocol: with their times, their format, and
the colours it is in, so that they are converted here like all others.

The words of a pipeline stand in the system's list of processes, which every user of the machine
may read: also a password in them.
"""

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from fractions import Fraction

from crispstream.core.errors import SourceError, UsageError
from crispstream.core.uris import without_secrets
from crispstream.runtime.stream.live.feed import LONGEST_READ_SECONDS, FeedEnded, Picture

from .gdp import BUFFER, CAPS, FORMATS, HEADER_BYTES, Header, planes_of, read_caps, read_header
from .raw import RawPictures

PROGRAM = "gst-launch-1.0"
_OPEN_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_LOG_BYTES = 8192
_PIPE_BYTES = 2**20  # the most that the kernel gives without privileges; a picture fits into few
_FROM_NETWORK = re.compile("(?<!file)://|^(?:host|port|address)=")
"""What tells that a pipeline reads a stream, whose end GStreamer takes for that of a file."""
# A silent pipeline does not see that its reader is gone. (Linux could tell it with
# PR_SET_PDEATHSIG, but does so as soon as the thread that started it ends.)
_GUARD = 'read -r _; kill -s INT -- "-$0"; sleep 1; kill -s KILL -- "-$0"'
"""A shell's: ends a group of processes once nobody holds its standard input's other end."""
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of linux/fcntl.h, which Python 3.10's fcntl has no name for


class ChildFeed:
    """One run of a pipeline; see `Feed`."""

    time_base = Fraction(1, 1_000_000_000)

    def __init__(self, pipeline: Sequence[str], name: str) -> None:
        """Start the pipeline and wait for its first picture.

        Args:
            pipeline: its words, without a sink.
            name: what it is called in messages.

        Raises:
            UsageError: if GStreamer is not installed, or knows no such pipeline.
            SourceError: if no picture comes within 5 s.
        """
        self._name = name
        self._log = b""
        self._closed = False
        self._memory = bytearray()
        self._convert: RawPictures | None = None
        self._has_end = not any(_FROM_NETWORK.search(word) for word in pipeline)
        self._gave = False
        self._guard: subprocess.Popen[bytes] | None = None
        self._start(pipeline)
        try:
            self._guard = _guard(self._process.pid)
            self._first: Picture | None = self._next(_OPEN_SECONDS)
        except BaseException:
            self.close()
            raise

    def _start(self, pipeline: Sequence[str]) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise UsageError(
                f"'{self._name}' needs {PROGRAM}, which is not installed; install it with: "
                "sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base "
                "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
            )
        self._pictures, theirs = os.pipe()
        with contextlib.suppress(OSError):  # more than the kernel allows
            fcntl.fcntl(theirs, _SET_PIPE_SIZE, _PIPE_BYTES)
        formats = f"video/x-raw,format={{{','.join(FORMATS)}}}"
        sink = ("!", "videoconvert", "!", formats, "!", "gdppay", "!", "fdsink", f"fd={theirs}")
        try:
            # A group of its own: Ctrl-C is for the parent, which then ends it in order.
            self._process = subprocess.Popen(
                [program, "-q", *pipeline, *sink],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs,),
                start_new_session=True,
                restore_signals=False,  # a closed pipe shall be an error to it, not its death
                env={**os.environ, "LC_ALL": "C"},
            )
        except BaseException:
            os.close(self._pictures)
            raise
        finally:
            os.close(theirs)
        assert self._process.stdout is not None
        self._messages = self._process.stdout.fileno()
        self._poll = select.poll()
        for descriptor in (self._pictures, self._messages):
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)

    def read(self) -> Picture:
        """Return the next picture; see `Feed`.

        Raises:
            SourceError: if none came in time, or the pipeline broke.
            FeedEnded: if it reads no stream and came to its end, as at the end of a file.
        """
        first, self._first = self._first, None
        return first or self._next(LONGEST_READ_SECONDS)

    def _next(self, seconds: float) -> Picture:
        deadline = time.monotonic() + seconds
        while True:
            header = read_header(self._bytes(HEADER_BYTES, deadline))
            payload = self._bytes(header.payload_bytes, deadline)
            if header.kind == CAPS:
                self._follow(bytes(payload))
            elif header.kind == BUFFER:
                return self._picture(header, payload)

    def _follow(self, payload: bytes) -> None:
        """Prepare for pictures of another format."""
        caps = read_caps(payload)
        size = caps.width, caps.height
        convert = RawPictures(FORMATS[caps.pixel_format], size, planes_of(caps), caps.colour)
        self._convert, self.colour, self.frame_rate = convert, convert.colour, caps.frame_rate

    def _picture(self, header: Header, payload: memoryview) -> Picture:
        if self._convert is None or header.payload_bytes < self._convert.bytes_needed:
            needed = self._convert.bytes_needed if self._convert else "a format before it"
            raise SourceError(
                f"'{self._name}' sent a picture of {header.payload_bytes} bytes, expected "
                f"{needed}; end the pipeline with videoconvert"
            )
        self._gave = True
        return Picture(self._convert(payload), header.pts_ns, header.duration_ns)

    def _bytes(self, count: int, deadline: float) -> memoryview:
        """Return the next bytes of the pipe, valid until the next call."""
        if count > len(self._memory):
            self._memory = bytearray(count)
        view = memoryview(self._memory)[:count]
        got = 0
        while got < count:
            self._wait(deadline)
            with contextlib.suppress(BlockingIOError):
                number = os.readv(self._pictures, [view[got:]])
                if number == 0:
                    raise self._ended()
                got += number
        return view

    def _wait(self, deadline: float) -> None:
        """Wait for pictures, and meanwhile keep what the pipeline says."""
        while (remaining := deadline - time.monotonic()) > 0:
            ready = {descriptor for descriptor, _ in self._poll.poll(remaining * 1000)}
            if self._messages in ready:
                self._listen()
            if self._pictures in ready:
                return
        self._listen()
        raise SourceError(f"'{self._name}' gave no picture in time{self._said()}; check the camera")

    def _listen(self) -> None:
        """Take what the pipeline printed; the end of what it says is kept."""
        with contextlib.suppress(BlockingIOError):
            said = os.read(self._messages, _LOG_BYTES)
            if not said:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(self._messages)
            self._log = (self._log + said)[-_LOG_BYTES:]

    def _ended(self) -> SourceError | UsageError | FeedEnded:
        """Return what is to be raised for a pipeline that gives no more pictures."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_SECONDS)
        if self._gave and self._has_end and self._process.returncode == 0:
            return FeedEnded(f"'{self._name}' came to its end")
        self._listen()
        wrong = re.search(r"erroneous pipeline: (.+)", self._log.decode(errors="replace"))
        if wrong is None:
            return SourceError(
                f"'{self._name}' ended{self._said()}; run it with {PROGRAM} to see more of it"
            )
        missing = re.search(r'no element "(.+)"', wrong[1])
        advice = "check its spelling with gst-launch-1.0"
        if missing and missing[1] == "gdppay":
            advice = "install it with: sudo apt install gstreamer1.0-plugins-bad"
        elif missing and missing[1].startswith("nv"):
            advice = f"{missing[1]} comes with NVIDIA's JetPack, on a Jetson"
        elif missing:
            advice = f"install the plugin that has {missing[1]}, or check its spelling"
        return UsageError(f"'{self._name}' is no pipeline: {without_secrets(wrong[1])}; {advice}")

    def _said(self) -> str:
        """Return the first error that the pipeline printed, in parentheses."""
        text = self._log.decode(errors="replace")
        found = re.search(r"ERROR: from element \S+: (.+)", text) or re.search("ERROR: (.+)", text)
        return f" ({without_secrets(found[1]).rstrip('.')})" if found else ""

    def close(self) -> None:
        """End the pipeline, in order if it can, and close the pipe; twice does no harm."""
        if self._closed:
            return
        self._closed = True
        # Cameras stay taken if their pipeline is killed, so it is asked first; it may be waiting
        # for room in the pipe, which it then finds closed.
        self._signal(signal.SIGINT)
        os.close(self._pictures)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_SECONDS)
        self._signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def _guard(group: int) -> "subprocess.Popen[bytes]":
    """Start what ends a group of processes when this process is gone, however it went."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
