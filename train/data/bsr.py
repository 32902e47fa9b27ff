"""NYUv2-BSR and Cityscapes-BSR: pictures out of focus, with their blur and semantics.

The data sets of CMOS (Chen et al., "Better "CMOS" Produces Clearer Images: Space-Variant Blur
Estimation for Blind Image Super-Resolution", CVPR 2023). Four fifths of the pictures are blurred
by their depth, one fifth evenly; a test split has five groups, in each of which another fifth is
blurred evenly. LR is MATLAB's bicubic x1/4 of the blurred picture: the paper does not say which.

Shape letters: H height, W width of HR, C channels in BGR order; LR is a quarter each way.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.bicubic import downscale_x4
from crispstream.core.errors import TrainError, UsageError
from crispstream.core.pixels import SCALE, Bytes
from crispstream.train.degrade.compositing import Floats
from crispstream.train.degrade.defocus import blur_by_depth, blur_evenly

from .bsr_layouts import (
    CITYSCAPES,
    NYUV2,
    Layout,
    Scene,
    ids_of_cityscapes,
    ids_of_nyuv2,
    read_map,
)
from .built import Array, Item, build_set
from .layout import images_in, read_image

GROUPS = 5
"""Groups of a test split, and the inverse of the share that is blurred evenly."""
SEED = 1
SIGMA_STEPS = 10
"""Blur PNGs hold sigma in tenths of a pixel."""

Progress = Callable[[str], None]
Blurred = tuple[Bytes, Floats]


def build_nyuv2(
    src: Path, dst: Path, *, workers: int = 1, progress: Progress | None = None
) -> Path:
    """Build NYUv2-BSR from {train,test}/{rgb,depth,label}/NAME.png in `src`; return `dst`.

    Unpack the official .mat file into this layout first: depth in 16 bits and millimetres,
    labels 1 to 40, 0 unlabelled. `dst` then holds the training shards `train/NAME.FIELD.npy` and
    the test split in the published layout. See `build_set` for going on after an interruption.

    Raises:
        UsageError: if the layout is not complete or `dst` holds something else.
        TrainError: if a file is broken.
    """
    return _build(NYUV2, src, dst, workers, progress)


def build_cityscapes(
    src: Path, dst: Path, *, workers: int = 1, progress: Progress | None = None
) -> Path:
    """Build Cityscapes-BSR from the official tree in `src`, at 640x480; return `dst`.

    Needs leftImg8bit, gtFine with labelTrainIds, disparity and camera. `val` comes in the
    published layout as `test` does, without groups. Otherwise as `build_nyuv2`.
    """
    return _build(CITYSCAPES, src, dst, workers, progress)


def _build(layout: Layout, src: Path, dst: Path, workers: int, progress: Progress | None) -> Path:
    items = layout.find(src)
    make = partial(_files, layout=layout, groups=even_groups([item.name for item in items]))
    settings = {"kernel_px": layout.reach.kernel_px, "classes": layout.classes, "seed": SEED}
    return build_set(layout.kind, items, make, settings, dst, workers=workers, progress=progress)


def even_groups(names: Sequence[str]) -> dict[str, int]:
    """Say for each item "SPLIT/NAME" in which group, 1 to 5, it is blurred evenly.

    Each group has a fifth of its split, rounded down as published (130 of 654), drawn without
    repetition; an item that is left over has group 0 and is always blurred by its depth.
    """
    groups: dict[str, int] = {}
    for split in sorted({name.split("/")[0] for name in names}):
        members = sorted(name for name in names if name.startswith(f"{split}/"))
        order = np.random.default_rng(SEED).permutation(len(members)).tolist()
        size = len(members) // GROUPS
        for place, member in enumerate(order):
            groups[members[member]] = place // size + 1 if place < size * GROUPS else 0
    return groups


def _files(item: Item, layout: Layout, groups: Mapping[str, int]) -> dict[str, Array]:
    """Make the files of an item, as its split wants them."""
    scene, group = layout.read(item), groups[item.name]
    split, name = item.name.split("/")
    rng = np.random.default_rng([SEED, *hashlib.sha256(item.name.encode()).digest()[:8]])
    if split == "test":
        return _grouped_files(name, scene, group, layout, rng)
    # Shards and the plain split are the first group.
    blurred = _blurred(scene, layout, rng, evenly=group == 1)
    if split == "train":
        return _shards(item.name, scene, blurred, layout)
    return {**_truth(split, name, scene), **_seen(split, name, blurred)}


def _blurred(scene: Scene, layout: Layout, rng: np.random.Generator, *, evenly: bool) -> Blurred:
    if evenly:
        return blur_evenly(scene.image_hwc, layout.reach, rng)
    return blur_by_depth(scene.image_hwc, scene.depth_hw, layout.reach, rng)


def _shards(stem: str, scene: Scene, blurred: Blurred, layout: Layout) -> dict[str, Array]:
    image, sigma_hw = blurred
    return {
        f"{stem}.lr.npy": downscale_x4(image)[None],
        f"{stem}.hr.npy": scene.image_hwc[None],
        f"{stem}.sigma.npy": sigma_hw[None, ..., None],
        f"{stem}.labels.npy": layout.ids(scene.labels_hw)[None, ..., None],
    }


def _grouped_files(
    name: str, scene: Scene, group: int, layout: Layout, rng: np.random.Generator
) -> dict[str, Array]:
    """Make the files of a test picture: in four groups it is the same, blurred by its depth."""
    by_depth = _blurred(scene, layout, rng, evenly=False)
    evenly = _blurred(scene, layout, rng, evenly=True) if group else by_depth
    files = _truth("test", name, scene)
    for number in range(1, GROUPS + 1):
        files |= _seen(f"test/Group{number}", name, evenly if number == group else by_depth)
    return files


def _truth(folder: str, name: str, scene: Scene) -> dict[str, Array]:
    return {
        f"{folder}/GT/{name}.png": scene.image_hwc,
        f"{folder}/semseg/{name}.png": scene.labels_hw,
    }


def _seen(folder: str, name: str, blurred: Blurred) -> dict[str, Array]:
    image, sigma_hw = blurred
    return {
        f"{folder}/LRx4/{name}.png": downscale_x4(image),
        f"{folder}/blur/{name}.png": sigma_as_png(sigma_hw),
    }


def sigma_as_png(sigma_hw: Floats) -> npt.NDArray[np.uint16]:
    """Return the published form of a sigma map: 16 bits, tenths of a pixel, in three channels.

    >>> sigma_as_png(np.full((1, 1), 4.975, np.float32)).tolist()
    [[[50, 50, 50]]]
    """
    tenths = np.rint(sigma_hw * SIGMA_STEPS).astype(np.uint16)
    return np.repeat(tenths[..., None], 3, axis=2)


def read_sigma(path: Path) -> Floats:
    """Read a blur PNG: the Gaussian's sigma in pixels of HR, [H,W,1].

    Raises:
        TrainError: if it cannot be decoded.
    """
    sigma: Floats = (read_map(path) / SIGMA_STEPS).astype(np.float32)[..., None]
    return sigma


def read_labels_nyuv2(path: Path) -> Bytes:
    """Read a label PNG of NYUv2: classes 0..39, 255 to ignore, [H,W,1].

    Raises:
        TrainError: if it cannot be decoded.
    """
    return ids_of_nyuv2(read_map(path))[..., None]


def read_labels_cityscapes(path: Path) -> Bytes:
    """Read a PNG of Cityscapes' train ids: classes 0..18, 255 to ignore, [H,W,1].

    Raises:
        TrainError: if it cannot be decoded.
    """
    return ids_of_cityscapes(read_map(path))[..., None]


LABEL_READERS: Mapping[int, Callable[[Path], Bytes]] = {
    40: read_labels_nyuv2,
    19: read_labels_cityscapes,
}
"""Readers by the number of classes of their data set."""


@dataclass(frozen=True)
class BsrSample:
    """A picture out of focus and all that is known of it."""

    name: str
    lr: Bytes
    """[H/4,W/4,3]."""
    hr: Bytes
    """[H,W,3]."""
    sigma: Floats
    """[H,W,1], in pixels of HR."""
    labels: Bytes
    """[H,W,1], classes from 0 on, 255 to ignore."""


def read_group(split: Path, group: int | None, classes: int) -> Iterator[BsrSample]:
    """Yield the samples of a split in the published layout, by name.

    `split` holds GT and semseg, and either GroupK/{LRx4,blur} for `group` K from 1 to 5, or, for
    None, {LRx4,blur} itself. Sets that the authors published read as ours do. `classes` is 40
    for the labels of NYUv2, 19 for those of Cityscapes.

    Raises:
        UsageError: if a folder or a file is missing, or the classes are others.
        TrainError: if a file is broken, or sizes do not belong together.
    """
    if classes not in LABEL_READERS:
        raise UsageError(f"there are labels of 40 and 19 classes, not of {classes}; name one")
    seen = split if group is None else split / f"Group{group}"
    folders = seen / "LRx4", split / "GT", seen / "blur", split / "semseg"
    names = [path.name for path in images_in(folders[0])] if folders[0].is_dir() else []
    for folder in folders:
        missing = [name for name in names if not (folder / name).is_file()]
        if missing or not folder.is_dir() or not names:
            raise UsageError(
                f"'{folder / missing[0] if missing else folder}' is missing or empty; a split "
                "holds GT and semseg, and LRx4 and blur, the latter in Group1 to Group5 for a "
                "test split"
            )
    for name in names:
        yield _sample([folder / name for folder in folders], LABEL_READERS[classes])


def _sample(paths: Sequence[Path], read_labels: Callable[[Path], Bytes]) -> BsrSample:
    lr, hr = read_image(paths[0]), read_image(paths[1])
    sigma, labels = read_sigma(paths[2]), read_labels(paths[3])
    height, width = lr.shape[0] * SCALE, lr.shape[1] * SCALE
    large: tuple[Array, ...] = (hr, sigma, labels)
    for path, array in zip(paths[1:], large, strict=True):
        if array.shape[:2] != (height, width):
            raise TrainError(
                f"'{path}' has {array.shape[1]}x{array.shape[0]} pixels, expected {width}x{height},"
                f" {SCALE} times '{paths[0]}'; get both again"
            )
    return BsrSample(paths[0].stem, lr, hr, sigma, labels)


def zoom_sample(sample: Mapping[str, Array], factor: float) -> dict[str, Array]:
    """Enlarge all fields [h,w,C] about their centre by `factor`, keeping their sizes.

    Images are interpolated with OpenCV's cubic kernel, `sigma` and `labels` take the nearest
    pixel. `sigma` is divided by the factor as in the released code of CMOS, although enlarging
    makes blur wider: published results were trained so.

    Raises:
        ValueError: if the factor is below 1, which would need pixels from outside.
    """
    if factor < 1:
        raise ValueError(f"a sample can be enlarged, by 1 or more, got {factor}")
    if factor == 1:
        return dict(sample)
    zoomed = {name: _zoomed(name, array, factor) for name, array in sample.items()}
    if "sigma" in zoomed:
        zoomed["sigma"] = zoomed["sigma"] / np.float32(factor)
    return zoomed


def _zoomed(name: str, array: Array, factor: float) -> npt.NDArray[Any]:
    height, width = array.shape[:2]
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[factor, 0, x * (1 - factor)], [0, factor, y * (1 - factor)]])
    how = cv2.INTER_NEAREST if name in ("sigma", "labels") else cv2.INTER_CUBIC
    moved = cv2.warpAffine(
        np.ascontiguousarray(array),
        matrix,
        (width, height),
        flags=how,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(moved).reshape(array.shape)
