"""What has to go from the store, and its going: one that stays does not hold up the others."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from .entries import Entry, kernels_of
from .record import sidecar_of
from .refusals import reason_of


class Removal(NamedTuple):
    """What became of engines that were to go."""

    removed: list[Entry]
    stuck: dict[str, str]
    """Name of each engine that stays, and why it cannot be removed."""


def remove_entries(entries: Iterable[Entry], runtime: Path) -> Removal:
    """Remove engines with their sidecars, and the kernels in `runtime` compiled for them."""
    removal = Removal([], {})
    for entry in entries:
        beside = kernels_of(entry.record, runtime) if entry.record else []
        try:
            for path in (entry.path, sidecar_of(entry.path), *beside):
                path.unlink(missing_ok=True)
        except OSError as error:
            removal.stuck[entry.name] = reason_of(error)
        else:
            removal.removed.append(entry)
    return removal


def unused_since(entries: Sequence[Entry], then: float) -> list[Entry]:
    """Return those that were last used before a time, in seconds since 1970, or at it."""
    return [entry for entry in entries if entry.used_at <= then]


def above_limit(entries: Sequence[Entry], limit_bytes: int) -> list[Entry]:
    """Return the least recently used that must go for the others to take at most `limit_bytes`.

    `entries` are in the order of `entries_in`: the last used first.
    """
    total_bytes = sum(entry.disk_bytes for entry in entries)
    surplus = []
    for entry in reversed(entries):
        if total_bytes > limit_bytes:
            surplus.append(entry)
            total_bytes -= entry.disk_bytes
    return surplus
