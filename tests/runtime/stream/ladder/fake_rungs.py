"""Fake restorers for a ladder, whose work takes time of a fake clock."""

from collections import deque

import numpy as np

from crispstream.core.clock import FakeClock
from crispstream.core.pixels import Bytes
from crispstream.runtime.latency import Latencies
from crispstream.runtime.stream.ladder.ladder import Ladder

MS = 1_000_000
WIDTH, HEIGHT = 8, 4


class FakeRung:
    """Works in the background for some time of the clock; its frames tell what it remembers."""

    why = "a fake"
    recurrent = True

    def __init__(self, name: str, cost_ms: float, clock: FakeClock, in_flight: int = 2) -> None:
        self.rung = name
        self.cost_ms = cost_ms
        self.frames_in_flight = in_flight
        self.latencies = Latencies(("infer",))
        self.closed = 0
        self.sizes: list[tuple[int, int]] = []
        self.remembered = 0
        self._clock = clock
        self._pending: deque[tuple[int, Bytes]] = deque()
        self._free_ns = 0

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    def reserve(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    def submit(self, frame_hwc: Bytes) -> None:
        assert self.in_flight < self.frames_in_flight
        self._free_ns = max(self._free_ns, self._clock()) + round(self.cost_ms * MS)
        restored_hwc = np.repeat(np.repeat(frame_hwc, 4, axis=0), 4, axis=1)
        restored_hwc[0, 0, 0] = min(self.remembered, 255)
        self.remembered += 1
        self._pending.append((self._free_ns, restored_hwc))

    def collect(self) -> Bytes:
        due_ns, restored_hwc = self._pending.popleft()
        self._clock.advance(max(0, due_ns - self._clock()))
        self.latencies.record("infer", round(self.cost_ms * MS))
        return restored_hwc

    def reset(self) -> None:
        assert not self._pending
        self.remembered = 0

    def close(self) -> None:
        self.closed += 1


def ladder_of(
    *costs_ms: float, budget_ms: float = 33, in_flight: int = 2
) -> tuple[Ladder, list[FakeRung], FakeClock]:
    clock = FakeClock(1)
    rungs = [FakeRung(f"rung{n}", cost, clock, in_flight) for n, cost in enumerate(costs_ms)]
    ladder = Ladder(rungs, budget_ms, clock=clock)
    ladder.reserve(WIDTH, HEIGHT)
    return ladder, rungs, clock


def numbered(number: int) -> Bytes:
    frame_hwc = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame_hwc[-1, -1] = number // 256, number % 256, 0
    return frame_hwc


def number_of(restored_hwc: Bytes) -> int:
    high, low, _ = restored_hwc[-1, -1]
    return int(high) * 256 + int(low)


def restore(ladder: Ladder, clock: FakeClock, number: int = 0, late: bool = False) -> Bytes:
    """One frame at a camera's pace."""
    clock.advance(33 * MS)
    captured_ns = clock()
    ladder.submit(numbered(number))
    restored_hwc = ladder.collect()
    age_ns = clock() - captured_ns
    ladder.observe(age_ns, late or age_ns > ladder.budget_ms * MS)
    return restored_hwc
