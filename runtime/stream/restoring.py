"""The middle of the loop: frames from the slot through the restorer to the outlets, one thread."""

import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from crispstream.core.clock import Clock
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies

from .ledger import Ledger
from .outlet import Outlet, Restored
from .slot import Slot

STAGES = ("wait", "interval")
_NEWEST_SHARE = 0.2
"""Of the latest frame in the running mean of service times."""
_BELIEF = 0.9
_ANY_SUBMIT = sys.maxsize
_JITTER_SHARE = 1 / 16
"""RFC 3550, section 6.4.1."""


class FrameRestorer(Protocol):
    """What the loop needs of a restorer; `runtime.restorer.Restorer` is the real one."""

    latencies: Latencies
    frames_in_flight: int

    @property
    def rung(self) -> str:
        """What restored the frame collected last, as `model precision`."""

    @property
    def in_flight(self) -> int:
        """Frames submitted and not collected."""

    def submit(self, frame_hwc: Bytes) -> None:
        """Copy a frame in and start work on it; of a new size only while none is in flight."""

    def collect(self) -> Bytes:
        """Return the oldest frame, valid for `frames_in_flight` further submits."""

    def reset(self) -> None:
        """Forget the frames before; called while none is in flight."""


class Restoring:
    """Moves frames until the slot ends."""

    def __init__(
        self,
        restorer: FrameRestorer,
        captured: Slot[Frame],
        outlets: Sequence[Outlet],
        ledger: Ledger,
        *,
        clock: Clock,
        skips_late: bool,
        limit: int | None,
        in_flight: int,
        stopping: Callable[[], bool],
        on_frame: Callable[[int, Latencies], None] | None,
        watch: Callable[[Frame], None] | None,
        is_cut: Callable[[Bytes], bool] | None,
        on_outcome: Callable[[int, bool], None] | None,
        latencies: Latencies,
    ) -> None:
        """`run_stream` tells what the arguments mean; `stopping` is asked while no frame comes.

        `latencies` takes the stages of `STAGES`.
        """
        self.jitter_ms = 0.0
        self._restorer = restorer
        self._captured = captured
        self._outlets = outlets
        self._ledger = ledger
        self._clock = clock
        self._skips_late = skips_late
        self._limit = limit
        self._in_flight = in_flight
        self._stopping = stopping
        self._on_frame = on_frame
        self._watch = watch
        self._is_cut = is_cut
        self._on_outcome = on_outcome
        self._latencies = latencies
        self._pending: deque[tuple[Frame, int]] = deque()  # with the time it was taken
        self._shape: tuple[int, ...] = ()
        self._submits = 0
        self._collected = 0
        self._service_ns = 0.0
        self._before: tuple[int, Frame] | None = None
        self._in_hand = 0  # taken, and neither restored nor skipped
        self._fresh_skipped = False

    @property
    def histograms(self) -> tuple[Latencies, ...]:
        """The distributions of the restorer's stages and of those here."""
        return (self._latencies, self._restorer.latencies)

    @property
    def limit_reached(self) -> bool:
        """Whether as many frames were taken as were asked for."""
        return self._limit is not None and self._submits >= self._limit

    def run(self) -> None:
        """Restore what the slot gives, and then what is in flight."""
        try:
            while not self.limit_reached and (frame := self._captured.get(self._stopping)):
                self._in_hand += 1
                taken_ns = self._clock()
                captured_ns = min(frame.captured_ns, taken_ns)
                self._latencies.span("wait", captured_ns, taken_ns, serial=frame.serial)
                if not self._skipped(frame, taken_ns):
                    self._take(frame, taken_ns)
                if self._captured.cancelled:
                    return
            self._drain()
        finally:
            self._ledger.drop("stop", self._in_hand)

    def _take(self, frame: Frame, taken_ns: int) -> None:
        self._start_over_if_need_be(frame)
        for outlet in self._outlets:
            outlet.wait_until_free(self._submits)
        if self._captured.cancelled:
            return
        self._restorer.submit(frame.pixels_hwc)
        self._submits += 1
        self._pending.append((frame, taken_ns))
        if len(self._pending) >= self._in_flight:
            self._hand_over()
        if self._watch is not None:
            self._watch(frame)

    def _skipped(self, frame: Frame, taken_ns: int) -> bool:
        """Skip a frame that waited too long, if a fresh one could be in time."""
        budget_ms = self._ledger.budget_ms
        if not self._skips_late or budget_ms is None:
            return False
        age_ns, budget_ns = taken_ns - frame.captured_ns, budget_ms * 1e6
        if self._service_ns > budget_ns or age_ns + self._service_ns <= budget_ns:
            return False
        self._ledger.drop("deadline")
        self._in_hand -= 1
        self._fresh_skipped |= frame.fresh
        # What one slow frame suggested is believed less each time, or it could skip for ever.
        self._service_ns *= _BELIEF
        if self._on_outcome is not None:
            self._on_outcome(age_ns, True)
        return True

    def _start_over_if_need_be(self, frame: Frame) -> None:
        """Before a new size or scene, finish what is in flight; a new scene forgets the old."""
        shape = frame.pixels_hwc.shape
        if shape != self._shape:
            self._drain()
            for outlet in self._outlets:  # a ladder tries its rungs out at a new size
                outlet.wait_until_free(_ANY_SUBMIT)
            self._shape = shape
        cut = self._is_cut is not None and self._is_cut(frame.pixels_hwc)
        if frame.fresh or self._fresh_skipped or cut:
            self._fresh_skipped = False
            self._drain()
            self._restorer.reset()

    def _drain(self) -> None:
        while self._pending:
            self._hand_over()

    def _hand_over(self) -> None:
        frame, taken_ns = self._pending.popleft()
        restored_hwc = self._restorer.collect()
        now_ns = self._clock()
        self._collected += 1
        valid_until = self._submits + self._restorer.frames_in_flight
        restored = Restored(frame, restored_hwc, now_ns, valid_until)
        for outlet in self._outlets:  # first of all: the frame does not wait for the books
            outlet.offer(restored)
        self._note(frame, taken_ns, now_ns)
        if self._on_frame is not None:
            self._on_frame(self._collected, self._shown())

    def _shown(self) -> Latencies:
        return self._outlets[0].latencies if self._outlets else self._latencies

    def _note(self, frame: Frame, taken_ns: int, now_ns: int) -> None:
        age_ns = now_ns - frame.captured_ns
        self._in_hand -= 1
        in_time = self._ledger.restore(age_ns, self._restorer.rung)
        service_ns = now_ns - taken_ns
        if self._service_ns:
            service_ns = round(self._service_ns + _NEWEST_SHARE * (service_ns - self._service_ns))
        self._service_ns = service_ns
        if self._on_outcome is not None:
            self._on_outcome(age_ns, not in_time)
        self._note_interval(frame, now_ns)

    def _note_interval(self, frame: Frame, now_ns: int) -> None:
        """Compare the time since the frame before with the one between their own times."""
        if self._before is not None:
            before_ns, before = self._before
            self._latencies.span("interval", before_ns, now_ns, serial=frame.serial)
            shown_apart_ms = float((frame.pts - before.pts) * frame.time_base) * 1e3
            uneven_ms = abs((now_ns - before_ns) / 1e6 - shown_apart_ms)
            self.jitter_ms += (uneven_ms - self.jitter_ms) * _JITTER_SHARE
        self._before = now_ns, frame
