"""Engines in words: the list and the facts of `crispstream engines`."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from crispstream.runtime.engine.store.entries import Entry
    from crispstream.runtime.engine.store.record import EngineRecord

Judge = Callable[["EngineRecord"], str]
"""Says why an engine does not fit this machine, "" if it does."""

_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def listing(entries: "Sequence[Entry]", judge: Judge) -> "Table":
    """Return the list: two lines an engine, broken between words in a narrow terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    names = [entry.name for entry in entries]
    for entry in entries:
        digits = _digits(entry.name, names)
        title = title_of(entry.record) if digits and entry.record else entry.name
        state = f"{disk_text(entry.disk_bytes)}, used {_ago(time.time() - entry.used_at)}"
        table.add_row(digits, Text(f"{title}\n{state}, {_fitness(entry, judge)}"))
    return table


def title_of(record: "EngineRecord") -> str:
    """Return what an engine is, with all that tells it from another of the same graph."""
    from crispstream.runtime.engine.store.fit import LIBRARIES

    parts = [
        f"{record.bundle} {record.precision} {record.sizes_in_words}",
        f"{LIBRARIES[record.flavour]} {record.flavour_version}",
        f"for {_aim(record)}",
        *_orders(record.options),
    ]
    return "; ".join(parts)


def _aim(record: "EngineRecord") -> str:
    """Return the GPUs an engine is for."""
    if capabilities := record.options.get("compute_capabilities"):
        return f"compute capability {', '.join(capabilities)}"
    level = record.options.get("hardware_compatible", "none")
    if record.flavour == "tensorrt-rtx" or level == "ampere+":
        return "Ampere (8.0) and newer"
    kind = record.gpu.get("compute_capability", "")
    if level != "none":
        return f"compute capability {kind}"
    return f"{record.gpu.get('name', 'an unknown GPU')} ({kind})"


def _orders(options: Mapping[str, object]) -> Iterator[str]:
    """Yield the other orders, as far as they are not the usual ones."""
    if options.get("optimisation_level") is not None:
        yield f"optimisation level {options['optimisation_level']}"
    if options.get("workspace_mib") is not None:
        yield f"workspace {options['workspace_mib']} MiB"
    if options.get("version_compatible"):
        yield "version-compatible"


def _fitness(entry: "Entry", judge: Judge) -> str:
    if entry.damage:
        return f"damaged: {entry.damage}"
    if entry.record is None:
        return f"cannot be used: {entry.obstacle}"
    passed = entry.record.recheck.get("passed")
    verdict = "not run" if passed is None else "passed" if passed else "failed"
    reason = judge(entry.record)
    return f"re-check {verdict}, {f'does not fit: {reason}' if reason else 'fits this machine'}"


def _digits(name: str, names: Sequence[str]) -> str:
    """Return the digits at the end of a name, "" if another name has them or it has none.

    >>> _digits("edge-s.fp16.320x180.tensorrt-rtx-1.7.1.3fa9c1d2", [])
    '3fa9c1d2'
    """
    digits = name.rpartition(".")[2]
    alone = sum(digits in other for other in names) <= 1
    return digits if alone and re.fullmatch(r"[0-9a-f]{8}", digits) else ""


def _ago(seconds: float) -> str:
    """Return how long ago something was, in the largest whole unit.

    >>> _ago(30), _ago(90), _ago(3 * 86400 + 5)
    ('just now', '1 minute ago', '3 days ago')
    """
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def disk_text(count: int) -> str:
    """Return a number of bytes as disks are sold: in powers of ten.

    >>> disk_text(8 * 10**9), disk_text(2_345_678), disk_text(14)
    ('8.0 GB', '2.3 MB', '0.0 kB')
    """
    unit, size = next((each for each in _UNITS if count >= each[1]), _UNITS[-1])
    return f"{count / size:.1f} {unit}"


def counted(entries: "Sequence[Entry]") -> str:
    """Return how many engines there are, and what they take on the disk."""
    total = disk_text(sum(entry.disk_bytes for entry in entries))
    return f"{len(entries)} engine{'' if len(entries) == 1 else 's'}, {total}"


def flat_rows(facts: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested facts as ("a.b", text); "-" is what is not set.

    >>> list(flat_rows({"engine_bytes": 2345678, "gpu": {"name": "NVIDIA L4"}, "recheck": {}}))
    [('engine bytes', '2,345,678'), ('gpu.name', 'NVIDIA L4'), ('recheck', 'not run')]
    """
    for key, value in facts.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping) and value:
            yield from flat_rows(value, f"{prefix}{key}.")
        elif key == "recheck" and not value:
            yield name, "not run"
        else:
            yield name, _text(value)


def _text(value: object) -> str:
    if value is None or value == "" or value == {} or value == [] or value == ():
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
