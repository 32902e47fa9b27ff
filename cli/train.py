"""`crispstream train`: a recipe and a folder of pictures make a checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from crispstream.train.recipes.recipe import Recipe


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="edge-n, edge-s, edge-m; gfn, ms2net, cnlrn, cmsc, cmos-nyuv2 and others: a wrong "
            "name prints all. With -smoke: a short trial on a laptop; with -qat: for int8 graphs."
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Folder of sharp images or videos, may be repeated; for the published recipes "
            "the data set they name, made by `crispstream data build`."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for the checkpoint and the logs; default: runs/RECIPE."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="WEIGHTS",
            help="Start from trained weights: a shipped model's name, or the path of a checkpoint. "
            "`edge-s --from edge-s` is fine-tuning and takes the short recipe edge-s-tune.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder of plan.json and ranges.json, BUNDLE/calibration: for the recipes -qat, "
            "which start --from trained weights."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Trained network to learn from beside the truth, named as for --from: for recipes "
            "whose objective ends in -distilled.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of each stage, instead of the recipe's.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Stop after so long, as if interrupted; go on with --resume."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with an interrupted run: add it to the same command."),
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
    from crispstream.core.optional import require

    require("torch", "train")
    require("lightning", "train")
    from crispstream.train.loop import train as learn
    from crispstream.train.recipes.registry import build_recipe, with_steps, without_files
    from crispstream.train.shipped import starting_weights

    weights = starting_weights(start) if start is not None else None
    name = _short_form(recipe) if start == recipe else recipe
    chosen = without_files(build_recipe(name), exclude or ())
    if steps:
        chosen = with_steps(chosen, steps)
    if name != recipe:
        _tell_fine_tuning(name, chosen, weights)
    path = learn(
        chosen,
        data,
        output or Path("runs", name),
        start=weights,
        calibration=calibration,
        teacher=starting_weights(teacher) if teacher is not None else None,
        minutes=minutes,
        resume=resume,
        overwrite=overwrite,
        cache=cache,
        workers=workers,
        progress=_teller(),
    )
    bundle = f"bundles/{chosen.model}"
    typer.echo(f"wrote {path}; next: crispstream export {path} -o {bundle}")
    if chosen.quantised:
        files = f"--ranges {path.parent}/ranges.json --layers {path.parent}/plan.json"
        typer.echo(f"then: crispstream calibrate {bundle} {files} -o {bundle}-int8")


def _short_form(recipe: str) -> str:
    """Return the recipe that fine-tunes the shipped weights of the same name, if there is one."""
    from crispstream.train.recipes.registry import recipe_names

    short = f"{recipe}-tune"
    return short if short in recipe_names() else recipe


def _tell_fine_tuning(name: str, chosen: "Recipe", weights: Path | None) -> None:
    """Say which recipe is taken, and how to have the other one."""
    typer.echo(
        f"fine-tuning {chosen.model}: recipe {name}, {chosen.steps:,} steps, learning rate "
        f"{chosen.learning_rate:g} at most (the whole recipe {chosen.model} from the same "
        f"weights: --from {weights})",
        err=True,
    )


def _teller() -> Callable[[str], None]:
    """Return what shows one line on stderr: renewed on a terminal, a line each in a log."""
    from rich.console import Console

    console = Console(stderr=True)
    end = "\r" if console.is_terminal else "\n"
    return lambda text: console.print(text, end=end)
