"""Frames in memory as a stream's source, and what takes the time of each from its loop.

Shape letters: H height, W width, 3 channels in BGR order, bytes.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from crispstream.core.clock import Clock
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import RGB, Frame, StreamInfo
from crispstream.runtime.latency import Latencies
from crispstream.runtime.stream.health import Health

from .pace import Pace

_TIME_BASE = Fraction(1, 1000)


class MemorySource:
    """Gives frames one at a time: the next only once the one before is written."""

    damaged = 0

    def __init__(self, frames: Sequence[Bytes], pace: Pace, clock: Clock) -> None:
        """Take frames [H,W,3], all of one size."""
        height, width, _ = frames[0].shape
        self.health = Health("frames in memory", clock)
        self.info = StreamInfo(width, height, None, _TIME_BASE, RGB, len(frames), None)
        self._frames = frames
        self._pace = pace
        self._clock = clock
        self._free = threading.Semaphore()
        self._stopped = False

    def __iter__(self) -> Iterator[Frame]:
        """Give each frame when it is due, captured as it is given."""
        for serial, pixels_hwc in enumerate(self._frames):
            self._free.acquire()
            if self._stopped:
                return
            if not self._pace.wait():
                return
            yield Frame(pixels_hwc, serial, serial, _TIME_BASE, self._clock())

    def let_go(self) -> None:
        """Tell that the frame under way is written."""
        self._free.release()

    def stop(self) -> None:
        """End the iteration."""
        self._stopped = True
        self._free.release()

    def close(self) -> None:
        """Nothing to let go of."""


class TotalTimes:
    """Keeps when each frame was captured and written.

    Attributes:
        stamps_ns: (captured, written) of each frame, in order.
    """

    def __init__(self, on_written: Callable[[], None]) -> None:
        """`on_written` is called by the writer's thread after the last stamp of a frame."""
        self.stamps_ns: list[tuple[int, int]] = []
        self._on_written = on_written

    def made_for(self, stages: Sequence[str]) -> Latencies:
        """Return what the loop is to give the times of these stages to."""
        return _Watched(stages, self._keep) if "total" in stages else Latencies(stages)

    def _keep(self, captured_ns: int, written_ns: int) -> None:
        self.stamps_ns.append((captured_ns, written_ns))
        self._on_written()


class _Watched(Latencies):
    """Hands the stamps of `total` over; keeps no histogram of what nobody asks for."""

    def __init__(self, stages: Sequence[str], keep: Callable[[int, int], None]) -> None:
        super().__init__(stages)
        self._keep = keep

    def span(self, stage: str, *stamps_ns: int, serial: int = -1) -> None:
        """Hand two stamps over; the others are let go."""
        if stage == "total":
            captured_ns, written_ns = stamps_ns
            self._keep(captured_ns, written_ns)
