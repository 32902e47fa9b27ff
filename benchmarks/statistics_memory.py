"""Whether statistics stay as large as they are: after 1 h and after 24 h of a 30 frames/s camera.

Nothing is restored and nobody waits: a clock that is moved on by hand stamps 2.6 million frames,
with durations drawn from a seed, as a stream's books, its latencies by stage and what `profile` and
`bench` gather of it would. What they hold is the size of every object that they lead to.
"""

import gc
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType

import numpy as np
from common import Limit, arguments, publish, result

from crispstream.core.clock import FakeClock
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.gather import Gather
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.threads import STAGES

FRAMES_PER_SECOND = 30
AT_MOST_RATIO = 1.01
_NO_PART = (type, ModuleType, FunctionType, BuiltinFunctionType)
_NS_PER_HOUR = 3600 * 10**9
_DRAWN = 9973
"""Durations that are drawn, a prime number: each stage meets each of them at another time."""
_STRIDES = dict(zip(STAGES, range(1, 9), strict=True))
"""Stage -> how far it goes on in those durations with each frame."""


class Statistics:
    """Everything that a measured stream keeps of its frames."""

    def __init__(self, clock: FakeClock) -> None:
        """Start empty."""
        self._clock = clock
        self._health = Health("simulated", clock)
        self.ledger = Ledger(self._health, budget_ms=33, clock=clock)
        self.latencies = Latencies(STAGES)
        self.gathers = {stage: Gather(clock=clock) for stage in STAGES}
        rng = np.random.default_rng(1)
        self._durations_ns = [int(value) for value in rng.lognormal(16, 1, _DRAWN)]

    def note(self, number: int) -> None:
        """Count a frame: each stage takes another of the drawn durations."""
        now_ns = self._clock()
        self.ledger.capture()
        if number % 1000 == 999:
            self.ledger.drop("slot")
            return
        for stage, stride in _STRIDES.items():
            duration_ns = self._durations_ns[number * stride % _DRAWN]
            self.latencies.span(stage, now_ns - duration_ns, now_ns, serial=number)
            self.gathers[stage].record(duration_ns, now_ns)
        self.ledger.restore(duration_ns, "simulated")
        if number % 500 == 0:  # as a camera on a bad network does
            self._health.enter("stalled", "simulated")
            self._health.enter("live")

    def read(self) -> None:
        """Ask for all there is, as a report or a page does."""
        self.ledger.snapshot()
        self.latencies.summary()
        for gather in self.gathers.values():
            gather.spread()
            gather.moments()


def deep_bytes(root: object) -> int:
    """Return the size of an object and of all that it leads to; code and classes are no part."""
    seen: set[int] = set()
    waiting, total = [root], 0
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, _NO_PART):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        waiting.extend(gc.get_referents(each))
    return total


def held_bytes(hours: int) -> Iterator[tuple[float, int]]:
    """Give (hours, bytes held by the statistics) after a quarter of an hour, and then each hour."""
    clock = FakeClock()
    statistics = Statistics(clock)
    step_ns, number, next_ns = 10**9 // FRAMES_PER_SECOND, 0, _NS_PER_HOUR // 4
    while clock() < hours * _NS_PER_HOUR:
        clock.advance(step_ns)
        statistics.note(number)
        number += 1
        if clock() >= next_ns:
            statistics.read()
            yield clock() / _NS_PER_HOUR, deep_bytes(statistics)
            next_ns = (clock() // _NS_PER_HOUR + 1) * _NS_PER_HOUR


def measure(hours: int) -> Mapping[str, int]:
    """Return hours -> bytes."""
    return {f"{at:.2f}".rstrip("0").rstrip("."): held for at, held in held_bytes(hours)}


def main() -> None:
    """Simulate a day."""
    parser = arguments(__doc__)
    parser.add_argument("--hours", type=int, default=24)
    chosen = parser.parse_args()
    if chosen.hours < 2:
        parser.error("--hours must be 2 or more: the bytes after 1 h are what is compared with")
    logging.getLogger("crispstream.stream").setLevel(logging.ERROR)  # of the camera's stalls
    begun = time.monotonic()
    sizes = measure(chosen.hours)
    last = list(sizes.values())[-1]
    figures = {
        "bytes_after_hours": sizes,
        "frames": chosen.hours * 3600 * FRAMES_PER_SECOND,
        "took_seconds": time.monotonic() - begun,
    }
    settings = {"hours": chosen.hours, "frames_per_second": FRAMES_PER_SECOND}
    limits = {"after_last_hour_over_first": Limit(last / sizes["1"], AT_MOST_RATIO)}
    publish(result("statistics_memory", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
