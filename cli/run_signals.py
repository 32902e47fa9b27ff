"""Signals of `crispstream run`: the output is finished, so that it plays."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class Caught:
    """The first SIGINT, SIGTERM or SIGHUP asks the run to finish; a second ends the process.

    Attributes:
        stop: set by the first one.
        signal_number: of the first one; 0 if there was none.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        """Start with none; `numbers` are those that are caught."""
        self.stop = threading.Event()
        self.signal_number = 0
        self._numbers = numbers

    def __call__(self, signal_number: int, _frame: "FrameType | None") -> None:
        """Note it; the next one, of whichever kind, is the system's again."""
        self.signal_number = signal_number
        for number in self._numbers:  # first of all: what comes now may hang
            signal.signal(number, signal.SIG_DFL)
        self.stop.set()


@contextmanager
def signals_caught() -> Iterator[Caught]:
    """Catch them while the work goes on; afterwards they are as they were."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    # What is ignored stays ignored, or nohup would not work.
    before = {number: was for number, was in before.items() if was != signal.SIG_IGN}
    caught = Caught(tuple(before))
    for number in before:
        signal.signal(number, caught)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
