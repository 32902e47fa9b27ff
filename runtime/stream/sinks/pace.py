"""Real time for streams that have none: a recorded one is not sent faster than it was made."""

import time
from collections.abc import Callable

from crispstream.core.clock import Clock, monotonic_ns

LONGEST_WAIT_SECONDS = 2.0
"""A frame whose time is further away goes at once after this: a stream can be told to stop."""


class Pace:
    """Waits until a frame's time has come; the first frame's is now."""

    def __init__(
        self, clock: Clock = monotonic_ns, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Take the clock, and what waits for a number of seconds."""
        self._clock = clock
        self._sleep = sleep
        self._zero_seconds: float | None = None

    def wait(self, seconds: float) -> None:
        """Wait until it is time for a frame at `seconds` of its stream; a late one goes at once."""
        now = self._clock() / 1e9
        if self._zero_seconds is None:
            self._zero_seconds = now - seconds
        ahead = self._zero_seconds + seconds - now
        if ahead > LONGEST_WAIT_SECONDS:
            self._zero_seconds -= ahead - LONGEST_WAIT_SECONDS
            ahead = LONGEST_WAIT_SECONDS
        if ahead > 0:
            self._sleep(ahead)
