"""`crispstream import`: weights that a system's authors published become a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer


def import_weights(
    system: Annotated[str, typer.Argument(help="gfn or cnlrn.")],
    path: Annotated[Path, typer.Argument(help="The authors' file: .pth, .pt or .pkl.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The new checkpoint, .safetensors.")
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the checkpoint.")] = False,
) -> None:
    """Import published weights: tensors only, nothing in the file is run."""
    from crispstream.core.optional import require

    require("torch", "train")
    from crispstream.train.importing import import_checkpoint

    written = import_checkpoint(system, path, output, overwrite=overwrite)
    typer.echo(
        f"wrote {written}; next: crispstream evaluate {written} bicubic --data PAIRS "
        f"--protocol {system}"
    )
