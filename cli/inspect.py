"""`crispstream inspect`: what a bundle, an ONNX graph or an engine file is."""

import json as json_text
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispstream.core.errors import UsageError

from .build import parse_size

if TYPE_CHECKING:
    from rich.table import Table

Facts = dict[str, Any]
"""JSON content; "kind" is bundle, graph or engine."""

# Header of a TensorRT-RTX engine; its version is at byte 24 (seen, not documented).
_RTX_MAGIC, _VERSION_AT = b"vtrt", 24

_LISTED = 6
"""Entries of a list that a table shows."""


def inspect(
    thing: Annotated[str, typer.Argument(help="Shipped name, bundle, .onnx file or engine file.")],
    size: Annotated[
        str, typer.Option(help="Frame size to count multiply-accumulates for, WIDTHxHEIGHT.")
    ] = "320x180",
    json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Show what a bundle, a graph or an engine holds, and check its hashes."""
    facts = _facts(thing, parse_size(size))
    if json:
        typer.echo(json_text.dumps(facts))
        return
    from rich.console import Console

    for table in _TABLES[facts["kind"]](facts):
        Console().print(table)


def _facts(thing: str, size: tuple[int, int]) -> Facts:
    path = Path(thing)
    if not path.is_file():
        return _bundle_facts(thing)
    try:
        return _graph_facts(path, size) if path.suffix == ".onnx" else _engine_facts(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; check the file") from error


def _bundle_facts(thing: str) -> Facts:
    from crispstream.runtime.engine.choose import find_model

    bundle = find_model(thing)
    for graph in bundle.graphs:
        bundle.graph_bytes(graph)  # raises where a hash is wrong
    for name in bundle.files:
        bundle.file_bytes(name)
    content = {**asdict(bundle), "path": str(bundle.path)}
    return {"kind": "bundle", **content, "certificate": dict(bundle.certificate())}


def _graph_facts(path: Path, size: tuple[int, int]) -> Facts:
    from crispstream.core.files import sha256_of

    from .inspect_graph import graph_facts

    onnx_bytes = path.read_bytes()
    facts = asdict(graph_facts(onnx_bytes, size))
    return {
        "kind": "graph",
        "path": str(path),
        "bytes": len(onnx_bytes),
        "sha256": sha256_of(onnx_bytes),
        **facts,
    }


def _engine_facts(path: Path) -> Facts:
    from crispstream.runtime.engine.record import read_record

    record = read_record(path)
    if record is not None:
        return {"kind": "engine", "path": str(path), **asdict(record)}
    with path.open("rb") as file:
        header = file.read(_VERSION_AT + 4)
    if header[:4] != _RTX_MAGIC or len(header) < _VERSION_AT + 4:
        raise UsageError(
            f"{path} is neither an .onnx graph nor an engine this kit built (it has no "
            f"{path.name}.json beside it); give a bundle, an .onnx file or an engine"
        )
    return {
        "kind": "engine",
        "path": str(path),
        "engine_bytes": path.stat().st_size,
        "flavour": "tensorrt-rtx",
        "flavour_version": ".".join(str(part) for part in header[_VERSION_AT:]),
        "note": f"no {path.name}.json beside it: only its header could be read",
    }


def _table(title: str, rows: Mapping[str, object]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(overflow="fold", min_width=16)
    for name, value in rows.items():
        table.add_row(name, Text(_shown(value), overflow="fold"))
    return table


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        first = ", ".join(_shown(item) for item in value[:_LISTED])
        more = f", and {len(value) - _LISTED:,} more (--json lists them)"
        return (first or "none") + (more if len(value) > _LISTED else "")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield nested facts as ("a.b", value)."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _bundle_tables(facts: Facts) -> Iterator["Table"]:
    from rich.table import Table

    states = [f"{s['name']} ({s['channels']} channels, 1/{s['divisor']})" for s in facts["states"]]
    yield _table(
        f"bundle {facts['name']}",
        {
            "path": facts["path"],
            "scale": facts["scale"],
            "size multiple": f"{facts['size_multiple']} px",
            "halo": f"{facts['halo_px']} px",
            "states": states,
            "licence": facts["licence"],
            "files": f"{len(facts['graphs']) + len(facts['files'])}, every hash is right",
        },
    )
    graphs = Table(title="graphs", title_justify="left")
    for column in ("precision", "file", "opset", "MMAC at 320x180", "SHA-256", "backends"):
        graphs.add_column(column)
    for graph in facts["graphs"]:
        macs = graph["macs_per_lr_pixel"] * 320 * 180 / 1e6
        backends = ", ".join(graph["backends"])
        prefix = graph["sha256"][:12]
        shown = f"{macs:,.0f}" if macs else "-"
        graphs.add_row(
            graph["precision"], graph["file"], str(graph["opset"]), shown, prefix, backends
        )
    yield graphs
    yield from _certificate_tables(facts)
    for title, part in (
        ("training", facts["training"]),
        ("input statistics", facts["input_statistics"]),
    ):
        if part:
            yield _table(title, dict(_flat(part)))


def _certificate_tables(facts: Facts) -> Iterator["Table"]:
    """Figures as rows, graphs as columns; a graph is named by its hash."""
    from rich.table import Table

    judged: Mapping[str, Any] = facts["certificate"].get("graphs", {})
    graphs = [graph for graph in facts["graphs"] if graph["sha256"] in judged]
    if not graphs:
        return
    table = Table("", *(g["precision"] for g in graphs), title="certificate", title_justify="left")
    columns = [dict(_flat(judged[graph["sha256"]])) for graph in graphs]
    for figure in dict.fromkeys(name for column in columns for name in column):
        table.add_row(figure, *(_shown(column.get(figure)) for column in columns))
    yield table


def _graph_tables(facts: Facts) -> Iterator["Table"]:
    width, height = facts["size"] or (0, 0)
    macs = "-" if facts["macs"] is None else f"{facts['macs'] / 1e9:.3f} GMAC"
    yield _table(
        f"graph {facts['path']}",
        {
            "inputs": facts["inputs"],
            "outputs": facts["outputs"],
            "opset": facts["opset"],
            "parameters": facts["parameters"],
            f"work at {width}x{height}" if facts["size"] else "work": macs,
            "size": f"{facts['bytes'] / 1e6:.2f} MB",
            "SHA-256": facts["sha256"],
        },
    )
    yield _table("operators", facts["operators"])


def _engine_tables(facts: Facts) -> Iterator["Table"]:
    hidden = {"kind", "path", "schema"}
    rows = {key.replace("_", " "): value for key, value in facts.items() if key not in hidden}
    yield _table(f"engine {facts['path']}", rows)


_TABLES = {"bundle": _bundle_tables, "graph": _graph_tables, "engine": _engine_tables}
