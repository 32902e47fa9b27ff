"""Several restorers of one stream, best first: the best that the deadline allows is in charge.

A change of rung costs no frame: those in flight are collected from the rung they are in, in
order, while new ones go to the other, which is open, allocated and warm. When to change is
decided in `climb`; `rungs.open_ladder` makes a ladder of names.
"""

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import FrameError, UsageError
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame, check_frame

from .climb import Controller, Outcome, worthwhile
from .costs import Rung as Rung
from .costs import measured_ns
from .pace import Pace
from .use import LadderUse as LadderUse
from .use import Tally

_log = logging.getLogger("crispstream.stream")


class _Pending(NamedTuple):
    """A frame in flight: which rung has it, and how long submitting it took."""

    number: int
    submit_ns: int


class Ladder:
    """A `FrameRestorer` made of several, which it owns; the loop's `on_outcome` is `observe`.

    A rung is judged by its service time: how long `submit` and `collect` hold the caller up.
    Where frames overlap on a device that is less than all a frame takes; a climb that looked
    cheaper than it is then fails, and is tried again ever more rarely.

    Not for several threads at once: one submits, collects and observes; any may ask for `use`.

    Attributes:
        rung: what restored the frame collected last; before the first, what will.
        frames_in_flight: how many frames `submit` takes before `collect` must be called.
        latencies: of all rungs together, which write into one; measuring is not counted.
        budget_ms: from capture to restored.
        recurrent: whether frames of any rung depend on those before.
        restorers: the rungs, best first.
    """

    def __init__(
        self, restorers: Sequence[Rung], budget_ms: float, *, clock: Clock = monotonic_ns
    ) -> None:
        """Take ownership of open restorers, best first.

        Raises:
            UsageError: if there are none, two have the same name, or the budget is not positive.
        """
        names = [restorer.rung for restorer in restorers]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"the rungs are {', '.join(names) or 'none'}; name each one once")
        if not budget_ms > 0:
            raise UsageError(f"the budget is {budget_ms:g} ms; give more than 0, such as 33")
        self.rung = names[0]
        self.frames_in_flight = min(restorer.frames_in_flight for restorer in restorers)
        self.latencies = restorers[0].latencies
        self.budget_ms = budget_ms
        self.recurrent = any(restorer.recurrent for restorer in restorers)
        self.restorers = tuple(restorers)
        for restorer in restorers:
            restorer.latencies = self.latencies
        self._names = names
        self._clock = clock
        self._used = list(range(len(names)))
        self._tally = Tally(names, budget_ms)
        self._pace = Pace()
        self._announced = False
        self._interval_ns: int | None = None
        self._controller: Controller | None = None
        self._shape: tuple[int, ...] = ()
        self._pending: deque[_Pending] = deque()
        self._served: tuple[int, int] | None = None
        self._why_change = ""
        self._warned = False

    @property
    def in_flight(self) -> int:
        """How many frames are submitted and not yet collected, whatever the rung."""
        return len(self._pending)

    @property
    def why(self) -> str:
        """One line: the rungs in use, those left out, and what runs the best one."""
        used = ", ".join(self._names[number] for number in self._used)
        idle = [name for number, name in enumerate(self._names) if number not in self._used]
        left_out = f" (left out, as slow as a better one: {', '.join(idle)})" if idle else ""
        return f"{used} within {self.budget_ms:g} ms{left_out}; {self.restorers[0].why}"

    def use(self) -> LadderUse:
        """Return what each rung did so far."""
        return self._tally.use()

    def keep_up_with(self, frames_per_second: float | None) -> None:
        """Tell how fast frames come, where none may be lost however long the budget is.

        A rung that takes longer than from one frame to the next then counts as missing. None
        where the source waits, as a file does, and where nobody knows; see `watch`.
        """
        self._announced = frames_per_second is not None
        self._keep_to(round(1e9 / frames_per_second) if frames_per_second else None)

    def watch(self, frame: Frame) -> None:
        """Look at a frame of a live source, to learn how fast they come if nobody told.

        For the loop's `watch`, which gives each frame that is submitted.
        """
        if not self._announced and (interval_ns := self._pace.note(frame)) is not None:
            self._keep_to(interval_ns)

    def _keep_to(self, interval_ns: int | None) -> None:
        self._interval_ns = interval_ns
        if self._controller is not None:
            self._controller.interval_ns = interval_ns

    def reserve(self, width: int, height: int) -> None:
        """Make every rung ready for frames of this size, in pixels; it may take a while.

        Before the first frame of all, each rung restores a few, which is how it is measured, and
        forgets them. Later what is known of it is taken to grow with the number of pixels: frames
        that were handed out stay as they are. Rungs no faster than a better one are left out.
        The best that fits is in charge.

        Raises:
            UsageError: if it is not the size of a frame.
            FrameError: if frames are in flight, or a graph takes only another size.
            EngineError: if no engine for it can be built, or it fails its re-check.
        """
        if (height, width, 3) == self._shape:
            return
        if self._pending:
            raise FrameError(
                f"frames of {width}x{height} px are to come while {self.in_flight} of another "
                "size are in flight; collect() them before the size changes"
            )
        for restorer in self.restorers:
            restorer.reserve(width, height)
        if self._tally.begun and self._controller is not None:
            larger = width * height / (self._shape[0] * self._shape[1])
            self._controller.resize(larger, self._clock())
        else:
            self._controller = self._measured(width, height)
            self._tally.number = self._used[self._controller.rung]
            self.rung = self._names[self._tally.number]
        self._shape = (height, width, 3)
        self._why_change = f"frames are {width}x{height} px now"
        _log.debug("ladder: %s", self.why)

    def _measured(self, width: int, height: int) -> Controller:
        costs_ns = measured_ns(self.restorers, width, height, self._clock)
        self._used = worthwhile(costs_ns)
        self._tally.measured(costs_ns, self._used)
        in_use_ns = [costs_ns[number] for number in self._used]
        budget_ns = round(self.budget_ms * 1e6)
        return Controller(in_use_ns, budget_ns, self._clock(), self._interval_ns)

    def submit(self, frame_hwc: Bytes) -> None:
        """Give a frame [H,W,3] to the rung that is to be in charge.

        The first frame of a size that was not reserved waits until every rung is ready for it.

        Raises:
            UsageError: if `frames_in_flight` frames are already in work.
            FrameError: if the frame is not uint8 [H,W,3], or of a new size amid others.
            EngineError: if the backend refused.
        """
        if self.in_flight == self.frames_in_flight:
            raise UsageError(f"{self.in_flight} frames are in flight already; collect() one first")
        check_frame(frame_hwc)
        height, width, _ = frame_hwc.shape
        self.reserve(width, height)
        self._tally.charge(self._clock())
        self._change_if_asked()
        begun_ns = self._clock()
        number = self._tally.number
        self.restorers[number].submit(frame_hwc)
        self._pending.append(_Pending(number, self._clock() - begun_ns))

    def collect(self) -> Bytes:
        """Return the oldest frame in flight, [4H,4W,3], from the rung that it is in.

        The array is a view, valid for `frames_in_flight` further submits.

        Raises:
            UsageError: if nothing is in flight.
            EngineError: if the work failed, or what came out is no picture of the frame.
        """
        if not self._pending:
            raise UsageError("no frame is in flight; submit() one first")
        number, submit_ns = self._pending.popleft()
        begun_ns = self._clock()
        restored_hwc = self.restorers[number].collect()
        self._served = number, submit_ns + self._clock() - begun_ns
        self._tally.restored(number)
        self.rung = self._names[number]
        return restored_hwc

    def observe(self, age_ns: int, missed: bool) -> None:
        """Take note of what became of a frame; the rung may change with the next one.

        To be called after each `collect`, and for each frame that was skipped instead of
        submitted, with its age since capture and whether it missed the budget.
        """
        if self._controller is None:
            return
        number, service_ns = self._served or (self._tally.number, None)
        self._served = None
        if missed:
            self._tally.missed(number)
        now_ns = self._clock()
        self._tally.charge(now_ns)
        rung = self._used.index(number) if number in self._used else None
        outcome = Outcome(now_ns, age_ns, missed, rung, service_ns)
        self._why_change = self._controller.observe(outcome) or self._why_change
        if self._controller.helpless and not self._warned:
            self._warned = True
            _log.warning(
                "ladder: even %s misses the budget of %g ms", self._names[number], self.budget_ms
            )

    def reset(self) -> None:
        """Forget the frames before, as at a scene cut; only recurrent networks remember any."""
        self.restorers[self._tally.number].reset()

    def _change_if_asked(self) -> None:
        """Change the rung, unless the new one still has frames from when it was in charge.

        What it remembers is of long ago, and is forgotten before its next frame.
        """
        wanted = self._tally.number
        if self._controller is not None:
            wanted = self._used[self._controller.rung]
        if wanted == self._tally.number or self.restorers[wanted].in_flight:
            return
        self.restorers[wanted].reset()
        switch = self._tally.switch(wanted, self._why_change)
        self._warned = False
        _log.info("ladder: %s -> %s: %s", switch.left, switch.entered, switch.why)

    def close(self) -> None:
        """Close every rung; calling it twice does no harm."""
        self._pending.clear()
        with ExitStack() as closing:
            for restorer in self.restorers:
                closing.callback(restorer.close)

    def __enter__(self) -> "Ladder":
        """Return the ladder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()
