"""LR-Koehler: a test set made of the benchmark of camera shake (Koehler et al., ECCV 2012).

Four pictures, each shaken along twelve trajectories: 48 blurred photographs of 800x800 pixels and,
for each, the about 199 sharp ones that the camera took along the same trajectory. The benchmark
scores a result against all of these and keeps the best score. A folder of pairs has one truth for
each frame, so here it is the one that matches the blurred photograph best (highest PSNR at full
size); its number is in the name of the pair. GFN (Zhang et al., BMVC 2018) does not say which it
took, so scores are comparable among networks judged here, not with the published ones.
"""

import re
from collections.abc import Callable
from pathlib import Path

from crispstream.core.layouts import LAYOUTS
from crispstream.core.metrics import psnr_db

from .built import Array, Item, build_set
from .layout import images_in, read_image, read_twins, refuse_gaps
from .lr_gopro import TEST_MULTIPLE, test_pair

LAYOUT = LAYOUTS["lr-koehler"]
_BLURRED = re.compile(r"Blurry(\d+)_(\d+)")
_SHARP = re.compile(r"GroundTruth(\d+)_(\d+)_(\d+)")

Key = tuple[int, ...]


def build(
    src: Path,
    dst: Path,
    *,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Make test/lr and test/hr, a pair for each blurred photograph.

    Raises:
        UsageError: if `src` has another layout, or `dst` holds something else.
        TrainError: if a picture is broken or `dst` cannot be written.
    """
    images = images_in(src, deep=True)
    blurred, sharp = _numbered(images, _BLURRED), _numbered(images, _SHARP)
    truths: dict[Key, list[Path]] = {}
    for key in sorted(sharp):
        truths.setdefault(key[:2], []).append(sharp[key])
    refuse_gaps(src, _gaps(src, blurred, truths), LAYOUT)
    items = [
        Item(f"test/{path.stem}", (path, *truths[key])) for key, path in sorted(blurred.items())
    ]
    settings = {"truth": "best match", "multiple_of": TEST_MULTIPLE}
    return build_set("lr-koehler", items, make, settings, dst, workers=workers, progress=progress)


def _numbered(images: list[Path], pattern: re.Pattern[str]) -> dict[Key, Path]:
    """Return the images whose names follow `pattern`, by their numbers."""
    matches = ((pattern.fullmatch(path.stem), path) for path in images)
    return {tuple(int(n) for n in match.groups()): path for match, path in matches if match}


def _gaps(src: Path, blurred: dict[Key, Path], truths: dict[Key, list[Path]]) -> list[Path]:
    gaps = [src / f"GroundTruth{a}_{b}_1.png" for a, b in sorted(blurred.keys() - truths.keys())]
    gaps += [src / f"Blurry{a}_{b}.png" for a, b in sorted(truths.keys() - blurred.keys())]
    return gaps if gaps or blurred else [src / "Blurry1_1.png"]


def make(item: Item) -> dict[str, Array]:
    """Return the pair of a photograph, whose sources are it and its sharp ones."""
    path, *truths = item.sources
    blurred = read_image(path)
    best = max(truths, key=lambda truth: psnr_db(*read_twins(path, truth)))
    number = int(best.stem.rsplit("_", 1)[1])
    return test_pair(f"{path.stem}_truth{number:03d}", read_image(best), blurred)
