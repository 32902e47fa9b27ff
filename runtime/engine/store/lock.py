"""One process at a time builds an engine; the system lets go of the lock when a process dies."""

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from crispstream.core.errors import MissingExtraError
from crispstream.core.optional import require

from .places import is_old, listed
from .refusals import refusal_reason

_POLL_SECONDS = 0.1
_ASK_SECONDS = 1.0


@contextlib.contextmanager
def held(
    path: Path,
    extra: str,
    on_wait: Callable[[str], None] | None = None,
    still_wanted: Callable[[], None] | None = None,
) -> Iterator[str]:
    """Hold the lock file `path` inside a `with` statement, waiting for it as long as it takes.

    Gives "", or a sentence why no lock could be had (a read-only or full disk): then the work can
    go on, unguarded. `on_wait` is called once, with a sentence that says for whom this waits;
    `still_wanted` every second, and what it raises ends the wait.

    Raises:
        MissingExtraError: if filelock is not installed, naming the extra of the kit.
    """
    filelock = require("filelock", extra)
    why_not = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        _acquire(lock, filelock.Timeout, path, on_wait, still_wanted)
    except (OSError, NotImplementedError) as error:
        reason = refusal_reason(error) if isinstance(error, OSError) else error
        why_not = f"no lock can be held in {path.parent} ({reason}): others may build the same"
    if why_not:
        yield why_not
        return
    try:
        yield ""
    finally:
        with contextlib.suppress(OSError):
            _holder(path).unlink()
        lock.release()


def remove_idle(folder: Path) -> None:
    """Remove the lock files of a folder that nobody has held for a day.

    One of them may be opened by another process at that very moment, which then shares its work
    with nobody: at worst two build the same, which harms nothing. Fails silently.
    """
    with contextlib.suppress(MissingExtraError, ImportError):
        filelock = require("filelock", "rtx")
        in_the_way = (
            OSError,
            NotImplementedError,
            filelock.Timeout,
        )  # held, or locks do not work here
        for path in filter(is_old, listed(folder)):
            if path.suffix == ".lock":
                with contextlib.suppress(*in_the_way), filelock.FileLock(path, timeout=0):
                    path.unlink()
                    _holder(path).unlink(missing_ok=True)


def _acquire(
    lock: Any,  # noqa: ANN401 (of a package that may be missing)
    busy: type[Exception],
    path: Path,
    on_wait: Callable[[str], None] | None,
    still_wanted: Callable[[], None] | None,
) -> None:
    try:
        lock.acquire(timeout=0)
    except busy:
        if on_wait is not None:
            on_wait(_who(path))
        _wait(lock, busy, still_wanted)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
    with contextlib.suppress(OSError):  # it only serves the sentence for those who wait
        _holder(path).write_text(json.dumps(facts), encoding="utf-8")


def _wait(
    lock: Any,  # noqa: ANN401
    busy: type[Exception],
    still_wanted: Callable[[], None] | None,
) -> None:
    while True:
        with contextlib.suppress(busy):
            lock.acquire(timeout=_ASK_SECONDS, poll_interval=_POLL_SECONDS)
            return
        if still_wanted is not None:
            still_wanted()


def _who(path: Path) -> str:
    try:
        facts = json.loads(_holder(path).read_bytes())
        who = f"process {facts['pid']} on {facts['host']}, since {facts['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return f"waiting for the same engine, which is being built by {who}"


def _holder(path: Path) -> Path:
    return path.with_suffix(".json")
