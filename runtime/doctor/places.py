"""Checks of the folders that the kit writes to."""

import shlex
from collections.abc import Iterator, Mapping

from crispstream.core.errors import UsageError
from crispstream.runtime.engine.available import said_and_fix

from .finding import Finding
from .machine import Machine

_GB = 10**9
_LITTLE_SPACE_BYTES = _GB
_OTHER_CACHE = (
    'sudo install -d -o "$USER" /var/cache/crispstream && '
    "export CRISPSTREAM_CACHE=/var/cache/crispstream"
)


def cache(machine: Machine) -> Iterator[Finding]:
    """Tell where engines are kept, how many there are, and whether more may come."""
    try:
        folder = machine.cache_folder()
    except UsageError as error:
        yield Finding("cache", "problem", said_and_fix(str(error))[0], _OTHER_CACHE)
        return
    sizes = machine.sizes_of(f"{folder}/engines/*.engine")
    kept = f"{_engines(len(sizes))}, {sum(sizes) / 1e6:.1f} MB" if sizes else "no engine yet"
    if not machine.may_write(f"{folder}/engines"):
        there = f" ({kept})" if sizes else ""
        seen = f"{folder}{there} cannot be written, so no engine can be kept"
        yield Finding("cache", "problem", seen, _OTHER_CACHE)
        return
    free = machine.free_bytes(folder)
    seen = f"{folder}: {kept}, {free / _GB:.1f} GB free"
    if free < _LITTLE_SPACE_BYTES:
        yield Finding("cache", "note", seen, "crispstream engines prune" if sizes else _OTHER_CACHE)
    else:
        yield Finding("cache", "fine", seen)
    if damaged := machine.damaged_engines(folder):
        yield _damaged(damaged)
    if failed := machine.glob(f"{folder}/quarantine/*"):
        seen = f"{_engines(len(failed))} failed the re-check: see {folder}/quarantine"
        yield Finding("cache", "note", seen)


def _damaged(damaged: Mapping[str, str]) -> Finding:
    """One is described, the others are counted."""
    name, damage = next(iter(damaged.items()))
    more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
    seen = f"{_engines(len(damaged))} damaged, to be built again: {name} ({damage}){more}"
    names = " ".join(shlex.quote(each) for each in damaged)
    return Finding("cache", "note", seen, f"crispstream engines remove {names}")


def _engines(number: int) -> str:
    """Count them: "1 engine", "2 engines"."""
    return f"{number} engine" if number == 1 else f"{number} engines"


def temporary(machine: Machine) -> Iterator[Finding]:
    """Tell where temporary files go."""
    try:
        folder = machine.temporary_folder()
    except FileNotFoundError:
        seen = "no folder for temporary files can be written"
        yield Finding("temporary", "problem", seen, "export TMPDIR=/var/tmp")
        return
    free = machine.free_bytes(folder)
    seen = f"{folder}, {free / _GB:.1f} GB free"
    if free < _LITTLE_SPACE_BYTES:
        yield Finding("temporary", "note", seen, "export TMPDIR=/var/tmp")
    else:
        yield Finding("temporary", "fine", seen)
