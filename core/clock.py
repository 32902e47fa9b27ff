"""The one clock that stamps frames, and a fake of it for tests."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns nanoseconds since an arbitrary start; never goes backwards."""

monotonic_ns: Clock = time.perf_counter_ns


class FakeClock:
    """A clock that moves only when told to.

    >>> clock = FakeClock()
    >>> clock.advance(5)
    >>> clock()
    5
    """

    def __init__(self, start_ns: int = 0) -> None:
        """Start at `start_ns`."""
        self._now_ns = start_ns

    def __call__(self) -> int:
        """Return the present time in nanoseconds."""
        return self._now_ns

    def advance(self, duration_ns: int) -> None:
        """Move the clock on; negative durations are refused as a real clock would.

        Raises:
            ValueError: if `duration_ns` is negative.
        """
        if duration_ns < 0:
            raise ValueError(f"a monotonic clock cannot go back {-duration_ns} ns")
        self._now_ns += duration_ns
