"""A stream that never was: everything that counts frames, told of a camera's day in minutes.

    books     the ledger and the stages of a `run`, with a camera that stalls
    ladder    what each rung did, with a change every 10 s
    drift     the alarm, on a frame a second
    metrics   what Prometheus asks once a minute
    profile   what `profile` keeps with a trace; without one it is the same less the events
    bench     what `bench` keeps of a variant and scope, and the readings of the machine

A clock that is moved on by hand stamps the frames, with durations drawn from a seed. What a part
holds is the size of every object that it leads to.
"""

import gc
import sys
from collections.abc import Iterable, Mapping
from fractions import Fraction
from types import BuiltinFunctionType, FunctionType, ModuleType

import numpy as np

from crispstream.core.clock import FakeClock
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.bench.rounds import Readings, Track
from crispstream.runtime.measure.figures import Reading
from crispstream.runtime.measure.gather import Gather
from crispstream.runtime.measure.metrics.exposition import Exposition
from crispstream.runtime.measure.profiling.watching import Profiler
from crispstream.runtime.stream.drift import DriftWatch
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ladder.use import Tally
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.threads import STAGES
from crispstream.runtime.stream.watched import Watched

FRAMES_PER_SECOND = 30
RUNGS = ("simulated fp32", "simulated int8")
_NO_PART = (type, ModuleType, FunctionType, BuiltinFunctionType)
_LARGE = ("profile",)
"""Parts that take a second to measure."""
_NS_PER_SECOND = 10**9
_DRAWN = 9973
"""Durations that are drawn, a prime number: each stage meets each of them at another time."""
_STRIDES = dict(zip(STAGES, range(1, 9), strict=True))
"""Stage -> how far it goes on in those durations with each frame."""
_BLOCK = 3
"""Frames of a turn of the bench."""


class Statistics:
    """Everything that counts the frames of a stream.

    Attributes:
        parts: name -> what holds the counts.
    """

    def __init__(self, clock: FakeClock) -> None:
        """Start empty."""
        self._clock = clock
        self._health = Health("simulated", clock)
        self._ledger = Ledger(self._health, budget_ms=33, clock=clock)
        self._stages = Latencies(STAGES)
        self._ledger.histograms = (self._stages,)
        self._tally = Tally(RUNGS, budget_ms=33)
        self._drift = DriftWatch({"brightness": (40.0, 80.0), "noise": (0.5, 2.0)})
        watched = Watched("simulated", None, None, self._ledger, self._drift, self._tally.use)
        self._metrics = Exposition(lambda: (watched,), "simulated")
        self._profiler = Profiler(keeps_trace=True, clock=clock)
        self._profiled = self._profiler.latencies(STAGES)
        self._profiler.watch_queues(lambda: {"slot": 1, "queue": 2})
        self._track = Track(Gather(clock=clock), deadline_ms=33, period_ms=33)
        self._readings = Readings()
        self._block: list[int] = []
        self.parts: Mapping[str, object] = {
            "books": (self._ledger, self._stages),
            "ladder": self._tally,
            "drift": self._drift,
            "metrics": self._metrics,
            "profile": (self._profiler, self._profiled),
            "bench": (self._track, self._readings, self._block),
        }
        rng = np.random.default_rng(1)
        self._durations_ns = [int(value) for value in rng.lognormal(16, 1, _DRAWN)]
        self._pictures = [np.full((18, 32, 3), level, np.uint8) for level in (0, 60, 255)]

    def note(self, number: int) -> None:
        """Count a frame: each stage takes another of the drawn durations."""
        now_ns = self._clock()
        self._ledger.capture()
        if number % 1000 == 999:
            self._ledger.drop("slot")
            self._tally.missed(self._tally.number)
            return
        for stage, stride in _STRIDES.items():
            duration_ns = self._durations_ns[number * stride % _DRAWN]
            self._stages.span(stage, now_ns - duration_ns, now_ns, serial=number)
            self._profiled.span(stage, now_ns - duration_ns, now_ns, serial=number)
        self._ledger.restore(duration_ns, RUNGS[self._tally.number])
        self._tally.charge(now_ns)
        self._tally.restored(self._tally.number)
        self._bench(duration_ns, now_ns)
        if number % 500 == 0:  # as a camera on a bad network does
            self._health.enter("stalled", "simulated")
            self._health.enter("live")

    def _bench(self, duration_ns: int, now_ns: int) -> None:
        self._track.record(duration_ns, now_ns)
        self._block.append(duration_ns)
        if len(self._block) == _BLOCK:
            self._track.rounds.add(self._block)
            self._block.clear()

    def second(self, number: int) -> None:
        """Do what is done now and then: once a second, in 10 seconds, in a minute."""
        picture = self._pictures[number // 60 % len(self._pictures)]
        self._drift(Frame(picture, number, number, Fraction(1), self._clock()))
        self._readings.add(Reading(float(number), {"load_average": 1.0 + number}))
        if number % 10 == 0:
            self._tally.switch(1 - self._tally.number, "simulated")
        if number % 60 == 0:
            self._metrics.text()

    def read(self) -> None:
        """Ask for all there is, as a report or a page does."""
        self._ledger.snapshot()
        self._stages.summary()
        self._tally.use()
        self._drift.drift()
        self._track.measured()
        self._profiler.stages()
        self._profiler.moments("total")
        self._profiler.depths()


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


def most_bytes(
    hours: float,
    *,
    first_hours: float = 1.0,
    frames_per_second: int = FRAMES_PER_SECOND,
    look_every_seconds: int = 30,
) -> dict[str, tuple[int, int]]:
    """Return part -> the most bytes it held in the first hours, and the most it held after them.

    Small parts are looked at every so many seconds, large ones at the end of each first part.
    """
    clock = FakeClock()
    statistics = Statistics(clock)
    found = {part: [0, 0] for part in statistics.parts}
    first_seconds = round(first_hours * 3600)
    for second in range(1, round(hours * 3600) + 1):
        for number in range(frames_per_second):
            clock.advance(_NS_PER_SECOND // frames_per_second)
            statistics.note((second - 1) * frames_per_second + number)
        statistics.second(second)
        if second % first_seconds == 0:
            statistics.read()
            _look(statistics, found, _LARGE, after=second > first_seconds)
        if second % look_every_seconds == 0:
            small = [part for part in found if part not in _LARGE]
            _look(statistics, found, small, after=second > first_seconds)
    return {part: (first, later) for part, (first, later) in found.items()}


def _look(
    statistics: Statistics, found: dict[str, list[int]], parts: Iterable[str], *, after: bool
) -> None:
    for part in parts:
        found[part][after] = max(found[part][after], deep_bytes(statistics.parts[part]))
