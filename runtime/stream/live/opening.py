"""Opening a feed so that whoever waits for it can be told to stop."""

import logging
import threading

from .feed import Feed, OpenFeed

_LOOK_SECONDS = 0.05
_log = logging.getLogger("crispstream.stream")


class Opening:
    """Opens on a thread of its own, since a name server alone can take 30 s to give no answer.

    A feed that comes when nobody waits any more is closed again by that thread.
    """

    def __init__(self, open_feed: OpenFeed) -> None:
        """Begin."""
        self._open_feed = open_feed
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._abandoned = False
        self._feed: Feed | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="open feed", daemon=True).start()

    def wait(self, stop: threading.Event) -> Feed | None:
        """Return the feed, or None if `stop` was set first.

        Raises:
            SourceError: or whatever else opening raised.
        """
        while not self._done.wait(_LOOK_SECONDS):
            if stop.is_set():
                break
        with self._lock:
            self._abandoned = not self._done.is_set()
        if self._error is not None:
            raise self._error
        return self._feed

    def _run(self) -> None:
        try:
            feed = self._open_feed()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._finish(None, error)
        else:
            if self._finish(feed, None):
                feed.close()

    def _finish(self, feed: Feed | None, error: BaseException | None) -> bool:
        """Hand over what came; return whether nobody wants it any more."""
        with self._lock:
            if not self._abandoned:
                self._feed, self._error = feed, error
                self._done.set()
            return self._abandoned
