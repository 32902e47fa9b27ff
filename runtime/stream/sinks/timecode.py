"""A sink that reads the time code in every picture: how old it is, and what went missing."""

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Histogram
from crispstream.runtime.stream.sink import Sink
from crispstream.runtime.stream.timecode import COUNTERS, Timecode, read

_REMEMBERED = 1024
"""How many of the latest counters are known by number, to tell repeated from late ones."""


class TimecodeSink(Sink):
    """Measures a stream whose source paints time codes: `synth://?timecode=1`, near or far.

    The latency runs from the time in the picture to the moment the sink gets it. Memory stays
    the same however long the stream is.
    """

    def __init__(self, clock: Clock = monotonic_ns) -> None:
        """`clock` is the one that the source paints."""
        self._clock = clock
        self._ages = Histogram()
        self._unreadable = self._ahead = self._restarts = 0
        self._latest: Timecode | None = None
        self._order = _Order()

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Read one picture's time code; see `Sink`."""
        now_ns = self._clock()
        code = read(restored_hwc)
        if code is None:
            self._unreadable += 1
            return
        self._follow(code)
        if not self._order.take(code.counter):
            return
        age_ns = code.age_ns(now_ns)
        if age_ns < 0:
            self._ahead += 1
        else:
            self._ages.record(age_ns)

    def close(self, *, complete: bool = True) -> None:
        """Nothing to finish."""

    def figures(self) -> Mapping[str, float]:
        """Return what was read so far.

        frames: different pictures with a time code. unreadable: pictures without one that can
        be read. dropped: numbers missing between the first and the last. duplicates: pictures
        that came before. reorders: pictures that came after a later one. restarts: how often
        the source began to count anew. ahead: pictures whose time is still to come, so that
        they are of another clock and have no latency. latency_*_ms: from the painted time to
        the sink; 0 where nothing was read.
        """
        summary = self._ages.summary()
        names = ("p50", "p95", "p99", "max", "mean")
        return {
            "frames": float(self._order.distinct),
            "unreadable": float(self._unreadable),
            "dropped": float(self._order.dropped),
            "duplicates": float(self._order.duplicates),
            "reorders": float(self._order.reorders),
            "restarts": float(self._restarts),
            "ahead": float(self._ahead),
            **{f"latency_{name}_ms": summary[f"{name}_ms"] for name in names},
        }

    def _follow(self, code: Timecode) -> None:
        """Count anew if the counter went back, or stayed, while the time went on."""
        latest = self._latest
        if latest is not None and code.age_ns(latest.time_ns) >= 0:
            return  # not later: a repeated or a late picture
        if latest is not None and _ahead_of(code.counter, latest.counter) <= 0:
            self._restarts += 1
            self._order.begin_again()
        self._latest = code


class _Order:
    """Which numbers came, and in which order; a number may go round at `COUNTERS`."""

    def __init__(self) -> None:
        self.distinct = self.duplicates = self.reorders = 0
        self._missing_before = 0
        self._recent: deque[int] = deque(maxlen=_REMEMBERED)
        self._lowest = self._highest = 0
        self._expected = self._came = 0

    @property
    def dropped(self) -> int:
        """How many numbers are missing between the lowest and the highest."""
        return self._missing_before + max(0, self._expected - self._came)

    def take(self, counter: int) -> bool:
        """Note a number; False if it came before."""
        if counter in self._recent:
            self.duplicates += 1
            return False
        self._recent.append(counter)
        self.distinct += 1
        if self._came == 0:
            self._lowest = self._highest = counter
            self._expected = 1
        else:
            self._widen(counter)
        self._came += 1
        return True

    def begin_again(self) -> None:
        """Count from any number on; what is missing so far stays missing."""
        self._missing_before = self.dropped
        self._recent.clear()
        self._expected = self._came = 0

    def _widen(self, counter: int) -> None:
        """Make sure that the number lies between the lowest and the highest."""
        beyond = _ahead_of(counter, self._highest)
        if beyond > 0:
            self._expected += beyond
            self._highest = counter
            return
        self.reorders += 1
        before = _ahead_of(self._lowest, counter)
        if before > 0:
            self._expected += before
            self._lowest = counter


def _ahead_of(counter: int, other: int) -> int:
    """Return by how much a counter is ahead of another one; negative if behind.

    >>> _ahead_of(1, COUNTERS - 1), _ahead_of(7, 9)
    (2, -2)
    """
    return (counter - other + COUNTERS // 2) % COUNTERS - COUNTERS // 2
