"""`crispstream inspect`: what a bundle, an ONNX graph or an engine file is."""

import json as json_text
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispstream.core.errors import BundleError, UsageError
from crispstream.core.sizes import parse_size, size_text

from .engines_text import flat_rows

if TYPE_CHECKING:
    from rich.table import Table

    from crispstream.core.bundle import Bundle, Graph

Facts = dict[str, Any]
"""JSON content; "kind" is bundle, graph or engine."""

_LISTED = 6
"""Entries of a list that a table shows."""

_LARGEST_GROUP = 20
"""Nested facts that a table shows one by one; of more it shows the number."""

_FIGURES = {
    "judged_by": "judged by",
    "passed": "passed",
    "reason": "why not",
    "emulated": "emulated",
    "int8_layers": "INT8 layers",
    "frames": "frames",
    "psnr_db": "PSNR, dB",
    "psnr_loss_db": "PSNR lost, dB",
    "ssim_loss": "SSIM lost",
    "largest_colour_drift_levels": "colour drift",
    "flicker_levels": "flicker",
    "speed_over_fp32": "speed, x fp32",
    "bytes_largest": "byte error",
    "relative_error": "relative error",
    "limit": "allowed",
    "inner_share": "bytes within 1..254",
}
"""What a table shows of a certificate, and how it is called there."""


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
    try:
        if not path.is_file():  # fails for a name that is too long
            return _bundle_facts(thing)
        return _graph_facts(path, size) if path.suffix == ".onnx" else _engine_facts(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; check the path") from error


def _bundle_facts(thing: str) -> Facts:
    from crispstream.runtime.engine.models import find_model

    bundle = find_model(thing)
    for graph in bundle.graphs:
        bundle.graph_bytes(graph)  # raises where a hash is wrong
    for name in bundle.files:
        bundle.file_bytes(name)
    content = {**asdict(bundle), "path": str(bundle.path)}
    content["graphs"] = [
        {**asdict(graph), "certified": bundle.certified(graph), "layers": _layers(bundle, graph)}
        for graph in bundle.graphs
    ]
    return {"kind": "bundle", **content, "certificate": dict(bundle.certificate())}


def _layers(bundle: "Bundle", graph: "Graph") -> int | None:
    """Return how many layers of a graph the bundle tells of."""
    try:
        return len(bundle.layers_of(graph).layers)
    except BundleError:  # made by an older kit
        return None


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
    from crispstream.runtime.engine.store.header import rtx_version
    from crispstream.runtime.engine.store.record import read_engine

    engine, record = read_engine(path)
    if record is not None:
        return {"kind": "engine", "path": str(path), **asdict(record)}
    version = rtx_version(engine)
    if not version:
        raise UsageError(
            f"{path} is neither an .onnx graph nor an engine this kit built (it has no "
            f"{path.name}.json beside it); give a bundle, an .onnx file or an engine"
        )
    return {
        "kind": "engine",
        "path": str(path),
        "engine_bytes": len(engine),
        "flavour": "tensorrt-rtx",
        "flavour_version": version,
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
        if isinstance(value, Mapping) and len(value) > _LARGEST_GROUP:
            yield f"{prefix}{key}", f"{len(value):,} entries (--json lists them)"
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _bundle_tables(facts: Facts) -> Iterator["Table"]:
    states = [f"{s['name']} ({s['channels']} channels, 1/{s['divisor']})" for s in facts["states"]]
    yield _table(
        f"bundle {facts['name']}",
        {
            "path": facts["path"],
            "scale": facts["scale"],
            "size multiple": f"{facts['size_multiple']} px",
            "halo": f"{facts['halo_px']} px" if facts["halo_px"] else "the whole frame",
            "frame size": size_text(facts["frame_size"]) if facts["frame_size"] else "any",
            "states": states,
            "licence": facts["licence"],
            "files": f"{len(facts['graphs']) + len(facts['files'])}, every hash is right",
        },
    )
    yield _graphs_table(facts)
    yield from _certificate_tables(facts)
    for title, part in (
        ("training", facts["training"]),
        ("input statistics", facts["input_statistics"]),
    ):
        if part:
            yield _table(title, dict(_flat(part)))


def _graphs_table(facts: Facts) -> "Table":
    """One column a graph: four of them fit a terminal of 80 columns."""
    from rich.table import Table

    columns = [
        {
            "certified": _shown(graph["certified"]),
            "file": graph["file"],
            "opset": str(graph["opset"]),
            "layers": _shown(graph["layers"]),
            "MMAC at 320x180": f"{graph['macs_per_lr_pixel'] * 320 * 180 / 1e6:,.0f}"
            if graph["macs_per_lr_pixel"]
            else "-",
            "SHA-256": graph["sha256"][:12],
            "backends": "\n".join(graph["backends"]),
        }
        for graph in facts["graphs"]
    ]
    names = [graph["precision"] for graph in facts["graphs"]]
    table = Table("", *names, title="graphs", title_justify="left")
    for fact in columns[0]:
        table.add_row(fact, *(column[fact] for column in columns))
    return table


def _certificate_tables(facts: Facts) -> Iterator["Table"]:
    """The main figures as rows, graphs as columns; a graph is named by its hash."""
    from rich.table import Column, Table

    found = facts["certificate"].get("graphs")
    judged = found if isinstance(found, Mapping) else {}
    columns = {
        graph["precision"]: dict(_flat(judged[graph["sha256"]]))
        for graph in facts["graphs"]
        if isinstance(judged.get(graph["sha256"]), Mapping)
    }
    if not columns:
        return
    headers = (Column(name, overflow="fold") for name in columns)
    title = "certificate (--json has all of it)"
    table = Table(Column("", overflow="fold"), *headers, title=title, title_justify="left")
    for figure, name in _FIGURES.items():
        values = [column.get(figure, "") for column in columns.values()]
        if any(value != "" for value in values):
            table.add_row(name, *("" if value == "" else _shown(value) for value in values))
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
    shown = {key: value for key, value in facts.items() if key not in hidden}
    yield _table(f"engine {facts['path']}", dict(flat_rows(shown)))


_TABLES = {"bundle": _bundle_tables, "graph": _graph_tables, "engine": _engine_tables}
