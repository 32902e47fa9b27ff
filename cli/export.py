"""`crispstream export`: a checkpoint becomes a bundle or plain ONNX, proved equal to PyTorch."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from crispstream.core.sizes import parse_size


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A .safetensors file of crispstream train.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new bundle.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle; default: the network's.")
    ] = None,
    licence: Annotated[
        str, typer.Option(help="SPDX identifier of the weights' licence.")
    ] = "LicenseRef-unspecified",
    card: Annotated[
        Path | None,
        typer.Option(help="Model card, Markdown; default: the .md beside the checkpoint."),
    ] = None,
    frames: Annotated[
        Path | None, typer.Option(help="Folder of LR PNG frames to check on; default: the kit's.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Frame size of the graphs, WIDTHxHEIGHT in pixels; default: 320x180. "
            "Not for edge networks, whose graphs take any size."
        ),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32 or fp16, may be repeated; default: both.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line only.")] = False,
) -> None:
    """Export fp32 and fp16 graphs and write how far each is from PyTorch.

    A network that restores frames becomes a bundle, any other a folder of plain ONNX. A model card
    (.md) and a contact sheet (.jpg) beside the checkpoint, of its name, go into the bundle.
    """
    from rich.console import Console

    from crispstream.core.optional import require

    for module in ("torch", "onnx", "onnxsim"):
        require(module, "export")
    from crispstream.export.card import card_with_sheet, read_card, read_contact_sheet
    from crispstream.export.check_frames import read_frames, shipped_frames
    from crispstream.export.exporter import PRECISIONS, export_bundle, makes_bundle
    from crispstream.export.plain import export_plain
    from crispstream.train.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    width_height = parse_size(size) if size else None
    bundled = makes_bundle(loaded.network(), width_height)
    text = read_card(loaded, card or checkpoint.with_suffix(".md"), required=card is not None)
    sheet_file = checkpoint.with_suffix(".jpg")
    sheet = read_contact_sheet(sheet_file) if bundled else None
    write = partial(export_bundle, contact_sheet=sheet) if bundled else export_plain
    with Console(stderr=True, quiet=as_json).status("exporting") as status:
        write(
            loaded,
            output,
            name=name or loaded.recipe.model,
            licence=licence,
            card=text if sheet is None else card_with_sheet(text, sheet_file.name),
            frames=read_frames(frames) if frames else shipped_frames(),
            size=width_height,
            precisions=precision or PRECISIONS,
            overwrite=overwrite,
            progress=lambda words: status.update(words),
        )
    _show(output, bundled=bundled, as_json=as_json)


_EDGE_COLUMNS = {
    "precision": "graph",
    "bytes_largest": "bytes, largest",
    "bytes_changed_share": "bytes changed",
    "float_largest": "before rounding",
    "bytes_largest_from_fp32": "from fp32, bytes",
}
_COLUMNS = {
    "precision": "graph",
    "size": "size",
    "relative_error": "floats, relative",
    "limit": "limit",
    "relative_error_from_fp32": "from fp32",
    "rounding_to_fp16": "fp16 arithmetic",
    "bytes_largest": "bytes, largest",
}


def _show(path: Path, *, bundled: bool, as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.table import Table

    from crispstream.core.bundle import CERTIFICATE

    graphs = json.loads((path / CERTIFICATE).read_text(encoding="utf-8"))["graphs"]
    if as_json:
        typer.echo(json.dumps({"bundle" if bundled else "folder": str(path), "graphs": graphs}))
        return
    of_edge = all("float_largest" in figures for figures in graphs.values())
    columns = _EDGE_COLUMNS if of_edge else _COLUMNS
    unit = " in grey levels" if of_edge else ""
    table = Table(*columns.values(), title=f"difference from PyTorch{unit}")
    for figures in graphs.values():
        table.add_row(*(_text(figures.get(key, "-")) for key in columns))
    Console().print(table)
    then = f"; next: crispstream run CLIP OUT.mp4 --model {path}" if bundled else ""
    typer.echo(f"wrote {path}{then}")


def _text(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
