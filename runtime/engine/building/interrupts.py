"""Ctrl-C while a library builds: it cancels the build instead of getting lost in C++.

During a build Python runs only inside the library's callbacks, of the logger and of the progress
monitor. A KeyboardInterrupt raised in one of them is swallowed by the C++ code that called it
(seen with TensorRT-RTX 1.7: the build went on to its end and the exception was gone). So SIGINT
only leaves a mark meanwhile, the monitor reads it after each step, and it is delivered again once
the library has let go.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def held_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold SIGINT back; yield the question, for any thread, whether it has come.

    Afterwards it goes to the handler that was there before. Signals reach only the main thread,
    so on another one, or where SIGINT is ignored or kills the process, nothing is changed.

    Raises:
        KeyboardInterrupt: at the end, if it has come and the handler before did not raise that.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: False
        return
    mark = _Mark()
    # A handler in Python would run on the main thread alone, which may be inside the library
    # while its callbacks run on others; the wakeup descriptor is written to by the signal itself.
    signal.signal(signal.SIGINT, lambda *_: None)
    fd_before = signal.set_wakeup_fd(mark.writer, warn_on_full_buffer=False)
    try:
        yield mark.has_come
    finally:
        signal.set_wakeup_fd(fd_before)
        signal.signal(signal.SIGINT, before)
        has_come = mark.has_come()
        mark.close()
        if has_come:
            signal.raise_signal(signal.SIGINT)
            raise KeyboardInterrupt


class _Mark:
    """A pipe into which Python's own signal handler writes the numbers of signals."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._come = False

    def has_come(self) -> bool:
        """Return whether SIGINT has come since the mark was made."""
        with suppress(BlockingIOError):  # nothing was written
            self._come |= signal.SIGINT in os.read(self._reader, 4096)
        return self._come

    def close(self) -> None:
        os.close(self._reader)
        os.close(self.writer)
