"""What the rungs of a ladder cost a frame, measured beside each other before the stream."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from crispstream.core.clock import Clock
from crispstream.core.pixels import Bytes
from crispstream.runtime.latency import Latencies
from crispstream.runtime.stream.restoring import FrameRestorer

_ROUNDS = 3
"""Frames measured of each rung, after one that is not; the shortest time counts."""


class Rung(FrameRestorer, Protocol):
    """What a ladder needs of a restorer; `runtime.restorer.Restorer` is the real one.

    Attributes:
        why: one line: what runs it, and why not something faster.
        recurrent: whether frames depend on those before.
    """

    why: str
    recurrent: bool

    def reserve(self, width: int, height: int) -> None:
        """Make everything ready for frames of this size, in pixels."""

    def close(self) -> None:
        """Let go of everything; calling it twice does no harm."""


def measured_ns(rungs: Sequence[Rung], width: int, height: int, clock: Clock) -> list[int]:
    """Return each rung's service time in ns, of frames of this size in pixels.

    Each restores a few frames, in turns, so that a burst of load hits all; they leave no trace in
    latencies or recurrent state. But they go through the rungs' buffers: only for rungs of which
    nobody holds a frame.
    """
    ramp = np.linspace(0, 255, width, dtype=np.uint8)[None, :, None]
    frame_hwc = np.broadcast_to(ramp, (height, width, 3)).copy()
    with _off_the_record(rungs):
        rounds = [[_timed_ns(rung, frame_hwc, clock) for rung in rungs] for _ in range(1 + _ROUNDS)]
    for rung in rungs:
        rung.reset()
    return [min(times_ns) for times_ns in zip(*rounds[1:], strict=True)]


@contextmanager
def _off_the_record(rungs: Sequence[Rung]) -> Iterator[None]:
    kept = [rung.latencies for rung in rungs]
    for rung in rungs:
        rung.latencies = Latencies(rung.latencies.stages)
    try:
        yield
    finally:
        for rung, latencies in zip(rungs, kept, strict=True):
            rung.latencies = latencies


def _timed_ns(rung: Rung, frame_hwc: Bytes, clock: Clock) -> int:
    begun_ns = clock()
    rung.submit(frame_hwc)
    rung.collect()
    return clock() - begun_ns
