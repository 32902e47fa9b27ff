"""Ctrl-C while a library builds: it cancels the build instead of getting lost in C++.

So do SIGTERM and SIGHUP, where the program has handlers of its own for them.

During a build Python runs only inside the library's callbacks, of the logger and of the progress
monitor. A KeyboardInterrupt raised in one of them is swallowed by the C++ code that called it
(seen with TensorRT-RTX 1.7: the build went on to its end and the exception was gone). So a signal
only leaves a mark meanwhile, the monitor reads it after each step, and it is delivered again once
the library has let go.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


@contextmanager
def held_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold signals back; yield the question, for any thread, whether one has come.

    Afterwards they go to the handlers that were there before. Signals reach only the main thread,
    so on another one nothing is changed, nor is a signal that is ignored or kills the process.

    Raises:
        KeyboardInterrupt: at the end, if one has come and the handler before did not raise.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: handler for number, handler in before.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread() or not before:
        yield lambda: False
        return
    mark = _Mark(before)
    # A handler in Python would run on the main thread alone, which may be inside the library
    # while its callbacks run on others; the wakeup descriptor is written to by the signal itself.
    for number in before:
        signal.signal(number, lambda *_: None)
    fd_before = signal.set_wakeup_fd(mark.writer, warn_on_full_buffer=False)
    try:
        yield mark.has_come
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        mark.has_come()
        mark.close()
        if mark.come:
            _deliver(mark.come)


def _deliver(numbers: list[int]) -> None:
    for number in numbers:
        signal.raise_signal(number)
    raise KeyboardInterrupt


class _Mark:
    """A pipe into which Python's own signal handler writes the numbers of signals."""

    def __init__(self, awaited: Iterable[int]) -> None:
        self._reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._awaited = set(awaited)
        self.come: list[int] = []

    def has_come(self) -> bool:
        """Return whether one of those that are awaited has come since the mark was made."""
        with suppress(BlockingIOError):  # nothing was written
            for number in os.read(self._reader, 4096):
                if number in self._awaited and number not in self.come:
                    self.come.append(number)
        return bool(self.come)

    def close(self) -> None:
        os.close(self._reader)
        os.close(self.writer)
