"""An engine that takes a fixed time for each frame, and a camera and a sink to go with it."""

import time
from collections import deque

import numpy as np

from crispstream.core.pixels import SCALE, Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Histogram, Latencies
from crispstream.runtime.stream.sink import Sink

WIDTH, HEIGHT = 320, 180


class FixedEngine:
    """Sleeps as long as it is told to; its sleep is measured, since no system wakes up on time.

    Attributes:
        overslept: how much longer than asked each frame took: the fake's own jitter.
        took_ns: serial of the frame, as its first pixel tells it -> ns of the work itself.
    """

    rung = "fixed"
    why = "a sleep"
    recurrent = False

    def __init__(self, milliseconds: float, frames_in_flight: int = 3) -> None:
        """A frame of 320x180 takes this long."""
        self.frames_in_flight = frames_in_flight
        self.latencies = Latencies(("copy_in", "infer", "copy_out"))
        self.overslept = Histogram()
        self.last_ns = 0
        self._asked_ns = round(milliseconds * 1e6)
        shape = (SCALE * HEIGHT, SCALE * WIDTH, 3)
        self._ring = [np.zeros(shape, np.uint8) for _ in range(2 * frames_in_flight)]
        self._pending: deque[Bytes] = deque()
        self._next = 0

    @property
    def in_flight(self) -> int:
        """Frames submitted and not collected."""
        return len(self._pending)

    def submit(self, frame_hwc: Bytes) -> None:
        """Take the time."""
        begun_ns = time.perf_counter_ns()
        time.sleep(self._asked_ns / 1e9)
        self.last_ns = time.perf_counter_ns() - begun_ns
        self.overslept.record(max(0, self.last_ns - self._asked_ns))
        self.latencies.record("infer", self.last_ns)
        restored_hwc = self._ring[self._next]
        restored_hwc[0, :8] = frame_hwc[0, :8]
        self._pending.append(restored_hwc)
        self._next = (self._next + 1) % len(self._ring)

    def collect(self) -> Bytes:
        """Return the oldest frame."""
        return self._pending.popleft()

    def reset(self) -> None:
        """It remembers nothing."""

    def reserve(self, width: int, height: int) -> None:
        """Everything is ready."""

    def close(self) -> None:
        """Nothing to let go of."""


class StampSink(Sink):
    """Notes what a frame took from its capture to here, beyond the engine's own time."""

    def __init__(self, engine: FixedEngine) -> None:
        """`engine` works on one frame at a time, and the sink is quicker than it."""
        self.added = Histogram()
        self.pts: list[int] = []
        self._engine = engine

    def write(self, frame: Frame, restored_hwc: Bytes) -> None:
        """Note one frame."""
        since_ns = time.perf_counter_ns() - frame.captured_ns
        self.added.record(max(0, since_ns - self._engine.last_ns))
        self.pts.append(frame.pts)

    def close(self, *, complete: bool = True) -> None:
        """Nothing to finish."""


class SkippingSink(Sink):
    """A second output that nobody waits for."""

    may_skip = True

    def write(self, frame: Frame, restored_hwc: Bytes) -> None:
        """Look at one pixel."""
        self.last = int(restored_hwc[0, 0, 0])

    def close(self, *, complete: bool = True) -> None:
        """Nothing to finish."""
