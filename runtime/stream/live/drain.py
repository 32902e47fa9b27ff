"""Keeping a feed fresh between its opening and its first reader.

A model may take minutes to be made ready. A feed that nobody reads meanwhile would be full of
old pictures then, or be cut off by its server.
"""

import threading

from crispstream.core.clock import Clock
from crispstream.core.errors import SourceError

from .feed import Feed, FeedEnded, Picture

_GRACE_NS = 250_000_000
_LOOK_SECONDS = 0.02


class Drain:
    """Reads a feed after a short while, and keeps its newest picture only."""

    def __init__(self, feed: Feed, first: Picture, captured_ns: int, clock: Clock) -> None:
        """Begin with the picture that told the feed's size."""
        self._feed = feed
        self._clock = clock
        self._newest = first, captured_ns
        self._taken = threading.Event()
        self._error: SourceError | None = None
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._thread.start()

    def take(self) -> tuple[Picture, int]:
        """End, and return the newest picture and when it was captured.

        That the feed came to its end meanwhile is left to the next read of it.

        Raises:
            SourceError: if the feed broke meanwhile.
        """
        self._taken.set()
        self._thread.join()  # a read is bounded by the feed's contract
        if self._error is not None:
            raise self._error
        return self._newest

    def _run(self) -> None:
        begun_ns = self._clock()
        while self._clock() - begun_ns < _GRACE_NS:
            if self._taken.wait(_LOOK_SECONDS):
                return
        try:
            while not self._taken.is_set():
                if (picture := self._feed.read()) is not None:
                    self._newest = picture, self._clock()
        except SourceError as error:
            self._error = error
        except FeedEnded:
            return
