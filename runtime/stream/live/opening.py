"""Opening something so that whoever waits for it can be told to stop."""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from crispstream.core.errors import SourceError

_LOOK_SECONDS = 0.05


class Closable(Protocol):
    """What can be opened."""

    def close(self) -> None:
        """Let go of it."""


Opened = TypeVar("Opened", bound=Closable)


class Opening(Generic[Opened]):
    """Opens on a thread of its own, since a name server alone can take 30 s to give no answer.

    What comes when nobody waits any more is closed again by that thread.
    """

    def __init__(self, open_once: Callable[[], Opened]) -> None:
        """Begin."""
        self._open_once = open_once
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._abandoned = False
        self._opened: Opened | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="open source", daemon=True).start()

    def wait(self, stop: threading.Event) -> Opened | None:
        """Return what was opened, or None if `stop` was set first.

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
        return self._opened

    def _run(self) -> None:
        try:
            opened = self._open_once()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._finish(None, error)
        else:
            if self._finish(opened, None):
                opened.close()

    def _finish(self, opened: Opened | None, error: BaseException | None) -> bool:
        """Hand over what came; return whether nobody wants it any more."""
        with self._lock:
            if not self._abandoned:
                self._opened, self._error = opened, error
                self._done.set()
            return self._abandoned


def stopped(name: str) -> SourceError:
    """Return the error for a source, called `name`, that was given up while it was opened."""
    return SourceError(
        f"'{name}' was told to stop before it gave a picture; see whether it can be reached"
    )
