"""What lies in the store: its engines, what is wrong with them, and the kernels beside them."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crispstream.core.errors import EngineError, UsageError

from .key import SUFFIX, EngineKey
from .places import listed
from .record import EngineRecord, check_engine, read_record, sidecar_of

_NAMED_IN_A_MESSAGE = 4


class Entry(NamedTuple):
    """One engine of the store."""

    name: str
    """Of the file, without `.engine`."""
    path: Path
    record: EngineRecord | None
    """None where the sidecar is missing or damaged."""
    disk_bytes: int
    """What it takes on the disk: engine, sidecar and compiled kernels."""
    used_at: float
    """When it was last used or added, in seconds since 1970."""
    damage: str
    """Why it cannot be used on any machine, "" for nothing."""


def entries_in(engines: Path, runtime: Path, *, hashed: bool) -> list[Entry]:
    """Return the engines in a folder, the last used first.

    `runtime` is the folder of compiled kernels. `hashed` reads every engine and checks its hash;
    else only its length is compared, which finds those that were cut off.
    """
    found = []
    for path in listed(engines):
        if path.name.endswith(SUFFIX) and not path.name.startswith("."):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile by another process
                found.append(entry_at(path, runtime, hashed=hashed))
    return sorted(found, key=lambda entry: entry.used_at, reverse=True)


def entry_at(path: Path, runtime: Path, *, hashed: bool) -> Entry:
    """Return what is known of one engine; raises FileNotFoundError if it is gone."""
    size_bytes = path.stat().st_size
    record, damage = _judged(path, size_bytes, hashed=hashed)
    beside = kernels_of(record, runtime) if record else []
    disk_bytes = size_bytes + sum(map(_bytes_of, [sidecar_of(path), *beside]))
    return Entry(path.name.removesuffix(SUFFIX), path, record, disk_bytes, _used_at(path), damage)


def records_in(engines: Path) -> list[EngineRecord]:
    """Return the records of a folder's engines, as far as they can be read."""
    found = []
    for path in listed(engines):
        with contextlib.suppress(EngineError):
            if path.name.endswith(SUFFIX) and (record := read_record(path)[0]):
                found.append(record)
    return found


def the_one(entries: Sequence[Entry], part: str) -> Entry:
    """Return the entry of this name, or the only one that has this in its name.

    Raises:
        UsageError: if there is none, or several.
    """
    part = part.strip().removesuffix(SUFFIX)
    fit = [entry for entry in entries if entry.name == part]
    fit = fit or [entry for entry in entries if part and part in entry.name]
    if len(fit) == 1:
        return fit[0]
    if not fit:
        raise UsageError(
            f"no engine in the store has '{part}' in its name; see crispstream engines list"
        )
    names = [entry.name for entry in fit[:_NAMED_IN_A_MESSAGE]]
    more = f" and {len(fit) - len(names)} more" if len(fit) > len(names) else ""
    raise UsageError(
        f"'{part}' is in the names of {len(fit)} engines: {', '.join(names)}{more}; give more of "
        "the name"
    )


def kernels_of(record: EngineRecord, runtime: Path) -> list[Path]:
    """Return the files of kernels that were compiled for an engine."""
    start = kernels_stem(EngineKey.of(record))
    return [path for path in listed(runtime) if path.name.startswith(f"{start}.")]


def kernels_stem(key: EngineKey) -> str:
    """Return how the names of an engine's compiled kernels begin."""
    return key.digest[:16]


def mark_used(engine: Path) -> None:
    """Note that an engine is used now, where the folder can be written."""
    with contextlib.suppress(OSError):
        os.utime(sidecar_of(engine))


def _judged(path: Path, size_bytes: int, *, hashed: bool) -> tuple[EngineRecord | None, str]:
    try:
        if hashed:
            _, record, damage = check_engine(path)
        else:
            record, damage = read_record(path)
            damage = damage or _length_damage(record, size_bytes)
    except EngineError as error:
        return None, str(error)
    return record, damage or ("" if record else "it has no sidecar")


def _length_damage(record: EngineRecord | None, size_bytes: int) -> str:
    if record is None or size_bytes == record.engine_bytes:
        return "" if size_bytes else "it is empty"
    return f"it has {size_bytes:,} bytes, and {record.engine_bytes:,} were written"


def _used_at(path: Path) -> float:
    sidecar = sidecar_of(path)
    return (sidecar if sidecar.exists() else path).stat().st_mtime


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
