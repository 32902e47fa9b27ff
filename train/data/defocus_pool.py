"""A small data set of pictures out of focus, made of whatever there is with depth or labels.

Not one of the published sets: something to try a training on. Pictures with depth are blurred by
it and have labels only where a label file is there too; pictures with labels alone are blurred
evenly. Each crop is seen through a lens of its own.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from crispstream.core.bicubic import downscale_x4
from crispstream.core.errors import TrainError, UsageError
from crispstream.core.pixels import SCALE, Bytes
from crispstream.train.degrade.compositing import Floats
from crispstream.train.degrade.defocus import (
    DefocusRange,
    Layers,
    blur_evenly,
    blur_layers,
    draw_layers,
)

from .bsr_layouts import IGNORED, read_depth_mm, read_map
from .built import MANIFEST, Array, Item, build_set
from .cache import cached_pool
from .layout import read_image
from .sharp import IMAGES, list_media

RGB, DEPTH, LABEL = "_rgb", "_depth_mm.png", "_label.png"
EXPECTED = (
    f"X{RGB}.png (or .jpg) with X{DEPTH} (16 bits, millimetres, 0 and 65535 invalid) or "
    f"X{LABEL} (8 bits, class numbers), all of one size"
)


@dataclass(frozen=True)
class DefocusPlan:
    """What goes into a pool; two equal plans over equal files make equal pools."""

    crop_px: int = 48
    """Side of an LR crop."""
    crops_per_image: int = 8
    kernel_px: int = 21
    """Side of the widest blur's kernel in HR pixels; see `DefocusRange`."""
    classes: int = 40
    """Labels from here on are ignored."""
    exclude: tuple[str, ...] = ()
    """Shell patterns of file names that must not be learnt from."""
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if min(self.crop_px, self.crops_per_image) < 1 or not 1 <= self.classes <= IGNORED:
            raise ValueError(f"crops are at least 1, classes 1 to {IGNORED}; got {self}")
        DefocusRange(self.kernel_px)


def build_defocus_pool(
    folders: Sequence[Path],
    plan: DefocusPlan,
    cache: Path,
    workers: int,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the folder of a built set of the kind "defocus", building it if `cache` lacks it.

    Its fields are lr [N,c,c,3] and, four times as large, hr, sigma and labels. A build that
    fails leaves nothing in `cache`.

    Raises:
        UsageError: if there are no pictures with depth or labels, or all are too small.
        TrainError: if a file is broken or `cache` cannot be written.
    """
    items = _items(folders, plan)

    def make(folder: Path) -> None:
        work, settings = partial(_crops, plan=plan), asdict(plan)
        build_set("defocus", items, work, settings, folder, workers=workers, progress=progress)
        _check_any(folder, plan)

    files = [item.sources for item in items]
    return cached_pool("defocus", files, asdict(plan), cache, whole=MANIFEST, make=make)


def _items(folders: Sequence[Path], plan: DefocusPlan) -> list[Item]:
    """Return the pictures that have depth or labels beside them; the number makes names unique."""
    items: list[Item] = []
    for path in list_media(folders, plan.exclude):
        if path.suffix.lower() not in IMAGES or not path.stem.endswith(RGB):
            continue
        name = path.stem.removesuffix(RGB)
        twins = [path.with_name(name + end) for end in (DEPTH, LABEL)]
        found = [twin for twin in twins if twin.is_file()]
        if found:
            items.append(Item(f"train/{len(items):05d}-{name}", (path, *found)))
    if not items:
        where = ", ".join(map(str, folders))
        raise UsageError(f"no picture in {where} has depth or labels; expected {EXPECTED}")
    return items


def _check_any(made: Path, plan: DefocusPlan) -> None:
    """Refuse a pool of nothing."""
    if not (made / "train").is_dir():
        side = plan.crop_px * SCALE
        raise UsageError(
            f"every picture is smaller than one crop of {side}x{side} pixels; use larger ones"
        )


def _crops(item: Item, plan: DefocusPlan) -> dict[str, Array]:
    """Make the shards of one picture; none if it is smaller than a crop."""
    samples = list(_samples(item, plan))
    fields = ("lr", "hr", "sigma", "labels") if samples else ()
    stacked = (np.stack([sample[k] for sample in samples]) for k in range(len(fields)))
    return {f"{item.name}.{field}.npy": array for field, array in zip(fields, stacked, strict=True)}


def _samples(item: Item, plan: DefocusPlan) -> Iterator[tuple[Array, Array, Array, Array]]:
    image, depth, labels = _read(item, plan)
    rng = np.random.default_rng(
        [plan.seed, *hashlib.sha256(item.sources[0].name.encode()).digest()[:8]]
    )
    reach, side = DefocusRange(plan.kernel_px), plan.crop_px * SCALE
    rows, cols = image.shape[0] - side, image.shape[1] - side
    for _ in range(plan.crops_per_image if min(rows, cols) >= 0 else 0):
        layers = None if depth is None else draw_layers(depth, reach, rng)
        # Multiples of the scale: the crop of LR is then that of the whole picture's LR.
        top, left = (int(rng.integers(room // SCALE + 1)) * SCALE for room in (rows, cols))
        lr, sigma = _seen(image, layers, (top, left), side, reach, rng)
        inside = slice(top, top + side), slice(left, left + side)
        yield lr, image[inside], sigma[..., None], labels[inside][..., None]


def _read(item: Item, plan: DefocusPlan) -> tuple[Bytes, Array | None, Bytes]:
    """Return the picture, its depth where there is one, and its labels, 255 where not."""
    image, depth = read_image(item.sources[0]), None
    labels = np.full(image.shape[:2], IGNORED, np.uint8)
    for path in item.sources[1:]:
        found = read_depth_mm(path) if path.name.endswith(DEPTH) else read_map(path)
        if found.shape != image.shape[:2]:
            raise TrainError(
                f"'{path}' has {found.shape[1]}x{found.shape[0]} pixels and its picture "
                f"{image.shape[1]}x{image.shape[0]}; make them equal, or leave them out with "
                "--exclude"
            )
        if path.name.endswith(DEPTH):
            depth = found
        else:
            labels = np.where(found < plan.classes, found, IGNORED).astype(np.uint8)
    return image, depth, labels


def _seen(
    image: Bytes,
    layers: Layers | None,
    corner: tuple[int, int],
    side: int,
    reach: DefocusRange,
    rng: np.random.Generator,
) -> tuple[Bytes, Floats]:
    """Blur a crop with as much around it as reaches into it; return its LR and its sigma."""
    # Half a kernel reaches in, and what it brings was filled in from another half.
    margin = -(-reach.kernel_px // SCALE) * SCALE
    starts = [max(0, edge - margin) for edge in corner]
    part = tuple(slice(a, edge + side + margin) for a, edge in zip(starts, corner, strict=True))
    around = part[0], part[1]
    if layers is None:
        blurred, sigma = blur_evenly(image[around], reach, rng)
    else:
        blurred, sigma = blur_layers(image[around], layers.cut(around), reach)
    top, left = (edge - start for edge, start in zip(corner, starts, strict=True))
    small = downscale_x4(blurred)[top // SCALE :, left // SCALE :]
    lr_px = side // SCALE
    return small[:lr_px, :lr_px], sigma[top : top + side, left : left + side]
