"""`crispstream train`: a recipe and a folder of pictures make a checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[
        str, typer.Argument(help="edge-n, -s or -m; edge-n-tune, edge-s-tune; edge-n-smoke.")
    ],
    data: Annotated[
        list[Path], typer.Option(help="Folder of sharp images or videos; may be repeated.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the checkpoint and the logs.")
    ],
    start: Annotated[
        Path | None, typer.Option("--from", help="Checkpoint to start from: fine-tuning.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps instead of the recipe's.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in --output.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where --output holds a run.")
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="Leave out files of such a name, 'IMG_01*'; may be repeated."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes beside this one that prepare data.")
    ] = 2,
    cache: Annotated[Path, typer.Option(help="Where prepared training crops are kept.")] = Path(
        "build/pools"
    ),
) -> None:
    """Train a network. TensorBoard logs are written beside the checkpoint."""
    from dataclasses import replace

    from crispstream.core.optional import require

    require("torch", "train")
    require("lightning", "train")
    from crispstream.train.loop import train as learn
    from crispstream.train.recipes import build_recipe

    chosen = build_recipe(recipe)
    left_out = (*chosen.pool.exclude, *(exclude or ()))
    chosen = replace(
        chosen, steps=steps or chosen.steps, pool=replace(chosen.pool, exclude=left_out)
    )
    path = learn(
        chosen,
        data,
        output,
        start=start,
        resume=resume,
        overwrite=overwrite,
        cache=cache,
        workers=workers,
        progress=_teller(),
    )
    typer.echo(f"wrote {path}; next: crispstream export {path} -o bundles/{chosen.model}")


def _teller() -> Callable[[str], None]:
    """Return what shows one line on stderr: renewed on a terminal, a line each in a log."""
    from rich.console import Console

    console = Console(stderr=True)
    end = "\r" if console.is_terminal else "\n"
    return lambda text: console.print(text, end=end)
