"""Fakes of what the loop joins: a restorer that repeats pixels, a sink that notes numbers."""

import dataclasses
import threading
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from crispstream.core.errors import EngineError, SinkError, SourceError
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.latency import Latencies
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.sink import Sink
from crispstream.runtime.stream.source import Source, open_source
from crispstream.runtime.stream.sources.synth import read_counter

WIDTH, HEIGHT = 32, 16


class RepeatingRestorer:
    """Enlarges by repetition into a ring as small as the contract allows, and wipes old frames."""

    rung = "repetition"

    def __init__(self, frames_in_flight: int = 2, fail_at: int | None = None) -> None:
        self.frames_in_flight = frames_in_flight
        self.latencies = Latencies(("copy_in", "infer", "copy_out"))
        self.submitted: list[int | None] = []
        self.resets: list[int] = []
        self._fail_at = fail_at
        self._pending: deque[np.ndarray] = deque()
        self._handed_out: deque[tuple[int, np.ndarray]] = deque()

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    def submit(self, frame_hwc: np.ndarray) -> None:
        if self._fail_at == len(self.submitted):
            raise EngineError("the engine refused a frame")
        height, width, _ = frame_hwc.shape
        self.submitted.append(read_counter(frame_hwc, width, height))
        while self._handed_out and self._handed_out[0][0] < len(self.submitted):
            self._handed_out.popleft()[1].fill(77)  # the next frame overwrites the oldest
        self._pending.append(np.repeat(np.repeat(frame_hwc, 4, axis=0), 4, axis=1))
        self.latencies.span("infer", 0, 1)

    def reset(self) -> None:
        assert not self._pending
        self.resets.append(len(self.submitted))

    def collect(self) -> np.ndarray:
        restored_hwc = self._pending.popleft()
        self._handed_out.append((len(self.submitted) + self.frames_in_flight, restored_hwc))
        return restored_hwc


class NotingSink(Sink):
    """Reads the number off every frame, slowly where asked, and can fail."""

    def __init__(self, fail_at: int | None = None, gate: threading.Semaphore | None = None) -> None:
        self.numbers: list[int | None] = []
        self.closed: list[bool] = []
        self._fail_at = fail_at
        self._gate = gate

    def write(self, frame: Frame, restored_hwc: np.ndarray) -> None:
        if self._gate is not None:
            self._gate.acquire(timeout=0.005)  # lets the restorer run ahead as far as it may
        if self._fail_at == len(self.numbers):
            raise SinkError("the disk is full")
        self.numbers.append(read_counter(restored_hwc, WIDTH, HEIGHT))

    def close(self, *, complete: bool = True) -> None:
        self.closed.append(complete)


class BreakingSource:
    """Gives a few frames of a synthetic source, then breaks."""

    def __init__(self, frames: int) -> None:
        self._source = synth(frames)
        self.damaged = 2
        self.health = Health("breaking")

    @property
    def info(self) -> StreamInfo:
        return self._source.info

    def __iter__(self) -> Iterator[Frame]:
        yield from self._source
        raise SourceError("the cable is cut")

    def stop(self) -> None:
        self._source.stop()

    def close(self) -> None:
        self._source.close()


def synth(frames: int) -> Source:
    """A synthetic source of WIDTH x HEIGHT whose frames carry their number."""
    return open_source(f"synth://pattern?size={WIDTH}x{HEIGHT}&frames={frames}")


class ListedSource:
    """Gives the frames of a list, and then, if asked to, nothing more until it is stopped."""

    damaged = 0

    def __init__(self, frames: list[Frame], *, then_silent: bool = False) -> None:
        self.health = Health("listed")
        self.info = dataclasses.replace(synth(1).info, live=True)
        self._frames = frames
        self._silent = then_silent
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        self.health.enter("live")
        yield from self._frames
        if self._silent:
            self._stopped.wait(20)

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.stop()


class NumberSink(Sink):
    """Notes the first byte and the shape of each picture."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.shapes: list[tuple[int, ...]] = []

    def write(self, frame: Frame, restored_hwc: Bytes) -> None:
        self.seen.append(int(restored_hwc[0, 0, 0]))
        self.shapes.append(restored_hwc.shape)

    def close(self, *, complete: bool = True) -> None:
        pass


def flat_frame(number: int, *, captured_ns: int = 0, fresh: bool = False, size=(WIDTH, HEIGHT)):
    width, height = size
    pixels = np.full((height, width, 3), number, np.uint8)
    return Frame(pixels, number, number, Fraction(1, 25), captured_ns, 1, fresh)
