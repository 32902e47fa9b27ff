"""A connection to a network address, kept by a child process that can be ended at any moment."""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from .encoder import Encoding
from .relay import PICTURE_HEAD, order

OPEN_SECONDS = 10.0
"""For the child to start and the other side to take the stream."""
STALL_SECONDS = 4.0
"""For the other side to take a picture."""
CLOSE_SECONDS = 5.0
"""For the last pictures and the good-bye."""

_RELAY = (sys.executable, "-m", "crispstream.runtime.stream.sinks.relay")
_PIPE_BYTES = 1 << 20


class LinkLostError(Exception):
    """The other side is gone, silent or refuses; the text is a reason, in a few words."""


class Link:
    """Hands pictures to a child process that encodes and sends them; see `relay`.

    Attributes:
        sent: pictures handed over.
    """

    def __init__(
        self,
        address: str,
        muxer: str,
        muxer_options: Mapping[str, str],
        encoding: Encoding,
        *,
        relay: Sequence[str] = _RELAY,
    ) -> None:
        """Connect, within `OPEN_SECONDS`; `relay` is the command of the child.

        Raises:
            LinkLostError: if the other side does not take the stream, or the system no process.
        """
        self.sent = 0
        self._answers = 0
        self._process = _started(relay)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin.fileno()
        self._stdout = self._process.stdout.fileno()
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        with contextlib.suppress(OSError, AttributeError):  # fewer turns for a large picture
            fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            self._write(order(address, muxer, muxer_options, encoding), OPEN_SECONDS)
            self._await_ready()
        except BaseException:
            self.kill()
            raise

    @property
    def arrived(self) -> int:
        """Pictures that the child has given to the network."""
        self._count_answers()
        return max(0, self._answers - 1)  # the first one says that it is ready

    def send(self, pts: int, duration: int, pixels_hwc: npt.NDArray[np.uint8]) -> None:
        """Hand a picture over, uint8 [H,W,3] BGR, within `STALL_SECONDS`.

        Raises:
            LinkLostError: if that is not possible any more; the link is then only to be killed.
        """
        self.sent += 1
        self._count_answers()
        self._write(PICTURE_HEAD.pack(pts, duration), STALL_SECONDS)
        self._write(np.ascontiguousarray(pixels_hwc).data.cast("B"), STALL_SECONDS)

    def close(self) -> None:
        """Let the child finish, within `CLOSE_SECONDS`."""
        self._close_input()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the child at once; calling it twice does no harm."""
        self._process.kill()
        self._process.wait()
        self._close_input()
        self._count_answers()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._stdout = -1

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _write(self, data: bytes | memoryview, seconds: float) -> None:
        view = memoryview(data)
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._stdin, select.POLLOUT)
        while view.nbytes:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LinkLostError(f"it took nothing for {seconds:g} s")
            poll.poll(left * 1000)
            view = view[self._write_some(view) :]

    def _write_some(self, view: memoryview) -> int:
        try:
            return os.write(self._stdin, view)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkLostError(self._last_words()) from error

    def _await_ready(self) -> None:
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        ready = poll.poll(OPEN_SECONDS * 1000)
        self._count_answers()
        if not ready:
            raise LinkLostError(f"no answer within {OPEN_SECONDS:g} s")
        if not self._answers:
            raise LinkLostError(self._last_words())

    def _count_answers(self) -> None:
        with contextlib.suppress(OSError):
            while self._stdout >= 0 and (answers := os.read(self._stdout, 4096)):
                self._answers += len(answers)

    def _last_words(self) -> str:
        """Return why the child ended."""
        self._process.kill()
        said = self._process.stderr.read() if self._process.stderr is not None else b""
        lines = said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "the connection ended"


def _started(relay: Sequence[str]) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            relay,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
            start_new_session=True,  # a Ctrl-C is for us; the child ends when its input does
        )
    except OSError as error:  # too many open files, too many processes, no memory
        raise LinkLostError(f"no process can be started for it: {error.strerror}") from error
