"""The smoke twins of all published recipes, whole: does every stage lower its loss?

Each stage is judged on the same sixteen patches before and after, as it is trained: batch norms
use the batch, except those that are frozen.

    python benchmarks/smoke.py --save
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from common import Limit, arguments, publish, result
from torch.utils.data import default_collate

from crispstream.train.checkpoint import load_checkpoint
from crispstream.train.data.patches import PatchSet, as_floats
from crispstream.train.data.samples import open_samples
from crispstream.train.loop import stage_task, train
from crispstream.train.objectives import build_objective
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.recipes.registry import build_recipe, recipe_names, with_steps
from crispstream.train.runs import StageRun, runs_of

PATCHES = 16
UNSEEN_SEED = 999


def loss_of(network: torch.nn.Module, stage: Recipe, batch: dict[str, torch.Tensor]) -> float:
    """Return the stage's objective on a batch, as in training but without learning."""
    with torch.no_grad():
        objective = build_objective(stage.objective)
        return float(objective.loss(network.train(), batch, dict(stage.weights)))


def judged(run: StageRun, before: list[StageRun], chosen: Any) -> dict[str, float]:  # noqa: ANN401
    """Return the loss of a stage where it began and where it ended."""
    stage = run.stage
    samples = open_samples(stage.pool, [chosen.data], chosen.cache, 1)
    patches = PatchSet(
        samples,
        build_objective(stage.objective).needs,
        items=PATCHES,
        patch_px=stage.patch_px,
        augment=stage.augment,
        seed=UNSEEN_SEED,
    )
    batch = as_floats(default_collate([patches[item] for item in range(PATCHES)]))
    begun = stage_task(run, before, samples).network
    ended = load_checkpoint(run.checkpoint).network()
    return {"before": loss_of(begun, stage, batch), "after": loss_of(ended, stage, batch)}


def main() -> None:
    """Train every twin and judge its stages."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("build/pools"))
    parser.add_argument("--steps", type=int, help="steps of a stage instead of the twins' own")
    parser.add_argument("--only", action="append", help="name of a recipe; may be repeated")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    names = chosen.only or [n for n in recipe_names() if n.endswith("-smoke") and "edge" not in n]
    figures: dict[str, Any] = {}
    for name in names:
        recipe = build_recipe(name)
        recipe = with_steps(recipe, chosen.steps) if chosen.steps else recipe
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            train(recipe, [chosen.data], out, cache=chosen.cache, threads=1)
            runs = runs_of(recipe, out)
            figures[name] = {
                run.stage.stage or "last": judged(run, runs[:number], chosen)
                for number, run in enumerate(runs)
            }
        print(name, figures[name], flush=True)
    ratios = [s["after"] / s["before"] for stages in figures.values() for s in stages.values()]
    limits = {"largest_loss_after_over_before": Limit(max(ratios), at_most=1.0)}
    settings = {"patches": PATCHES, "steps": chosen.steps or "the twins' own"}
    publish(result("smoke", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
