"""`crispstream engines`: the engines that this machine keeps."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispstream.core.errors import CrispstreamError, EngineError, UsageError

from .engines_text import Judge, counted, disk_text, flat_rows, listing

if TYPE_CHECKING:
    from crispstream.runtime.engine.store.entries import Entry
    from crispstream.runtime.engine.store.record import EngineRecord
    from crispstream.runtime.engine.store.removing import Removal
    from crispstream.runtime.engine.store.store import EngineStore

BUILD = "crispstream build edge-s --precision fp16 --size 320x180"
_UNITS = {
    **{"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40},
}

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
    store, judge = _readable_store(), _judge()
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

        Console().print(listing(entries, judge))
        limit = disk_text(store.limit_bytes)
        typer.echo(f"{counted(entries)} of at most {limit}, in {store.engines}")
    else:
        typer.echo(_nothing_kept(store))
    for folder in failed:
        typer.echo(f"failed its re-check: {folder}")


@engines_app.command(epilog="Example: crispstream engines show edge-s.fp16.320x180")
def show(name: Name, as_json: AsJson = False) -> None:
    """Show all that is known of an engine, and check its hash."""
    facts = _facts(_readable_store().entry(name), _judge())
    if as_json:
        typer.echo(json.dumps(facts))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    table.add_column(min_width=16)
    table.add_column(overflow="fold")
    for fact, value in flat_rows(facts):
        table.add_row(fact, Text(value))
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

    if everything == bool(names):
        raise UsageError(
            "give either the names of engines to remove, or --all; see them with: crispstream "
            "engines list"
        )
    store = _readable_store()
    entries = store.entries()
    chosen = entries if everything else [the_one(entries, name) for name in names or ()]
    once = {entry.name: entry for entry in chosen}  # two parts may be of one name
    _tell(store, store.remove_all(once.values()), as_json=as_json)


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
    limit_bytes = None if limit is None else _parse_bytes(limit)
    store = _readable_store()
    _tell(store, store.prune(limit_bytes, unused), as_json=as_json)
    if not as_json:
        typer.echo(f"{counted(store.entries())} kept in {store.engines}")


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


def _judge() -> Judge:
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


def _facts(entry: "Entry", judge: Judge) -> dict[str, Any]:
    """Return what is known of an engine as JSON content."""
    used = datetime.fromtimestamp(entry.used_at, timezone.utc)
    return {
        "name": entry.name,
        "path": str(entry.path),
        "disk_bytes": entry.disk_bytes,
        "last_used": used.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "damage": entry.damage,
        "misfit": judge(entry.record) if entry.record else entry.obstacle,
        **(asdict(entry.record) if entry.record else {}),
    }


def _readable_store() -> "EngineStore":
    from crispstream.runtime.engine.store.places import VARIABLE
    from crispstream.runtime.engine.store.store import EngineStore

    store = EngineStore()
    if reason := store.unreadable():
        raise EngineError(
            f"the engines in {store.engines} cannot be listed ({reason}); set {VARIABLE} to the "
            "folder where they are kept, or to a new one"
        )
    return store


def _nothing_kept(store: "EngineStore") -> str:
    from crispstream.runtime.engine.store.places import VARIABLE

    if reason := store.refusal():
        return (
            f"no engines are kept in {store.engines}, and none can be ({reason}); set {VARIABLE} "
            "to a folder that can be written"
        )
    return f"no engines are kept in {store.engines} yet; build one with: {BUILD}"


def _parse_bytes(text: str) -> int:
    """Return a size on the disk in bytes.

    >>> _parse_bytes("4GB"), _parse_bytes("1.5 mib")
    (4000000000, 1572864)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip().lower())
    units = {unit.lower(): size for unit, size in _UNITS.items()}
    if not match or match[2] not in units:
        raise UsageError(
            f"the size '{text}' is not a number with {', '.join(_UNITS)}; give for instance 4GB"
        )
    return int(float(match[1]) * units[match[2]])


def _tell(store: "EngineStore", removal: "Removal", *, as_json: bool) -> None:
    """Tell what was removed, then raise for what was not."""
    if as_json:
        names = [entry.name for entry in removal.removed]
        typer.echo(json.dumps({"removed": names, "stuck": removal.stuck}))
    else:
        for line in _removed_lines(removal):
            typer.echo(line)
    if removal.stuck:
        from crispstream.runtime.engine.store.entries import some

        stuck = some([f"{name} ({reason})" for name, reason in removal.stuck.items()])
        raise EngineError(f"cannot be removed: {stuck}; check who may write to {store.engines}")


def _removed_lines(removal: "Removal") -> Iterable[str]:
    for entry in removal.removed:
        yield f"removed {entry.name} ({disk_text(entry.disk_bytes)})"
    if not removal.removed and not removal.stuck:
        yield "nothing to remove"
