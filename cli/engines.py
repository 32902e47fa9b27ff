"""`crispstream engines`: the engines that this machine keeps."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispstream.core.errors import CrispstreamError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from crispstream.runtime.engine.store.entries import Entry
    from crispstream.runtime.engine.store.record import EngineRecord

    Judge = Callable[[EngineRecord], str]

BUILD = "crispstream build edge-s --precision fp16 --size 320x180"
_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
_WIDE_COLUMNS = 160  # a terminal with room for whole names

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON line only.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of an engine, or a part that only it has.")
]

engines_app = typer.Typer(
    help="List, show, remove and add the engines that this machine keeps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@engines_app.callback()
def options() -> None:
    """List, show, remove and add the engines that this machine keeps."""


@engines_app.command("list", epilog="Example: crispstream engines list")
def list_engines(as_json: AsJson = False) -> None:
    """List the engines, the last used first, and say whether each fits this machine."""
    from crispstream.runtime.engine.store.store import EngineStore

    store, judge = EngineStore(), _judge()
    entries, failed = store.entries(), store.quarantined()
    if as_json:
        facts = {
            "folder": str(store.engines),
            "limit_bytes": store.limit_bytes,
            "engines": [_facts(entry, judge) for entry in entries],
            "quarantined": [str(folder) for folder in failed],
        }
        typer.echo(json.dumps(facts))
        return
    if entries:
        from rich.console import Console

        Console().print(_listing(entries, judge))
        limit = _megabytes(store.limit_bytes)
        typer.echo(f"{_counted(entries)} of at most {limit}, in {store.engines}")
    else:
        typer.echo(f"no engines are kept in {store.engines} yet; build one with: {BUILD}")
    for folder in failed:
        typer.echo(f"failed its re-check: {folder}")


@engines_app.command(epilog="Example: crispstream engines show edge-s.fp16.320x180")
def show(name: Name, as_json: AsJson = False) -> None:
    """Show all that is known of an engine, and check its hash."""
    from crispstream.runtime.engine.store.store import EngineStore

    facts = _facts(EngineStore().entry(name), _judge())
    if as_json:
        typer.echo(json.dumps(facts))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    table.add_column(min_width=16)
    table.add_column(overflow="fold")
    for key, value in _flat(facts):
        table.add_row(key.replace("_", " "), Text(value))
    Console().print(table)


@engines_app.command(epilog="Example: crispstream engines remove edge-s.fp16.320x180")
def remove(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="Names of engines, or parts that only they have."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove every engine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove engines; they are built again when they are needed."""
    from crispstream.runtime.engine.store.entries import the_one
    from crispstream.runtime.engine.store.store import EngineStore

    if everything == bool(names):
        raise UsageError("give the names of engines to remove, or --all; see them with: list")
    store = EngineStore()
    entries = store.entries()
    chosen = entries if everything else [the_one(entries, name) for name in names or ()]
    once = {entry.name: entry for entry in chosen}  # two parts may be of one name
    _tell_removed([store.remove(name) for name in once], as_json=as_json)


@engines_app.command(epilog="Example: crispstream engines prune --limit 2GB --unused 30")
def prune(
    limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="What may stay on the disk, 4GB for instance."),
    ] = None,
    unused: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="Remove what was unused so long.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove the least recently used engines, by default those above the store's limit."""
    from crispstream.runtime.engine.store.store import EngineStore

    store = EngineStore()
    limit_bytes = None if limit is None else _parse_bytes(limit)
    _tell_removed(store.prune(limit_bytes, unused), as_json=as_json)
    if not as_json:
        typer.echo(f"{_counted(store.entries())} kept in {store.engines}")


@engines_app.command(epilog="Example: crispstream engines add edge-s-fp16-320x180.engine")
def add(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Engine that build -o wrote, on any machine.")
    ],
    as_json: AsJson = False,
) -> None:
    """Keep an engine that was built elsewhere, with its sidecar FILE.json."""
    from crispstream.runtime.engine.store.store import EngineStore

    store = EngineStore()
    facts = _facts(store.entry(store.adopt(file).name), _judge())
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"kept as {facts['name']}")
    if facts["misfit"]:
        typer.echo(f"it will not run on this machine: {facts['misfit']}")


def _judge() -> "Judge":
    """Return what says why an engine does not fit this machine; each library is asked once."""
    from crispstream.runtime.engine.device.gpu import find_gpu
    from crispstream.runtime.engine.native import load_flavour
    from crispstream.runtime.engine.store.fit import misfit

    found = find_gpu()
    gpu = None if isinstance(found, str) else found
    versions: dict[str, str | None] = {}

    def judge(record: "EngineRecord") -> str:
        if record.flavour not in versions:
            try:
                versions[record.flavour] = str(load_flavour(record.flavour).__version__)
            except CrispstreamError:
                versions[record.flavour] = None
        return misfit(record, versions[record.flavour], gpu)

    return judge


def _facts(entry: "Entry", judge: "Judge") -> dict[str, Any]:
    """Return what is known of an engine as JSON content."""
    used = datetime.fromtimestamp(entry.used_at, timezone.utc)
    return {
        "name": entry.name,
        "path": str(entry.path),
        "disk_bytes": entry.disk_bytes,
        "last_used": used.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "damage": entry.damage,
        "misfit": judge(entry.record) if entry.record else "",
        **(asdict(entry.record) if entry.record else {}),
    }


def _listing(entries: "list[Entry]", judge: "Judge") -> "Table":
    """Return the table; its names are short where the terminal is narrow."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    wide = Console().width >= _WIDE_COLUMNS
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=wide, overflow="fold")
    table.add_column("engine", min_width=12, overflow="fold")
    table.add_column("MB", justify="right", no_wrap=True)
    table.add_column("last used", no_wrap=True)
    table.add_column("re-check", no_wrap=True)
    table.add_column("fits here", min_width=12)
    names = [entry.name for entry in entries]
    for entry in entries:
        record = entry.record
        table.add_row(
            Text(entry.name if wide else _short(entry.name, names)),
            Text(f"{record.bundle} {record.precision} {record.sizes}" if record else "unknown"),
            f"{entry.disk_bytes / 1e6:.1f}",
            _ago(datetime.now(timezone.utc).timestamp() - entry.used_at),
            _verdict(record),
            Text(_fits(entry, judge)),
        )
    return table


def _fits(entry: "Entry", judge: "Judge") -> str:
    if entry.damage or entry.record is None:
        return f"damaged: {entry.damage}"
    reason = judge(entry.record)
    return f"no: {reason}" if reason else "yes"


def _verdict(record: "EngineRecord | None") -> str:
    passed = record.recheck.get("passed") if record else None
    return "not run" if passed is None else "passed" if passed else "failed"


def _short(name: str, names: list[str]) -> str:
    """Return the digits at the end of a name, if no other name has them.

    >>> _short("edge-s.fp16.320x180.tensorrt-rtx-1.7.1.3fa9c1d2", [])
    '3fa9c1d2'
    """
    digits = name.rpartition(".")[2]
    alone = sum(digits in other for other in names) <= 1
    return digits if alone and re.fullmatch(r"[0-9a-f]{8}", digits) else name


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


def _parse_bytes(text: str) -> int:
    """Return a size on the disk in bytes.

    >>> _parse_bytes("4GB"), _parse_bytes("1.5 MiB")
    (4000000000, 1572864)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG]i?B)", text.strip())
    if not match or match[2] not in _UNITS:
        raise UsageError(
            f"the size '{text}' is not a number with {', '.join(_UNITS)}; give for instance 4GB"
        )
    return int(float(match[1]) * _UNITS[match[2]])


def _megabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _counted(entries: "list[Entry]") -> str:
    total = _megabytes(sum(entry.disk_bytes for entry in entries))
    return f"{len(entries)} engine{'' if len(entries) == 1 else 's'}, {total}"


def _tell_removed(removed: "list[Entry]", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"removed": [entry.name for entry in removed]}))
        return
    for entry in removed:
        typer.echo(f"removed {entry.name} ({_megabytes(entry.disk_bytes)})")
    if not removed:
        typer.echo("nothing to remove")


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested facts as ("a.b", text)."""
    rows = []
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple | dict):
            rows.append((prefix + key, ", ".join(map(str, value)) or "none"))
        else:
            rows.append((prefix + key, "-" if value is None or value == "" else str(value)))
    return rows
