"""From a file of the store to an engine that may be loaded, or the reason why it may not."""

from pathlib import Path
from typing import NamedTuple

from .fit import describe, differences
from .key import EngineKey
from .record import NO_SIDECAR, EngineRecord, check_engine, sidecar_of

_LOOKS = 2


class Found(NamedTuple):
    """What the store has for a key."""

    engine: bytes | None
    """The bytes that were hashed; None if there is no engine that can be used."""
    record: EngineRecord | None
    path: Path | None
    why_not: str
    """Why there is none: a sentence without a full stop, "" if there is one."""
    quarantined: Path | None = None
    """Folder of an engine of this key that failed its re-check, if there is no other."""


def open_engine(path: Path, key: EngineKey) -> tuple[bytes | None, EngineRecord | None, str]:
    """Return engine and record, or (None, None, why it cannot be used).

    The reason is "" if the file is of another key after all, or was just removed. A damaged one
    is removed.
    """
    for _ in range(_LOOKS):  # the first look may have been amid a replacement
        try:
            engine, record, damage, obstacle = check_engine(path)
        except FileNotFoundError:
            return None, None, ""
        damage = damage or ("" if record or obstacle else NO_SIDECAR)
        if not damage:
            break
    if damage:
        told = "was removed" if discard(path) else "cannot be removed; delete it"
        return None, None, f"the engine {path.name} was damaged: {damage}; it {told}"
    if record is None:
        reason = obstacle.partition("; ")[0]  # without what to do about it: it is done here
        return None, None, f"a new engine takes the place of {path.name}: {reason}"
    if EngineKey.of(record).digest != key.digest:  # only the digits in the name are alike
        return None, None, ""
    if differences(record, key):
        return None, None, describe(record, key)
    return engine, record, ""


def discard(path: Path) -> bool:
    """Remove an engine and its sidecar; return whether that could be done."""
    try:
        path.unlink(missing_ok=True)
        sidecar_of(path).unlink(missing_ok=True)
    except OSError:
        return False
    return True
