"""A fair fight: networks on the same crops, for the same number of steps, with the same loss.

The published ones are a quarter as wide by default, so that a CPU can train them, and their
residual blocks start at a tenth: from the published start, whose first outputs are in the
thousands, so few steps do not lead back. GFN learns its gate in the second half, as published. The
edge networks are as they ship. What a training costs is told beside, in CPU time and by the clock.

    python benchmarks/fair_fight.py --save
    python benchmarks/fair_fight.py --network srresnet --network edge-s --steps 200 --threads 2

A network takes minutes to an hour on two cores. At its full width srresnet takes 50 times the work
of edge-s: a few hundred steps on a CPU, thousands on a GPU, where benchmarks/campaign.py trains it
without media by the same recipe. Checkpoints stay in --runs; one that is there is not trained
again.
"""

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from common import arguments, publish, result
from held_out import real, synthetic
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
    recipe = replace(
        build_recipe("edge-s"),
        model=name,
        steps=steps,
        batch=BATCH,
        patch_px=PATCH_PX,
        patches=(),
        # The loss that all networks understand.
        objective="charbonnier",
        weights=(),
    )
    if name not in ("gfn", "gfn-w16"):
        return recipe
    first = replace(recipe, model=f"{name}-ungated", stage="ungated", steps=steps // 2)
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


def trained(name: str, chosen: argparse.Namespace) -> tuple[Path, dict[str, float]]:
    """Return the checkpoint of a network, and the CPU seconds and seconds its training took."""
    folder = chosen.runs / f"{name}-{chosen.steps}"
    path, clock = folder / f"{name}.safetensors", folder / "seconds.json"
    if not (path.exists() and clock.exists()):
        recipe = recipe_of(name, chosen.steps)
        start = calm_start(recipe.stages()[0], folder)
        cpu, wall = time.process_time(), time.monotonic()
        train(
            recipe,
            [chosen.data],
            folder,
            start=start,
            overwrite=True,
            cache=chosen.cache,
            threads=chosen.threads,
        )
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        seconds = {"training_cpu_seconds": round(cpu), "training_seconds": round(wall)}
        clock.write_text(json.dumps(seconds))
        print(f"{name}: {chosen.steps} steps in {wall:.0f} s, {cpu:.0f} s of CPU", flush=True)
    return path, json.loads(clock.read_text())


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
    parser.add_argument("--network", action="append", help=f"instead of {', '.join(NETWORKS)}")
    chosen = parser.parse_args()
    facts: dict[str, Any] = {"bicubic": {}}
    models: dict[str, Restore] = {"bicubic": upscale_x4}
    for name in chosen.network or NETWORKS:
        path, seconds = trained(name, chosen)
        models[name] = restoring(load_checkpoint(path).network())
        facts[name] = {**size_of(name), **seconds}
    sets = {"synthetic": synthetic(chosen.data, 32.0, 0.12), "real": real(chosen.data)}
    for title, samples in sets.items():
        for score in evaluate(models, samples):
            facts[score.model][title] = asdict(score)
    settings = {
        "steps": chosen.steps,
        "batch": BATCH,
        "patch_px": PATCH_PX,
        "threads": chosen.threads,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
    }
    publish(result("fair_fight", settings=settings, figures=facts, limits={}), chosen)


if __name__ == "__main__":
    main()
