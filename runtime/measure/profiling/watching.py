"""Watching a stream run: every stage's times and the queues, and with a trace each single one.

    profiler = Profiler()
    run_stream(..., ledger=ledger, latencies=profiler.latencies)

The loop tells the times of its stages to whatever it was given; without a profiler that is plain
histograms, and nothing here runs.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.figures import Moment, Spread
from crispstream.runtime.measure.gather import Gather
from crispstream.runtime.stream.threads import STAGES

from .record import Depths

MOST_EVENTS = 200_000
"""Kept for a trace, the latest: about 25,000 frames, and 50 MB."""

FRAMES_KEPT = 8
"""Of a stream, for the layers of its network to be timed on."""

_DEPTH_UNIT_NS = 1_000_000
"""A frame that waits, as what gathers durations takes it: its milliseconds are frames."""

_MOVES = ("decode", "wait", "write_wait", "write")
"""Stages at whose end a frame comes to a queue or leaves one."""


class Event(NamedTuple):
    """One stage of one frame."""

    stage: str
    stamps_ns: tuple[int, ...]
    """Pairs of begin and end."""
    serial: int
    """Of the frame; -1 where the stage does not know it."""


class Waiting(NamedTuple):
    """How many frames waited, from this moment on."""

    at_ns: int
    depths: Mapping[str, int]


class Profiler:
    """Takes what the stages of a stream tell; they may tell it from several threads.

    Attributes:
        events: the latest, in the order they ended; empty without `keeps_trace`.
        waiting: samples of the queues, likewise.
        seen: how many events there were, kept or not.
    """

    def __init__(self, *, keeps_trace: bool = False, clock: Clock = monotonic_ns) -> None:
        """`keeps_trace` keeps each event, of which the histograms know no more."""
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self.waiting: deque[Waiting] = deque(maxlen=MOST_EVENTS // 4)
        self.seen = 0
        self._keeps_trace = keeps_trace
        self._clock = clock
        self._stages: dict[str, Gather] = {}
        self._ask_depths: Callable[[], Mapping[str, int]] = dict
        self._queues: dict[str, _Queue] = {}
        self._lock = threading.Lock()

    def watch_queues(self, ask: Callable[[], Mapping[str, int]]) -> None:
        """Ask this, place -> frames that wait, whenever a frame has come or gone."""
        self._ask_depths = ask

    def latencies(self, stages: Sequence[str]) -> Latencies:
        """Return what `run_stream` and a restorer record these stages in.

        Asked again for the same, as for a second output, it gives what nobody watches.
        """
        if not self._stages.keys().isdisjoint(stages):
            return Latencies(stages)
        for stage in stages:
            self._stages[stage] = Gather(clock=self._clock)
        return _Watched(stages, self._take)

    def _take(self, stage: str, stamps_ns: tuple[int, ...], serial: int) -> None:
        """Keep one stage of one frame; each stage is told by one thread."""
        self.seen += 1
        duration_ns = sum(stamps_ns[1::2]) - sum(stamps_ns[::2])
        self._stages[stage].record(duration_ns, stamps_ns[-1])
        if self._keeps_trace:
            self.events.append(Event(stage, stamps_ns, serial))
        if stage in _MOVES:
            self._sample(stamps_ns[-1])

    def _sample(self, at_ns: int) -> None:
        depths = self._ask_depths()
        with self._lock:
            for name, depth in depths.items():
                queue = self._queues.get(name)
                if queue is None:
                    queue = self._queues[name] = _Queue(at_ns, self._clock)
                queue.see(depth, at_ns)
            if self._keeps_trace:
                self.waiting.append(Waiting(at_ns, depths))

    def stages(self) -> dict[str, Spread]:
        """Return the times of the stages that were recorded, in the order a frame meets them."""
        names = sorted(self._stages, key=lambda name: (*STAGES, name).index(name))
        return {name: self._stages[name].spread() for name in names if self._stages[name].count}

    def moments(self, stage: str) -> tuple[Moment, ...]:
        """Return a stage over the run; () where it was not recorded."""
        kept = self._stages.get(stage)
        return kept.moments() if kept is not None and kept.count else ()

    def depths(self) -> tuple[Depths, ...]:
        """Return how many frames waited."""
        with self._lock:
            return tuple(queue.depths(name) for name, queue in self._queues.items())


class FirstFrames:
    """Keeps copies of the first few frames of a stream; give it to `run_stream` as `watch`.

    Attributes:
        frames: those, [H,W,3].
    """

    def __init__(self) -> None:
        """Start with none."""
        self.frames: list[Bytes] = []

    def __call__(self, frame: Frame) -> None:
        """Keep a frame, if there are not enough."""
        if len(self.frames) < FRAMES_KEPT:
            self.frames.append(frame.pixels_hwc.copy())


class _Watched(Latencies):
    """Histograms that also tell a profiler of each span."""

    def __init__(
        self, stages: Sequence[str], take: Callable[[str, tuple[int, ...], int], None]
    ) -> None:
        super().__init__(stages)
        self._take = take

    def span(self, stage: str, *stamps_ns: int, serial: int = -1) -> None:
        super().span(stage, *stamps_ns)
        self._take(stage, stamps_ns, serial)


class _Queue:
    """How many frames waited at one place: the mean over time, the most, and the course."""

    def __init__(self, at_ns: int, clock: Clock) -> None:
        self._course = Gather(clock=clock)
        self._begun_ns = self._at_ns = at_ns
        self._depth = self._most = 0
        self._frame_ns = 0

    def see(self, depth: int, at_ns: int) -> None:
        # Threads stamp first and come here later, so that one may come after a later stamp.
        at_ns = max(at_ns, self._at_ns)
        self._frame_ns += self._depth * (at_ns - self._at_ns)
        self._at_ns, self._depth = at_ns, depth
        self._most = max(self._most, depth)
        self._course.record(depth * _DEPTH_UNIT_NS, at_ns)

    def depths(self, name: str) -> Depths:
        span_ns = self._at_ns - self._begun_ns
        mean = self._frame_ns / span_ns if span_ns else float(self._depth)
        return Depths(name, mean, self._most, self._course.moments())
