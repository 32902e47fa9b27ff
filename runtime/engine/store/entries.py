"""What lies in the store: its engines, what is wrong with them, and the kernels beside them."""

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from crispstream.core.errors import UsageError

from .key import SUFFIX, EngineKey
from .places import listed
from .record import (
    NO_SIDECAR,
    EngineRecord,
    Sidecar,
    check_engine,
    length_fault,
    read_sidecar,
    sidecar_of,
)

_NAMED_IN_A_MESSAGE = 4
_TAIL = re.compile(r"\.tensorrt(-rtx)?-[^-]+\.[0-9a-f]{8}")


class Entry(NamedTuple):
    """One engine of the store."""

    name: str
    """Of the file, without `.engine`."""
    path: Path
    record: EngineRecord | None
    """None where the sidecar is missing, damaged or of another kit."""
    disk_bytes: int
    """What it takes on the disk: engine, sidecar and compiled kernels."""
    used_at: float
    """When it was last used or added, in seconds since 1970."""
    damage: str
    """What is wrong with its files, "" for nothing."""
    obstacle: str = ""
    """Why it cannot be used although they may be whole: who wrote them, or who may read them."""


def entries_in(engines: Path, runtime: Path, *, hashed: bool) -> list[Entry]:
    """Return the engines in a folder, the last used first; only files are engines.

    `runtime` is the folder of compiled kernels. `hashed` reads every engine and checks its hash;
    else only its length is compared, which finds those that were cut off.
    """
    found = []
    for path in engine_files(engines):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile by another process
            found.append(entry_at(path, runtime, hashed=hashed))
    return sorted(found, key=lambda entry: entry.used_at, reverse=True)


def entry_at(path: Path, runtime: Path, *, hashed: bool) -> Entry:
    """Return what is known of one engine; raises FileNotFoundError if it is gone."""
    size_bytes = path.stat().st_size
    record, damage, obstacle = _judged(path, size_bytes, hashed=hashed)
    beside = kernels_of(record, runtime) if record else []
    disk_bytes = size_bytes + sum(map(_bytes_of, [sidecar_of(path), *beside]))
    name = path.name.removesuffix(SUFFIX)
    return Entry(name, path, record, disk_bytes, _used_at(path), damage, obstacle)


def engine_files(engines: Path) -> list[Path]:
    """Return the engine files of a folder, by name; folders and pipes are none of ours."""
    return [
        path
        for path in listed(engines)
        if path.name.endswith(SUFFIX) and not path.name.startswith(".") and path.is_file()
    ]


def records_in(engines: Path) -> list[EngineRecord]:
    """Return the records of a folder's engines, as far as they can be read."""
    found = (read_sidecar(path).record for path in engine_files(engines))
    return [record for record in found if record is not None]


def the_one(entries: Sequence[Entry], part: str) -> Entry:
    """Return the entry that a path, a name or a part of a name means.

    A whole name goes before one whose library, version and digits are left out; that before whole
    parts between dots; and those before any part.

    Raises:
        UsageError: if there is none, or several.
    """
    part = part.strip().removesuffix(SUFFIX)
    path = f"{os.path.abspath(part)}{SUFFIX}"  # noqa: PTH100 (links stay as they are, ".." goes)
    ways: tuple[Callable[[Entry], bool], ...] = (
        lambda entry: entry.name == part or str(entry.path) == path,
        lambda entry: _TAIL.sub("", entry.name) == part,
        lambda entry: f"{part}." in f"{entry.name}.",
        lambda entry: part in entry.name,
    )
    found = (list(filter(way, entries)) for way in ways) if part else iter(())
    fit: list[Entry] = next(filter(None, found), [])
    if len(fit) == 1:
        return fit[0]
    if not fit:
        raise UsageError(
            f"no engine in the store has '{part}' in its name; see crispstream engines list"
        )
    raise UsageError(
        f"'{part}' is in the names of {len(fit)} engines: "
        f"{some([entry.name for entry in fit])}; give more of the name, or its last eight digits"
    )


def some(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are.

    >>> some("abcdef")
    'a, b, c, d and 2 more'
    """
    more = len(names) - _NAMED_IN_A_MESSAGE
    shown = ", ".join(names[:_NAMED_IN_A_MESSAGE])
    return f"{shown} and {more} more" if more > 0 else shown


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


def _judged(path: Path, size_bytes: int, *, hashed: bool) -> Sidecar:
    if hashed:
        _, record, damage, obstacle = check_engine(path)
    else:
        record, damage, obstacle = read_sidecar(path)
        damage = length_fault(size_bytes, record) or damage
    return Sidecar(record, damage or ("" if record or obstacle else NO_SIDECAR), obstacle)


def _used_at(path: Path) -> float:
    sidecar = sidecar_of(path)
    return (sidecar if sidecar.exists() else path).stat().st_mtime


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
