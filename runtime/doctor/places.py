"""Checks of the folders that the kit writes to."""

from collections.abc import Iterator

from crispstream.core.errors import UsageError
from crispstream.runtime.engine.available import said_and_fix

from .finding import Finding
from .machine import Machine

_GIB = 2**30
_LITTLE_SPACE_BYTES = _GIB
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
    kept = f"{len(sizes)} engines, {sum(sizes) / 1e6:.1f} MB" if sizes else "no engine yet"
    if not machine.may_write(f"{folder}/engines"):
        seen = f"{folder} ({kept}) cannot be written, so no engine can be kept"
        yield Finding("cache", "problem", seen, _OTHER_CACHE)
        return
    free = machine.free_bytes(folder)
    seen = f"{folder}: {kept}, {free / _GIB:.1f} GiB free"
    if free < _LITTLE_SPACE_BYTES:
        yield Finding("cache", "note", seen, "crispstream engines prune")
    else:
        yield Finding("cache", "fine", seen)
    if failed := machine.glob(f"{folder}/quarantine/*"):
        seen = f"{len(failed)} engines failed their re-check: see {folder}/quarantine"
        yield Finding("cache", "note", seen)


def temporary(machine: Machine) -> Iterator[Finding]:
    """Tell where temporary files go."""
    try:
        folder = machine.temporary_folder()
    except FileNotFoundError:
        seen = "no folder for temporary files can be written"
        yield Finding("temporary", "problem", seen, "export TMPDIR=/var/tmp")
        return
    free = machine.free_bytes(folder)
    seen = f"{folder}, {free / _GIB:.1f} GiB free"
    if free < _LITTLE_SPACE_BYTES:
        yield Finding("temporary", "note", seen, "export TMPDIR=/var/tmp")
    else:
        yield Finding("temporary", "fine", seen)
