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
from crispstream.runtime.measure.gather import Gather, Timeline
from crispstream.runtime.stream.threads import STAGES

from .record import Depths

MOST_EVENTS = 100_000
"""Kept for a trace, the latest: about 11,000 frames, in 25 MB."""

FRAMES_KEPT = 8
"""Of a stream, for the layers of its network to be timed on."""

_DEPTH_UNIT_NS = 1_000_000
"""A frame that waits, as what gathers durations takes it: its milliseconds are frames."""

_MOVES = ("decode", "wait", "interval", "write_wait")
"""Stages that are told once a frame has come to a queue or has left one: captured, taken by the
restorer, restored, taken by an output."""


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
        waiting: samples of the queues, the latest; empty without `keeps_trace`.
        seen: how many events there were, kept or not.
    """

    def __init__(self, *, keeps_trace: bool = False, clock: Clock = monotonic_ns) -> None:
        """`keeps_trace` keeps each event, of which the histograms know no more."""
        # Plain tuples: Python's collector looks at each once, and at other objects for ever.
        self._events: deque[tuple[str, tuple[int, ...], int]] = deque(maxlen=MOST_EVENTS)
        self.waiting: deque[Waiting] = deque(maxlen=MOST_EVENTS // 4)
        self.seen = 0
        self._keeps_trace = keeps_trace
        self._clock = clock
        self._stages: dict[str, Gather] = {}
        self._ask_depths: Callable[[], Mapping[str, int]] = dict
        self._queues: dict[str, _Queue] = {}
        self._lock = threading.Lock()
        self._taken = -1
        self._inside: dict[str, deque[int]] = {"infer": deque(), "copy_out": deque()}

    def watch_queues(self, ask: Callable[[], Mapping[str, int]]) -> None:
        """Ask this, place -> frames that wait, whenever a frame has come or gone."""
        self._ask_depths = ask

    def latencies(self, stages: Sequence[str]) -> Latencies:
        """Return what `run_stream` and a restorer record these stages in.

        Asked again for the same, as for a second output, it gives what nobody watches.
        """
        if not self._stages.keys().isdisjoint(stages):
            return Latencies(stages)
        mine = {stage: Gather(clock=self._clock) for stage in stages if stage in STAGES}
        self._stages |= mine
        return _Watched(stages, mine, self._take)

    def _take(self, stage: str, stamps_ns: tuple[int, ...], serial: int) -> None:
        """Take note of one stage of one frame; each stage is told by one thread."""
        self.seen += 1
        if self._keeps_trace:
            self._events.append((stage, stamps_ns, self._named(stage, serial)))
        if stage in _MOVES:
            self._sample()

    def _named(self, stage: str, serial: int) -> int:
        """Return the serial of a frame also for the restorer's stages, which do not know it.

        It works on frames in the order they were taken, and one that was skipped never gets as far
        as `copy_in`. All of these are told by one thread.
        """
        if stage == "wait":
            self._taken = serial
        elif stage == "copy_in":
            serial = self._taken
            for waiting in self._inside.values():
                waiting.append(serial)
        elif stage in self._inside:
            waiting = self._inside[stage]
            serial = waiting.popleft() if waiting else -1
        return serial

    def _sample(self) -> None:
        with self._lock:
            at_ns, depths = self._clock(), self._ask_depths()
            for name, depth in depths.items():
                queue = self._queues.get(name)
                if queue is None:
                    queue = self._queues[name] = _Queue(at_ns)
                queue.see(depth, at_ns)
            if self._keeps_trace:
                self.waiting.append(Waiting(at_ns, depths))

    @property
    def left_out(self) -> int:
        """How many events were not kept, or not any more."""
        return max(0, self.seen - len(self._events))

    @property
    def events(self) -> list[Event]:
        """The latest, in the order they were told; empty without `keeps_trace`."""
        return [Event(*kept) for kept in self._events]

    def stages(self) -> dict[str, Spread]:
        """Return the times of the stages that were recorded, in the order a frame meets them."""
        there = (name for name in STAGES if name in self._stages)
        return {name: self._stages[name].spread() for name in there if self._stages[name].count}

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
    """Histograms that are a profiler's, and tell it of each span."""

    def __init__(
        self,
        stages: Sequence[str],
        gathers: Mapping[str, Gather],
        take: Callable[[str, tuple[int, ...], int], None],
    ) -> None:
        super().__init__(stages)
        self._histograms |= {stage: gather.histogram for stage, gather in gathers.items()}
        self._gathers = gathers
        self._take = take

    def span(
        self, stage: str, begin_ns: int, end_ns: int, /, *more_ns: int, serial: int = -1
    ) -> None:
        gather = self._gathers.get(stage)
        if gather is None:  # the time between two frames is no stage of one
            super().span(stage, begin_ns, end_ns, *more_ns)
        else:
            more = sum(more_ns[1::2]) - sum(more_ns[::2]) if more_ns else 0
            gather.record(end_ns - begin_ns + more, more_ns[-1] if more_ns else end_ns)
        self._take(stage, (begin_ns, end_ns, *more_ns), serial)


class _Queue:
    """How many frames waited at one place: the mean over time, the most, and the course."""

    def __init__(self, at_ns: int) -> None:
        self._course = Timeline(at_ns)
        self._begun_ns = self._at_ns = at_ns
        self._depth = self._most = 0
        self._frame_ns = 0

    def see(self, depth: int, at_ns: int) -> None:
        self._frame_ns += self._depth * (at_ns - self._at_ns)
        self._at_ns, self._depth = at_ns, depth
        self._most = max(self._most, depth)
        self._course.record(depth * _DEPTH_UNIT_NS, at_ns)

    def depths(self, name: str) -> Depths:
        span_ns = self._at_ns - self._begun_ns
        mean = self._frame_ns / span_ns if span_ns else float(self._depth)
        return Depths(name, mean, self._most, self._course.moments())
