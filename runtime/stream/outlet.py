"""The way to one sink: a bounded queue and a thread of its own, so that no sink holds up another.

A lossless outlet gives its sink the restorer's own arrays, and makes the restorer wait while the
queue is full or an array is still needed. Any other copies each frame first, on its own thread,
and lets frames go that the sink is too slow for: neither the restorer nor another sink waits.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from crispstream.core.clock import Clock
from crispstream.core.errors import SinkError
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies

from .fit import Fit
from .outcome import SinkOutcome
from .sink import Sink

STAGES = ("write_wait", "write", "total")
_LOOK_UP_SECONDS = 0.1
_PATIENCE_SECONDS = 10.0
"""How long the end of a sink is waited for where something live came in."""


class Restored(NamedTuple):
    """A restored frame on its way to the sinks."""

    frame: Frame
    restored_hwc: Bytes
    restored_ns: int
    valid_until: int
    """The number of the submit that overwrites `restored_hwc`."""


class Outlet:
    """Hands restored frames to a sink; offered by one thread, written by its own."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        size: tuple[int, int],
        *,
        depth: int,
        lossless: bool,
        patient: bool,
        clock: Clock,
        stopping: Callable[[], bool],
        on_failure: Callable[[], None],
        latencies: Latencies,
    ) -> None:
        """Take ownership of a sink.

        Args:
            name: of the sink in reports, without credentials.
            sink: written and closed by the outlet's thread.
            size: (width, height) of the pictures the sink expects.
            depth: frames that may wait.
            lossless: whether `offer` waits when that many do.
            patient: whether the end of a run waits however long the sink takes.
            clock: stamps the steps.
            stopping: whether the run is to end.
            on_failure: called by the outlet's thread when the sink failed.
            latencies: takes the stages of `STAGES`.
        """
        self.name = name
        self.lossless = lossless
        self.latencies = latencies
        self.error: BaseException | None = None
        self.first_written_ns: int | None = None
        self._sink = sink
        self._fit = Fit(*size)
        self._depth = depth
        self._patient = patient
        self._clock = clock
        self._stopping = stopping
        self._on_failure = on_failure
        self._gives_up_at: float | None = None
        self._waiting: deque[Restored] = deque()
        self._held: Restored | None = None  # whose array the writer's thread is reading
        self._copy: Bytes | None = None
        self._changed = threading.Condition()
        self._ended = self._complete = False
        self._written = self._dropped = self._peak = self._in_hand = 0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Let the thread begin."""
        self._thread.start()

    def offer(self, restored: Restored) -> None:
        """Hand a frame over: wait for room, or make some; after a failure it is let go."""
        with self._changed:
            while self.lossless and self._full() and self.error is None and not self._ended:
                self._wait()
            if self.error is not None or self._ended:
                self._dropped += 1
                return
            if self._full():
                self._let_oldest_go()
            self._waiting.append(restored)
            self._peak = max(self._peak, len(self._waiting))
            self._changed.notify_all()

    def _full(self) -> bool:
        return len(self._waiting) >= self._depth

    def _let_oldest_go(self) -> None:
        self._waiting.popleft()
        self._dropped += 1

    def wait_until_free(self, submit: int) -> None:
        """Make sure that this submit overwrites nothing the sink still needs.

        A lossless outlet waits for its sink; any other for a copy at most.
        """
        with self._changed:
            while self._needs(submit) and self.error is None:
                self._wait()

    def _wait(self) -> None:
        """Wait a moment; a run that is to end gives up a sink that hangs."""
        self._changed.wait(_LOOK_UP_SECONDS)
        if self._patient or not self._stopping():
            return
        now = time.monotonic()
        if self._gives_up_at is None:
            self._gives_up_at = now + _PATIENCE_SECONDS
        elif now >= self._gives_up_at:
            self._leave_behind()

    def _leave_behind(self) -> None:
        """Count what the sink did not take as lost; the lock is held."""
        self.error = SinkError(
            f"'{self.name}' did not finish within {_PATIENCE_SECONDS:.0f} s and was left "
            "behind; check what it writes to"
        )
        self._lose_rest()

    def _lose_rest(self) -> None:
        self._dropped += len(self._waiting) + self._in_hand
        self._in_hand = 0
        self._waiting.clear()
        self._held = None

    def _needs(self, submit: int) -> bool:
        if self._held is not None and self._held.valid_until <= submit:
            return True
        if self.lossless:
            return bool(self._waiting) and self._waiting[0].valid_until <= submit
        while self._waiting and self._waiting[0].valid_until <= submit:
            self._let_oldest_go()
        return False

    def end(self, *, complete: bool) -> None:
        """Tell that no more frames come; those waiting are still written."""
        with self._changed:
            self._complete = complete
            self._ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Tell that no more frames come, and let go of those waiting."""
        with self._changed:
            self._dropped += len(self._waiting)
            self._waiting.clear()
        self.end(complete=False)

    def join(self) -> None:
        """Wait for the sink to finish; an outlet without patience gives it up after a while."""
        if self._thread.ident is None:
            return
        with self._changed:
            seconds = None if self._patient else 0 if self.error else _PATIENCE_SECONDS
        self._thread.join(seconds)
        with self._changed:
            if self._thread.is_alive() and self.error is None:
                self._leave_behind()

    @property
    def depth(self) -> int:
        """Frames that wait now."""
        return len(self._waiting)

    @property
    def lost(self) -> int:
        """Frames the sink did not get, or could not deliver."""
        return self._dropped + self._sink.lost

    def outcome(self) -> SinkOutcome:
        """Return what became of the frames; final once joined."""
        with self._changed:
            return SinkOutcome(
                name=self.name,
                written=self._written - self._sink.lost,
                dropped=self.lost,
                peak_depth=self._peak,
                error="" if self.error is None else str(self.error),
                latencies=self.latencies.summary(),
                figures=dict(self._sink.figures()),
            )

    def _run(self) -> None:
        try:
            while (restored := self._next()) is not None:
                self._write(restored)
        except BaseException as error:  # noqa: BLE001 - kept for the caller
            self._fail(error)
            with contextlib.suppress(SinkError):  # the first failure is the one to report
                self._sink.close(complete=False)
            return
        try:
            self._sink.close(complete=self._complete)
        except BaseException as error:  # noqa: BLE001
            self._fail(error)

    def _next(self) -> Restored | None:
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            if not self._waiting:
                return None
            self._held = self._waiting.popleft()
            self._in_hand = 1
            self._changed.notify_all()
            return self._held

    def _write(self, restored: Restored) -> None:
        taken_ns = self._clock()
        frame, restored_hwc = restored.frame, restored.restored_hwc
        begun_ns = min(restored.restored_ns, taken_ns)
        self.latencies.span("write_wait", begun_ns, taken_ns, serial=frame.serial)
        if not self.lossless:
            restored_hwc = self._copied(restored_hwc)
            self._release()
        self._sink.write(frame, self._fit(restored_hwc))
        written_ns = self._clock()
        if self.first_written_ns is None:
            self.first_written_ns = written_ns
        self.latencies.span("write", taken_ns, written_ns, serial=frame.serial)
        captured_ns = min(frame.captured_ns, written_ns)
        self.latencies.span("total", captured_ns, written_ns, serial=frame.serial)
        with self._changed:
            self._written += self._in_hand  # 0 if it was left behind, and counted as lost
            self._in_hand = 0
        self._release()

    def _copied(self, restored_hwc: Bytes) -> Bytes:
        if self._copy is None or self._copy.shape != restored_hwc.shape:
            self._copy = np.empty(restored_hwc.shape, np.uint8)
        np.copyto(self._copy, restored_hwc)
        return self._copy

    def _release(self) -> None:
        with self._changed:
            self._held = None
            self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self.error = self.error or error
            self._lose_rest()
            self._changed.notify_all()
        self._on_failure()
