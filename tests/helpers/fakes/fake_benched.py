"""A fake restorer for benches: it does no work, and moves a fake clock on instead."""

from collections.abc import Callable, Sequence

import numpy as np

from crispstream.core.clock import FakeClock
from crispstream.core.pixels import Bytes
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.bench.record import Settings
from crispstream.runtime.measure.bench.subjects import Subject

MS = 1_000_000
SIZE = (8, 4)
COPY_IN_MS, COPY_OUT_MS = 1, 2


class FakeBenched:
    """Takes `engine_ms(number)` for the engine's part of each frame, counted from 0."""

    rung = "fake int8"
    frames_in_flight = 2

    def __init__(
        self,
        clock: FakeClock,
        engine_ms: Callable[[int], float],
        *,
        device_stages: Sequence[str] = (),
        on_frame: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.latencies = Latencies(("copy_in", "infer", "copy_out"))
        self.device_latencies = Latencies(device_stages) if device_stages else None
        self.seen: list[int] = []
        self._clock = clock
        self._engine_ms = engine_ms
        self._on_frame = on_frame
        self._pending: list[Bytes] = []

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    def submit(self, frame_hwc: Bytes) -> None:
        self._on_frame(len(self.seen))
        self._clock.advance(COPY_IN_MS * MS)
        self._pending.append(frame_hwc)

    def collect(self) -> Bytes:
        frame_hwc = self._pending.pop(0)
        engine_ns = round(self._engine_ms(len(self.seen)) * MS)
        self.seen.append(int(frame_hwc[0, 0, 0]))
        self._clock.advance(engine_ns)
        self.latencies.record("infer", engine_ns)
        if self.device_latencies is not None:
            # Two tiles, of which the device computed for a quarter of the time each.
            for _ in range(2):
                self.device_latencies.record(self.device_latencies.stages[0], engine_ns // 4)
        self._clock.advance(COPY_OUT_MS * MS)
        height, width, _ = frame_hwc.shape
        return np.zeros((4 * height, 4 * width, 3), np.uint8)

    def restore(self, frame_hwc: Bytes) -> Bytes:
        self.submit(frame_hwc)
        return self.collect()

    def reset(self) -> None:
        pass


def frames(count: int = 4) -> list[Bytes]:
    """Frames whose first byte is their number."""
    width, height = SIZE
    return [np.full((height, width, 3), number, np.uint8) for number in range(count)]


def subject(name: str, restorer: FakeBenched) -> Subject:
    return Subject(name, restorer, "fake", "int8", "fake", "0" * 64, "because")


def settings(**changed: object) -> Settings:
    """Short ones."""
    asked: dict[str, object] = {
        "size": SIZE,
        "seconds": 1.0,
        "iterations": 1,
        "warm_up_ms": 200.0,
        "block": 3,
    }
    return Settings(**{**asked, **changed})


def sleeping(clock: FakeClock) -> Callable[[float], None]:
    """A sleep that lasts no time but the clock's."""
    return lambda seconds: clock.advance(round(seconds * 1e9))
