"""`crispstream export`: a checkpoint becomes a bundle, proved equal to its network."""

from pathlib import Path
from typing import Annotated

import typer


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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line only.")] = False,
) -> None:
    """Export fp32 and fp16 graphs and write how far each is from PyTorch."""
    from rich.console import Console

    from crispstream.core.optional import require

    for module in ("torch", "onnx", "onnxsim"):
        require(module, "export")
    from crispstream.export.card import read_card
    from crispstream.export.exporter import export_bundle, read_frames, shipped_frames
    from crispstream.train.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    with Console(stderr=True, quiet=as_json).status("exporting") as status:
        bundle = export_bundle(
            loaded,
            output,
            name=name or loaded.recipe.model,
            licence=licence,
            card=read_card(
                loaded, card or checkpoint.with_suffix(".md"), required=card is not None
            ),
            frames=read_frames(frames) if frames else shipped_frames(),
            overwrite=overwrite,
            progress=lambda words: status.update(words),
        )
    _show(bundle.path, dict(bundle.certificate()["graphs"]), as_json)


def _show(path: Path, graphs: dict[str, dict[str, object]], as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.table import Table

    if as_json:
        typer.echo(json.dumps({"bundle": str(path), "graphs": graphs}))
        return
    columns = {
        "precision": "graph",
        "bytes_largest": "bytes, largest",
        "bytes_changed_share": "bytes changed",
        "float_largest": "before rounding",
        "bytes_largest_from_fp32": "from fp32, bytes",
    }
    table = Table(*columns.values(), title="difference from PyTorch in grey levels")
    for figures in graphs.values():
        table.add_row(*(_text(figures[key]) for key in columns))
    Console().print(table)
    typer.echo(f"wrote {path}; next: crispstream run CLIP OUT.mp4 --model {path}")


def _text(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
