"""The life of a frame: source -> slot -> restorer -> bounded queue -> sink, on three threads.

    capture thread      caller's thread                     writer thread
    source -> frame  => submit, collect -> restored frame => sink

One clock stamps every step. Whichever stage fails, the others stop, the output is finished as
far as it came, the threads are joined, and the caller gets that stage's error.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies

from .outcome import StreamReport as StreamReport
from .sink import Sink
from .slot import Slot
from .source import Source

STAGES = ("decode", "wait", "copy_in", "infer", "copy_out", "write_wait", "write", "total")
"""In the order a frame meets them; `total` runs from captured to written."""

_RESTORER_STAGES = ("copy_in", "infer", "copy_out")
_WAITING_FRAMES = 2
"""Depth of the slot under `all`: one in hand for the engine, one for a slow decode."""


class FrameRestorer(Protocol):
    """What the loop needs of a restorer; `runtime.restorer.Restorer` is the real one."""

    latencies: Latencies
    frames_in_flight: int

    @property
    def in_flight(self) -> int:
        """Frames submitted and not collected."""

    def submit(self, frame_hwc: npt.NDArray[np.uint8]) -> None:
        """Copy a frame in and start work on it."""

    def collect(self) -> npt.NDArray[np.uint8]:
        """Return the oldest frame, valid for `frames_in_flight` further submits."""


def run_stream(
    source: Source,
    restorer: FrameRestorer,
    sink: Sink,
    *,
    policy: str = "all",
    clock: Clock = monotonic_ns,
    on_frame: Callable[[int, Latencies], None] | None = None,
    stop: threading.Event | None = None,
    limit: int | None = None,
    in_flight: int = 1,
    watch: Callable[[Frame], None] | None = None,
) -> StreamReport:
    """Restore a stream to its end and close the sink; source and restorer stay the caller's.

    Args:
        source: read by a thread of its own.
        restorer: used by the calling thread only.
        sink: written and closed by a thread of its own.
        policy: `all` (files: nothing lost) or `latest` (live: newest wins); see `slot`.
        clock: stamps every step; the source's should be the same.
        on_frame: called by the writer after each frame with the count and the latencies so far.
        stop: set it, from a signal handler for instance, to finish after the frames in hand.
        limit: frames to restore at most.
        in_flight: frames to keep inside the restorer. 1 is right where `submit` does the work
            itself (CPU); 2 overlaps copies with the work of a device, for a frame of delay.
        watch: called by the calling thread with each frame once it is submitted, and with
            in_flight 1 restored and handed on, so that it holds up the next frame at most.

    Raises:
        CrispstreamError: what a stage raised, after the output was finished as far as it came.
        UsageError: for an unknown policy, or an `in_flight` the restorer does not allow.
    """
    if not 1 <= in_flight <= restorer.frames_in_flight:
        raise UsageError(
            f"in_flight is {in_flight}, the restorer was opened for 1 to "
            f"{restorer.frames_in_flight}; open it with more frames_in_flight"
        )
    options = _Options(policy, clock, on_frame, stop or threading.Event(), limit, in_flight, watch)
    return _Run(source, restorer, sink, options).run()


@dataclass(frozen=True)
class _Options:
    policy: str
    clock: Clock
    on_frame: Callable[[int, Latencies], None] | None
    stop: threading.Event
    limit: int | None
    in_flight: int
    watch: Callable[[Frame], None] | None


@dataclass(frozen=True)
class _Restored:
    frame: Frame
    restored_hwc: npt.NDArray[np.uint8]
    collected_ns: int


class _Run:
    """The state of one run; three threads share it."""

    def __init__(
        self,
        source: Source,
        restorer: FrameRestorer,
        sink: Sink,
        options: "_Options",
    ) -> None:
        self._source = source
        self._restorer = restorer
        self._sink = sink
        self._options = options
        self._clock = options.clock
        self._captured: Slot[Frame] = Slot(options.policy, _WAITING_FRAMES)
        self._queue: Slot[_Restored] = Slot("all", restorer.frames_in_flight)
        self._latencies = Latencies([name for name in STAGES if name not in _RESTORER_STAGES])
        self._errors: list[BaseException] = []
        self._source_ended = False
        self._complete = False
        self._submits = 0
        self._frames = 0
        self._first_frame_ns = 0
        self._begun_ns = 0
        # `last_submit` of each frame the sink still needs, oldest first.
        self._unwritten: deque[int] = deque()
        self._written = threading.Condition()

    def run(self) -> StreamReport:
        self._begun_ns = self._clock()
        cpu_begun = time.process_time()
        threads = [
            threading.Thread(target=self._guarded, args=(stage,), name=name)
            for name, stage in (("capture", self._capture), ("writer", self._write))
        ]
        try:
            for thread in threads:
                thread.start()
            self._guarded(self._restore)
            for thread in threads:
                thread.join()
        except BaseException:  # an interrupt; it may come while the writer still works
            self._abandon(threads)
            raise
        if self._errors:
            raise self._errors[0]
        return self._report(time.process_time() - cpu_begun)

    def _abandon(self, threads: list[threading.Thread]) -> None:
        """Let the threads end after the frame in hand, and wait for them."""
        self._complete = False
        self._captured.cancel()
        self._queue.cancel()
        for thread in threads:
            if thread.ident is not None:
                thread.join()

    def _guarded(self, stage: Callable[[], None]) -> None:
        """Run a stage; keep its error for the caller, since a thread cannot raise there."""
        try:
            stage()
        except BaseException as error:  # noqa: BLE001
            self._errors.append(error)

    def _capture(self) -> None:
        """Read the source; what it gave before it broke is still restored."""
        try:
            asked_ns = self._clock()
            for frame in self._source:
                self._latencies.record("decode", max(0, frame.captured_ns - asked_ns))
                if self._options.stop.is_set() or not self._captured.put(frame):
                    return
                asked_ns = self._clock()
            self._source_ended = True
        finally:
            self._captured.end()

    def _restore(self) -> None:
        """Move frames through the restorer; the caller's thread."""
        pending: deque[Frame] = deque()
        try:
            while not self._limit_reached() and (frame := self._captured.get()) is not None:
                self._latencies.record("wait", max(0, self._clock() - frame.captured_ns))
                if not self._wait_until_free():
                    return
                self._restorer.submit(frame.pixels_hwc)
                self._submits += 1
                pending.append(frame)
                if len(pending) >= self._options.in_flight:
                    self._hand_over(pending.popleft())
                if self._options.watch is not None:
                    self._options.watch(frame)
            while pending:
                self._hand_over(pending.popleft())
            self._complete = self._source_ended and not self._limit_reached()
        finally:
            self._captured.cancel()
            self._queue.end()

    def _limit_reached(self) -> bool:
        return self._options.limit is not None and self._submits >= self._options.limit

    def _wait_until_free(self) -> bool:
        """Wait until the next submit overwrites nothing the sink needs; False if it failed."""
        with self._written:
            while self._unwritten and self._unwritten[0] <= self._submits:
                self._written.wait()
        return not self._queue.cancelled

    def _hand_over(self, frame: Frame) -> None:
        restored_hwc = self._restorer.collect()
        with self._written:
            self._unwritten.append(self._submits + self._restorer.frames_in_flight)
        self._queue.put(_Restored(frame, restored_hwc, self._clock()))

    def _write(self) -> None:
        """Feed the sink and finish it, whatever happens."""
        try:
            while (restored := self._queue.get()) is not None:
                self._write_one(restored)
        except BaseException:
            with contextlib.suppress(SinkError):  # the first failure is the one to report
                self._sink.close(complete=False)
            raise
        else:
            self._sink.close(complete=self._complete)
        finally:
            self._captured.cancel()
            self._queue.cancel()
            self._release(everything=True)

    def _write_one(self, restored: _Restored) -> None:
        taken_ns = self._clock()
        self._sink.write(restored.frame, restored.restored_hwc)
        written_ns = self._clock()
        self._release(everything=False)
        if self._frames == 0:
            self._first_frame_ns = written_ns
        self._frames += 1
        self._latencies.record("write_wait", max(0, taken_ns - restored.collected_ns))
        self._latencies.record("write", written_ns - taken_ns)
        self._latencies.record("total", max(0, written_ns - restored.frame.captured_ns))
        if self._options.on_frame is not None:
            self._options.on_frame(self._frames, self._latencies)

    def _release(self, *, everything: bool) -> None:
        with self._written:
            if everything:
                self._unwritten.clear()
            else:
                self._unwritten.popleft()
            self._written.notify_all()

    def _report(self, cpu_seconds: float) -> StreamReport:
        elapsed_seconds = (self._clock() - self._begun_ns) / 1e9
        measured = {**self._latencies.summary(), **self._restorer.latencies.summary()}
        captured = self._captured.statistics()
        return StreamReport(
            frames=self._frames,
            dropped=captured.dropped,
            damaged=self._source.damaged,
            stopped=self._options.stop.is_set(),
            elapsed_seconds=elapsed_seconds,
            frames_per_second=self._frames / elapsed_seconds if elapsed_seconds > 0 else 0.0,
            first_frame_ms=(self._first_frame_ns - self._begun_ns) / 1e6 if self._frames else 0.0,
            cpu_seconds=cpu_seconds,
            latencies={stage: measured[stage] for stage in STAGES if stage in measured},
            peak_depths={
                "slot": captured.peak_depth,
                "queue": self._queue.statistics().peak_depth,
            },
            histograms=(self._latencies, self._restorer.latencies),
        )
