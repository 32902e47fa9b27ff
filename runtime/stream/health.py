"""How a source is: what state it is in, since when and why, and what it has lost."""

import logging
import threading
from collections import deque
from typing import NamedTuple

from crispstream.core.clock import Clock, monotonic_ns

STATES = ("connecting", "live", "stalled", "lost", "ended")
"""connecting: being opened. live: frames come. stalled: open, but nothing new comes. lost: the
connection broke, another try is due. ended: no more frames will come."""

_EVENTS_KEPT = 200
_log = logging.getLogger("crispstream.stream")


class Event(NamedTuple):
    """A change of state, or something else that happened in one."""

    seconds: float
    """Since the source was made."""
    state: str
    why: str
    """What was seen, in a few words; may be empty. Never holds a password."""


class Health:
    """The state of one source, written by its capture thread and read by anyone.

    Attributes:
        name: of the source in the log, without credentials.

    >>> health = Health("rtsp://10.0.0.7/stream")
    >>> health.enter("live")
    >>> health.state, health.reconnects
    ('live', 0)
    """

    def __init__(self, name: str, clock: Clock = monotonic_ns) -> None:
        """Start as `connecting`; `clock` stamps the events."""
        self.name = name
        self._clock = clock
        self._begun_ns = clock()
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._state = "connecting"
        self._was_live = self._was_lost = False
        self._reconnects = 0
        self._was_troubled = False
        self._lost_frames = 0

    def enter(self, state: str, why: str = "") -> None:
        """Note a state; entering the one it is in already changes nothing.

        Raises:
            ValueError: if `state` is none of `STATES`.
        """
        if state not in STATES:
            raise ValueError(f"'{state}' is no state of a source")
        with self._lock:
            if state == self._state:
                return
            self._state = state
            self._count(state)
            self._keep(why)
            again = " again" if state == "live" and self._was_troubled else ""
            self._was_troubled = state in ("stalled", "lost") or (
                self._was_troubled and state == "connecting"
            )
        # A stream that begins and ends as it should is no news.
        level = logging.WARNING if self._was_troubled else logging.INFO if again else logging.DEBUG
        if state != "connecting":
            _log.log(level, "%s is %s%s", self.name, state + again, f": {why}" if why else "")

    def note(self, why: str) -> None:
        """Keep and log, as a warning, what happened to the stream without a change of its state."""
        with self._lock:
            self._keep(why)
        _log.warning("%s: %s", self.name, why)

    def _keep(self, why: str) -> None:
        seconds = (self._clock() - self._begun_ns) / 1e9
        self._events.append(Event(seconds, self._state, why))

    def _count(self, state: str) -> None:
        """Count a reconnect: live, lost and live again, whatever lies between them."""
        if state == "live":
            self._reconnects += self._was_lost
            self._was_live, self._was_lost = True, False
        elif state == "lost":
            self._was_lost = self._was_live

    def lose(self, frames: int) -> None:
        """Count frames that the source knows it never gave."""
        with self._lock:
            self._lost_frames += frames

    @property
    def state(self) -> str:
        """One of `STATES`."""
        with self._lock:
            return self._state

    @property
    def events(self) -> tuple[Event, ...]:
        """The latest that happened, oldest first; a bounded number."""
        with self._lock:
            return tuple(self._events)

    @property
    def reconnects(self) -> int:
        """How often it became live again after it was lost; not after it was only stalled."""
        with self._lock:
            return self._reconnects

    @property
    def lost_frames(self) -> int:
        """Frames that the source knows it never gave: undecodable, or skipped by the camera."""
        with self._lock:
            return self._lost_frames
