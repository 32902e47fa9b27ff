"""The stopwatches: what starts, what stops, and nothing else between the two.

    direct      stamp, Restorer.restore, stamp -> copies; the engine's part of it -> engine
    streamed    run_stream on frames in memory, one under way at a time -> end_to_end

A turn begins with a frame that is not timed: the variant before has taken the caches, which costs
the first frame 5 to 10 % on a CPU and says nothing of a stream.

Shape letters: H height, W width, 3 channels in BGR order, bytes.
"""

import gc
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from crispstream.core.clock import Clock
from crispstream.core.pixels import Bytes
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.sinks.null import NullSink

from .memory_source import MemorySource, TotalTimes
from .pace import Pace
from .subjects import Benched

_ENGINE_STAGES = ("infer", "whole")


class Lap(NamedTuple):
    """One timed frame."""

    durations_ns: Mapping[str, int]
    """Scope -> how long."""
    ended_ns: int


@contextmanager
def collector_off() -> Iterator[None]:
    """Keep Python's garbage collector out of what is timed, as `timeit` does."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def direct_turn(
    restorer: Benched,
    frames: Sequence[Bytes],
    pace: Pace,
    clock: Clock,
    stop: threading.Event,
) -> list[Lap]:
    """Time `Restorer.restore` on all frames [H,W,3] but the first; fewer once `stop` is set.

    The engine's part comes from the same frames: from the device's own clock where the backend has
    one (TensorRT), elsewhere from the restorer's own stamps around submit and wait.
    """
    laps = []
    for number, frame_hwc in enumerate(frames):
        if stop.is_set() or not pace.wait():
            break
        engine_before_ns = _engine_ns(restorer)
        begun_ns = clock()
        restorer.restore(frame_hwc)
        ended_ns = clock()
        engine_ns = _engine_ns(restorer) - engine_before_ns
        if number:
            laps.append(Lap({"engine": engine_ns, "copies": ended_ns - begun_ns}, ended_ns))
    return laps


def streamed_turn(
    restorer: Benched,
    frames: Sequence[Bytes],
    pace: Pace,
    clock: Clock,
    stop: threading.Event,
) -> list[Lap]:
    """Time all frames [H,W,3] but the first from captured to written, in the stream's loop."""
    source = MemorySource(frames, pace, clock)
    times = TotalTimes(source.let_go)
    run_stream(source, restorer, NullSink(), clock=clock, stop=stop, latencies=times.made_for)
    return [Lap({"end_to_end": ended - begun}, ended) for begun, ended in times.stamps_ns[1:]]


def _engine_ns(restorer: Benched) -> int:
    """Return how long the engine has worked so far, of a frame in tiles on all of them."""
    on_device = restorer.device_latencies
    if on_device is None:
        return restorer.latencies["infer"].total_ns
    stages = (stage for stage in _ENGINE_STAGES if stage in on_device.stages)
    return sum(on_device[stage].total_ns for stage in stages)
