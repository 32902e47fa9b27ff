"""What quantisation-aware fine-tuning gives back, with every layer but the first in int8.

Two calibrations: a clip of the road, cut to 320x180, and the same clip three times darker, whose
ranges clip what daylight needs. For each and for both flavours: PSNR of fp32, of int8 rounding put
on its weights, and of the same rounding on fine-tuned weights. The rounding is train/qat.py's, in
floating point; certificates judge real INT8 graphs. Judged on sources that were never trained on
or calibrated with. Needs the data folder (not part of the project).
"""

import copy
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import MODELS, ROOT, Limit, arguments, publish, result
from held_out import real, synthetic
from torch import Tensor, nn

from crispstream.core.int8 import FLAVOURS
from crispstream.core.metrics import mean_of, psnr_db, ssim
from crispstream.core.pixels import Bytes
from crispstream.runtime.stream.source import open_source
from crispstream.train.checkpoint import load_checkpoint
from crispstream.train.evaluate import Restore, Sample
from crispstream.train.loop import train
from crispstream.train.placement import read_placement
from crispstream.train.qat import quantised_copy
from crispstream.train.recipes.recipe import Recipe, recipe_as_dict
from crispstream.train.recipes.registry import build_recipe, with_steps
from crispstream.train.restoring import restoring

EVERY = 24
"""Of the clip's frames one in so many is calibrated with."""
CLIP = "video/dashcam_solidWhiteRight_540p25.mp4"
CLIPS = {"day": 1, "dark": 3}
"""Calibrations, and what grey levels are divided by in each."""
PERCENTILE = 99.99
REGAINED_AT_LEAST = 0.5
LOSS_AT_MOST_DB = 0.1


def measured_ranges(network: nn.Module, frames: Sequence[Bytes]) -> dict[str, dict[str, float]]:
    """Return the range of what each convolution of the deployed network reads, by its path."""
    deployed = copy.deepcopy(network)
    seen: dict[str, list[tuple[float, float]]] = {}

    def look(path: str, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        ends = np.percentile(given[0].numpy(), (100 - PERCENTILE, PERCENTILE))
        seen.setdefault(path, []).append((float(ends[0]), float(ends[1])))

    for path, module in deployed.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(partial(look, path))
    restore = restoring(deployed)
    for frame in frames:
        restore(frame)
    ranges = {}
    for path, ends in seen.items():
        low, high = min(0.0, *(low for low, _ in ends)), max(high for _, high in ends)
        ranges[path] = {"amax": max(-low, high), "low": low, "high": high}
    return ranges


def clip_frames(clip: Path) -> list[Bytes]:
    """Return the middle 320x180 of each frame of a clip."""
    source = open_source(str(clip))
    top, left = (source.info.height - 180) // 2, (source.info.width - 320) // 2
    frames = [frame.pixels_hwc[top : top + 180, left : left + 320].copy() for frame in source]
    source.close()
    return frames


def write_calibration(folder: Path, ranges: Mapping[str, Mapping[str, float]]) -> None:
    """Write plan.json and ranges.json with all layers but the first in int8, in both flavours."""
    nodes = {path: f"/{path}/Conv" for path in ranges}
    chosen = {"layers": list(nodes.values())[1:]}
    plan = {
        "schema": 1,
        "kind": "quantisation plan",
        "graphs": dict.fromkeys(FLAVOURS, chosen),
        "layers": {node: {"input": path} for path, node in nodes.items()},
    }
    measured = {
        "schema": 1,
        "kind": "ranges",
        "method": f"percentile {PERCENTILE}",
        "tensors": ranges,
    }
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "ranges.json").write_text(json.dumps(measured))


def judged(
    models: Mapping[str, Restore], sets: Mapping[str, Callable[[], Any]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return mean figures by set and model; the first model is what the others are held against."""
    first = next(iter(models))
    found: dict[str, dict[str, dict[str, float]]] = {}
    for title, samples in sets.items():
        rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in models}
        for sample in samples():
            reference = models[first](sample.lr)
            for name, restore in models.items():
                rows[name].append(_row(restore(sample.lr), sample, reference))
        found[title] = {name: _means(row, name == first) for name, row in rows.items()}
    return found


def _row(restored: Bytes, sample: Sample, reference: Bytes) -> tuple[float, float, float]:
    return psnr_db(restored, sample.hr), ssim(restored, sample.hr), psnr_db(restored, reference)


def _means(rows: Sequence[tuple[float, float, float]], is_reference: bool) -> dict[str, float]:
    quality, similarity, fidelity = (mean_of(list(column)) for column in zip(*rows, strict=True))
    means = {"psnr_db": quality, "ssim": similarity}
    return means if is_reference else {**means, "to_fp32_db": fidelity}


def rounded_models(
    network: nn.Module, recipe: Recipe, start: Path, calibration: Path, data: Path
) -> dict[str, Restore]:
    """Return the network of `start` under a recipe's rounding, as it is and fine-tuned for it."""
    out = calibration / recipe.quantised
    checkpoint = train(
        recipe,
        [data / "train/stills"],
        out,
        start=start,
        calibration=calibration,
        cache=ROOT / "build/pools",
        threads=1,
    )
    placement = read_placement(calibration, recipe.quantised, recipe.model)
    forms = {"ptq": network, "qat": load_checkpoint(checkpoint).network()}
    rounded = {word: quantised_copy(weights, placement).eval() for word, weights in forms.items()}
    return {word: restoring(copied) for word, copied in rounded.items()}


def main() -> None:
    """Calibrate, quantise, fine-tune and judge."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="edge-n", choices=MODELS)
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    chosen = parser.parse_args()
    start = ROOT / f"train/weights/{chosen.model}.safetensors"
    network = load_checkpoint(start).network()
    frames = clip_frames(chosen.data / CLIP)[::EVERY]
    recipes = [build_recipe(f"{chosen.model}{ending}") for ending in ("-qat", "-qat-cpu")]
    recipes = [with_steps(recipe, chosen.steps or recipe.steps) for recipe in recipes]
    models: dict[str, Restore] = {"fp32": restoring(network)}
    with tempfile.TemporaryDirectory() as name:
        for clip, divisor in CLIPS.items():
            darker = [frame // divisor for frame in frames]
            write_calibration(Path(name, clip), measured_ranges(network, darker))
            for recipe in recipes:
                made = rounded_models(network, recipe, start, Path(name, clip), chosen.data)
                models |= {f"{clip} {recipe.quantised} {word}": made[word] for word in made}
    sets = {
        "synthetic": partial(synthetic, chosen.data, 32.0, 0.12),
        "real": partial(real, chosen.data),
    }
    figures = judged(models, sets)
    settings = {
        "recipes": [recipe_as_dict(recipe) for recipe in recipes],
        "percentile": PERCENTILE,
        "frames": len(frames),
        "clips": CLIPS,
    }
    limits = _limits(figures["synthetic"])
    publish(result("qat", settings=settings, figures=figures, limits=limits), chosen)


def _limits(scores: Mapping[str, Mapping[str, float]]) -> dict[str, Limit]:
    limits = {}
    for flavour in FLAVOURS:
        loss = {
            (clip, word): scores["fp32"]["psnr_db"] - scores[f"{clip} {flavour} {word}"]["psnr_db"]
            for clip in CLIPS
            for word in ("ptq", "qat")
        }
        regained = 1 - loss["dark", "qat"] / loss["dark", "ptq"]
        limits[f"{flavour}_dark_share_regained"] = Limit(regained, at_least=REGAINED_AT_LEAST)
        limits[f"{flavour}_loss_db"] = Limit(loss["day", "qat"], at_most=LOSS_AT_MOST_DB)
    return limits


if __name__ == "__main__":
    main()
