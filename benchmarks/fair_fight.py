"""A fair fight: networks on the same crops, for the same number of steps, with the same loss.

The published ones are a quarter as wide here, so that a CPU can train them, and their residual
blocks start at a tenth: from the published start, whose first outputs are in the thousands, so
few steps do not lead back. GFN learns its gate in the second half, as published. The edge
networks are as they ship. What a training costs is counted in CPU time beside.

    python benchmarks/fair_fight.py --save

A network takes minutes to an hour on two cores. Checkpoints stay in --runs; one that is there is
not trained again.
"""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from common import arguments, publish, result
from quality import real, synthetic
from torch import nn

from crispstream.core.bicubic import upscale_x4
from crispstream.export.static import macs
from crispstream.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from crispstream.train.evaluate import Restore, evaluate
from crispstream.train.loop import train
from crispstream.train.models.gfn import ResidualBlock
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.recipes.registry import build_recipe
from crispstream.train.restoring import restoring

NETWORKS = ("srresnet-w16", "gfn-w16", "edge-n", "edge-s")
STEPS = 4_000
BATCH, PATCH_PX = 8, 32
SCRATCH = Path("build/fair_fight")


def recipe_of(name: str, steps: int) -> Recipe:
    """Return the recipe of the shipped edge-s, shorter and for another network."""
    shipped = build_recipe("edge-s")
    recipe = replace(shipped, model=name, steps=steps, batch=BATCH, patch_px=PATCH_PX)
    if name != "gfn-w16":
        return recipe
    first = replace(recipe, model="gfn-w16-ungated", stage="ungated", steps=steps // 2)
    return replace(recipe, steps=steps // 2, starts=(("ungated", ""),), earlier=(first,))


def calm_start(recipe: Recipe, folder: Path) -> Path:
    """Write a checkpoint to start from: fresh weights, residual blocks at a tenth."""
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.model)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, ResidualBlock):
                last = [part for part in module.modules() if isinstance(part, nn.Conv2d)][-1]
                last.weight.mul_(0.1)
    path = folder / "start" / f"{recipe.model}.safetensors"
    save_checkpoint(path, Checkpoint(recipe, dict(network.state_dict()), 0, ()))
    return path


def trained(name: str, chosen: Any) -> tuple[Path, float]:  # noqa: ANN401
    """Return the checkpoint of a network and the CPU seconds its training took."""
    folder = chosen.runs / f"{name}-{chosen.steps}"
    path, clock = folder / f"{name}.safetensors", folder / "cpu_seconds.txt"
    if not path.exists():
        recipe = recipe_of(name, chosen.steps)
        start = calm_start(recipe.stages()[0], folder)
        begun = time.process_time()
        train(
            recipe,
            [chosen.data],
            folder,
            start=start,
            cache=chosen.cache,
            threads=chosen.threads,
        )
        clock.write_text(f"{time.process_time() - begun:.0f}")
    return path, float(clock.read_text())


def size_of(name: str) -> dict[str, float]:
    """Return parameters, and GMAC for 320x180 -> 1280x720."""
    network = build_network(name)
    parameters = sum(weights.numel() for weights in network.parameters())
    return {"parameters": parameters, "gmac": macs(network, 320, 180) / 1e9}


def main() -> None:
    """Train what is not trained, judge all."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=SCRATCH)
    parser.add_argument("--cache", type=Path, default=Path("build/pools"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    facts: dict[str, Any] = {"bicubic": {}}
    models: dict[str, Restore] = {"bicubic": upscale_x4}
    for name in NETWORKS:
        path, seconds = trained(name, chosen)
        models[name] = restoring(load_checkpoint(path).network())
        facts[name] = {**size_of(name), "training_cpu_seconds": seconds}
    sets = {"synthetic": synthetic(chosen.data, 32.0, 0.12), "real": real(chosen.data)}
    for title, samples in sets.items():
        for score in evaluate(models, samples):
            facts[score.model][title] = asdict(score)
    settings = {"steps": chosen.steps, "batch": BATCH, "patch_px": PATCH_PX}
    publish(result("fair_fight", settings=settings, figures=facts, limits={}), chosen)


if __name__ == "__main__":
    main()
