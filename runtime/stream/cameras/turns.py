"""Several cameras on one engine: each takes its turn, in the order in which they asked.

A turn lasts from submitting a frame to having it back, and never while a camera waits for its
next frame or for a sink. So a camera that is slow, stalled or gone holds up nobody, and cameras
that always have a frame ready get equal numbers of frames.
"""

import threading
from collections import deque
from typing import Protocol

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import EngineError
from crispstream.core.pixels import Bytes
from crispstream.runtime.latency import Latencies
from crispstream.runtime.stream.loop import FrameRestorer

ON_CPU = 1
"""Places at a CPU: one frame at a time uses all its cores, and is back soonest."""
ON_GPU = 2
"""Places at a GPU: while it works on one frame, another is copied."""


class Turns:
    """Places at an engine; whoever asks first gets the next one that is free.

    >>> turns = Turns()
    >>> turns.take()
    >>> turns.give_back()
    """

    def __init__(self, places: int = ON_CPU) -> None:
        """`places` threads may have a turn at the same time.

        Raises:
            ValueError: if that is less than one.
        """
        if places < 1:
            raise ValueError(f"{places} places serve nobody; give 1 or more")
        self._lock = threading.Lock()
        self._free = places
        self._queue: deque[_Ticket] = deque()
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many threads wait for a turn."""
        with self._lock:
            return len(self._queue)

    def take(self) -> None:
        """Wait for a turn; each is to be given back.

        Raises:
            EngineError: if `close` is called before it comes.
        """
        with self._lock:
            if self._closed:
                raise _too_late()
            if self._free:
                self._free -= 1
                return
            ticket = _Ticket()
            self._queue.append(ticket)
        try:
            ticket.called.wait()
        except BaseException:  # an interrupt: whoever waits behind must not wait for ever
            self._hand_in(ticket)
            raise
        if not ticket.granted:
            raise _too_late()

    def give_back(self) -> None:
        """End a turn: the place goes to the thread that waits longest, if there is one."""
        with self._lock:
            if not self._queue:
                self._free += 1
                return
            # Handed over, not put up for grabs: else the thread that runs could take it again
            # before those that wait are awake.
            ticket = self._queue.popleft()
            ticket.granted = True
        ticket.called.set()

    def close(self) -> None:
        """Send away whoever waits, and everyone after; turns that were taken go on."""
        with self._lock:
            self._closed = True
            sent_away = list(self._queue)
            self._queue.clear()
        for ticket in sent_away:
            ticket.called.set()

    def _hand_in(self, ticket: "_Ticket") -> None:
        with self._lock:
            if ticket in self._queue:
                self._queue.remove(ticket)
        if ticket.granted:
            self.give_back()


class _Ticket:
    """What one thread waits with."""

    __slots__ = ("called", "granted")

    def __init__(self) -> None:
        self.called = threading.Event()
        self.granted = False


def _too_late() -> EngineError:
    return EngineError("the engine takes no more frames: its cameras are being ended")


class Reservable(FrameRestorer, Protocol):
    """A restorer that can get ready for a size before its first frame."""

    def reserve(self, width: int, height: int) -> None:
        """Make everything ready for frames of this size, in pixels; it may take a while."""


class SharedRestorer:
    """One camera's restorer, used in turns with those of the other cameras.

    For a loop with one frame in flight: with more, its camera would keep the turn while it waits
    for the next frame. What that loses is won by the other cameras' turns.

    Attributes:
        latencies: of the restorer: the time it works.
        waits: the time until it might: `turn`.
        frames_in_flight: of the restorer.
    """

    def __init__(self, restorer: Reservable, turns: Turns, *, clock: Clock = monotonic_ns) -> None:
        """The restorer stays the caller's: it is to be closed by whoever opened it."""
        self.latencies = restorer.latencies
        self.frames_in_flight = restorer.frames_in_flight
        self.waits = Latencies(("turn",))
        self._restorer = restorer
        self._turns = turns
        self._clock = clock
        self._size = (0, 0)
        self._has_turn = False

    @property
    def rung(self) -> str:
        """What restored the frame collected last."""
        return self._restorer.rung

    @property
    def in_flight(self) -> int:
        """Frames submitted and not collected."""
        return self._restorer.in_flight

    def submit(self, frame_hwc: Bytes) -> None:
        """Wait for a turn, unless frames are in flight, and submit a frame [H,W,3].

        Raises:
            EngineError: if the turns were closed, or the engine failed.
            FrameError: if the engine cannot take the frame.
        """
        if not self._has_turn:
            self.reserve(frame_hwc.shape[1], frame_hwc.shape[0])
            asked_ns = self._clock()
            self._turns.take()
            self._has_turn = True
            self.waits.record("turn", self._clock() - asked_ns)
        try:
            self._restorer.submit(frame_hwc)
        finally:
            self._end_turn_if_idle()

    def reserve(self, width: int, height: int) -> None:
        """Make everything ready for frames of this size, in pixels, outside of a turn.

        It may take a while: an engine may have to be built.

        Raises:
            FrameError: if the engine cannot take such frames.
            EngineError: if no engine can be had for them.
        """
        if (width, height) != self._size:
            self._restorer.reserve(width, height)
            self._size = width, height

    def collect(self) -> Bytes:
        """Return the oldest frame, and give the turn back with the last one in flight.

        Raises:
            EngineError: if the engine failed.
        """
        try:
            return self._restorer.collect()
        finally:
            self._end_turn_if_idle()

    def reset(self) -> None:
        """Forget the frames before; called while none is in flight."""
        self._restorer.reset()

    def let_go(self) -> None:
        """Give back the turn that a run left behind when it was broken off."""
        if self._has_turn:
            self._has_turn = False
            self._turns.give_back()

    def _end_turn_if_idle(self) -> None:
        if not self.in_flight:
            self.let_go()
