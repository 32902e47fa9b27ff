"""Signals of `crispstream run`: the output is finished, so that it plays."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class Caught:
    """The first SIGINT, SIGTERM or SIGHUP asks the run to finish; a second ends the process."""

    def __init__(self) -> None:
        """Start with none."""
        self.stop = threading.Event()
        self.signal_number = 0

    def __call__(self, signal_number: int, _frame: "FrameType | None") -> None:
        """Note it; the next one is the system's again."""
        self.signal_number = signal_number
        self.stop.set()
        signal.signal(signal_number, signal.SIG_DFL)


@contextmanager
def signals_caught() -> Iterator[Caught]:
    """Catch them while the work goes on; afterwards they are as they were."""
    caught = Caught()
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    # What is ignored stays ignored, or nohup would not work.
    before = {number: was for number, was in before.items() if was != signal.SIG_IGN}
    for number in before:
        signal.signal(number, caught)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
