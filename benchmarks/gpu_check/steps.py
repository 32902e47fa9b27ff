"""Steps of the GPU check that may fail or come too late: then a reason takes their place."""

from collections.abc import Callable
from typing import TypeVar

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import CrispstreamError

OUT_OF_TIME = "out of time: give more with --minutes"

Result = TypeVar("Result")


class NotRun(Exception):  # noqa: N818  (no fault of the step: its text says what is missing)
    """Raised by a step that cannot be done, or not any more."""


class Deadline:
    """When the whole check is to end."""

    def __init__(self, seconds: float, clock: Clock = monotonic_ns) -> None:
        """Start counting."""
        self._clock = clock
        self._begun_ns = clock()
        self._seconds = seconds

    @property
    def spent_seconds(self) -> float:
        """Seconds since the start."""
        return (self._clock() - self._begun_ns) / 1e9

    @property
    def left_seconds(self) -> float:
        """Seconds until the end; negative after it."""
        return self._seconds - self.spent_seconds

    def check(self, needed_seconds: float = 0.0) -> None:
        """Raise NotRun unless more than so many seconds are left."""
        if self.left_seconds <= needed_seconds:
            raise NotRun(OUT_OF_TIME)


def tried(work: Callable[[], Result]) -> Result | str:
    """Return what `work` returns, or why it could not."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001  (whatever a library raises becomes a reason)
        return reason_of(error)


def reason_of(error: BaseException) -> str:
    """Return an error as the reason why something was not run: its first line.

    >>> reason_of(ValueError("no such mode"))
    'ValueError: no such mode'
    """
    lines = str(error).strip().splitlines()
    text = lines[0][:400] if lines else ""
    if text and isinstance(error, CrispstreamError | NotRun):
        return text
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def there(found: Result | str) -> Result:
    """Return what an earlier step found.

    Raises:
        NotRun: with the reason, if it found none.
    """
    if isinstance(found, str):
        raise NotRun(found)
    return found
