"""NYUv2 and Cityscapes as they are downloaded: pictures with depth and labels, file by file.

Shape letters: H height, W width, C channels in BGR order. Depths are in millimetres.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import TrainError
from crispstream.core.layouts import LAYOUTS
from crispstream.core.pixels import SCALE, Bytes
from crispstream.train.degrade.defocus import (
    CITYSCAPES_RANGE,
    NYUV2_RANGE,
    DefocusRange,
    Depths,
    fill_invalid,
)

from .built import Item
from .layout import aligned, images_in, read_image, refuse_gaps

IGNORED = 255
"""Label of pixels that belong to no class."""
INVALID_DEPTHS = (0, 65535)
"""What depth cameras write where they measured nothing."""
LEAST_MEDIAN_MM = 100
"""Nearer than any depth camera sees: such depths are in another unit."""
WORKING_SIZE = (640, 480)
"""Width and height that Cityscapes pictures are brought to."""


@dataclass(frozen=True)
class Scene:
    """A sharp picture and what is known of it; all of one size, sides divisible by 4."""

    image_hwc: Bytes
    depth_hw: Depths
    """Without holes."""
    labels_hw: Bytes
    """As published: `Layout.ids` turns them into classes."""


@dataclass(frozen=True)
class Layout:
    """How one published data set lies on the disk, and which blur CMOS gives it."""

    kind: str
    reach: DefocusRange
    classes: int
    find: Callable[[Path], list[Item]]
    """Folder -> the items of all splits; UsageError if something is missing."""
    read: Callable[[Item], Scene]
    """Item -> scene; TrainError if a file is broken."""
    ids: Callable[[Bytes], Bytes]
    """Published labels -> class numbers from 0 on, 255 to ignore."""


def ids_of_nyuv2(labels: Bytes) -> Bytes:
    """Turn 1..40 into 0..39; 0, unlabelled, and what is above 40 are ignored.

    >>> ids_of_nyuv2(np.array([0, 1, 40, 41], np.uint8)).tolist()
    [255, 0, 39, 255]
    """
    inside = (labels >= 1) & (labels <= 40)
    return np.where(inside, labels - 1, IGNORED).astype(np.uint8)


def ids_of_cityscapes(labels: Bytes) -> Bytes:
    """Keep the train ids 0..18; everything else is ignored.

    >>> ids_of_cityscapes(np.array([0, 18, 19, 255], np.uint8)).tolist()
    [0, 18, 255, 255]
    """
    return np.where(labels <= 18, labels, IGNORED).astype(np.uint8)


_NYUV2_PARTS = ("rgb", "depth", "label")


def find_nyuv2(src: Path) -> list[Item]:
    """Return the items of an unpacked NYUv2.

    Raises:
        UsageError: if the layout is another or a file has no twin.
    """
    items, lacking = [], []
    for split in ("train", "test"):
        rows, gaps = aligned([src / split / part for part in _NYUV2_PARTS])
        items += [Item(f"{split}/{row[0].stem}", row) for row in rows]
        lacking += gaps
    refuse_gaps(src, lacking, LAYOUTS["nyuv2-bsr"])
    return items


def read_nyuv2(item: Item) -> Scene:
    """Read an item of `find_nyuv2`.

    Raises:
        TrainError: if a file is broken, sizes differ, or no depth is valid.
    """
    rgb, depth, label = item.sources
    labels = read_map(label)
    if labels.max() > 40:
        raise TrainError(
            f"'{label}' holds label {labels.max()}, expected 0 to 40; map the 894 names of the "
            ".mat file to the 40 classes first"
        )
    scene = Scene(read_image(rgb), read_depth_mm(depth), labels.astype(np.uint8))
    check_sizes(item.sources, [scene.image_hwc, scene.depth_hw, scene.labels_hw])
    return scene


_CITY_IMAGE = "_leftImg8bit.png"
_CITY_PARTS = {
    "leftImg8bit": _CITY_IMAGE,
    "disparity": "_disparity.png",
    "camera": "_camera.json",
    "gtFine": "_gtFine_labelTrainIds.png",
}


def find_cityscapes(src: Path) -> list[Item]:
    """Return the items of the official tree of Cityscapes.

    CMOS took disparities of a learned stereo network: to do so, put them in the place of the
    official ones, in the same 16-bit form.

    Raises:
        UsageError: if the layout is another or a file has no twin.
    """
    items, lacking = [], []
    for split in ("train", "val", "test"):
        images = images_in(src / "leftImg8bit" / split, deep=True)
        stems = [
            f"{split}/{image.parent.name}/{image.name.removesuffix(_CITY_IMAGE)}"
            for image in images
            if image.name.endswith(_CITY_IMAGE)
        ]
        for stem in stems:
            sources = tuple(src / part / (stem + end) for part, end in _CITY_PARTS.items())
            items.append(Item(f"{split}/{stem.rsplit('/', 1)[1]}", sources))
            lacking += [path for path in sources if not path.is_file()]
        lacking += [] if stems else [src / "leftImg8bit" / split / "<city>"]
    refuse_gaps(src, lacking, LAYOUTS["cityscapes-bsr"])
    return items


def read_cityscapes(item: Item) -> Scene:
    """Read an item of `find_cityscapes`, brought to 640x480.

    The middle 4:3 of the picture is reduced by area averaging, of labels and disparities by
    taking the nearest pixel. Depth is baseline times focal length by disparity, and both are of
    the full picture, so it does not change with the size.

    Raises:
        TrainError: if a file is broken, sizes differ, or no disparity is valid.
    """
    image_path, disparity_path, camera_path, label_path = item.sources
    image, stored = read_image(image_path), _read_16_bits(disparity_path, "disparities")
    labels = read_map(label_path).astype(np.uint8)
    check_sizes((image_path, disparity_path, label_path), [image, stored, labels])
    near = _to_working_size(stored, cv2.INTER_NEAREST_EXACT).astype(np.int64)
    # The disparity is (stored - 1) / 256 pixels and 0 is invalid; 1 would be infinitely far.
    depth = _baseline_focal(camera_path) * 1000 * 256 / np.maximum(near - 1, 1)
    return Scene(
        _to_working_size(image, cv2.INTER_AREA),
        _filled(depth, near > 0, disparity_path),
        _to_working_size(labels, cv2.INTER_NEAREST_EXACT),
    )


def _to_working_size(image: npt.NDArray[Any], interpolation: int) -> npt.NDArray[Any]:
    """Cut the middle in the working size's proportions and resize it."""
    height, width = image.shape[:2]
    share = min(width / WORKING_SIZE[0], height / WORKING_SIZE[1])
    cols, rows = (round(side * share) for side in WORKING_SIZE)
    top, left = (height - rows) // 2, (width - cols) // 2
    middle = image[top : top + rows, left : left + cols]
    return np.asarray(cv2.resize(middle, WORKING_SIZE, interpolation=interpolation))


def _baseline_focal(path: Path) -> float:
    """Return baseline in metres times horizontal focal length in pixels."""
    try:
        camera = json.loads(path.read_text(encoding="utf-8"))
        product = float(camera["extrinsic"]["baseline"]) * float(camera["intrinsic"]["fx"])
    except (ValueError, TypeError, KeyError) as error:
        raise TrainError(
            f"'{path}' does not say extrinsic.baseline and intrinsic.fx; get the file again"
        ) from error
    return product


NYUV2 = Layout("nyuv2-bsr", NYUV2_RANGE, 40, find_nyuv2, read_nyuv2, ids_of_nyuv2)
CITYSCAPES = Layout(
    "cityscapes-bsr", CITYSCAPES_RANGE, 19, find_cityscapes, read_cityscapes, ids_of_cityscapes
)


def read_map(path: Path) -> npt.NDArray[Any]:
    """Read a PNG of whole numbers as [H,W]; of several equal channels the first.

    Raises:
        TrainError: if it cannot be decoded, or is a picture in colour.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise TrainError(f"cannot decode the image '{path}'; unpack it again")
    pixels = np.atleast_3d(pixels)[..., :3]  # the fourth would be opacity
    if (pixels != pixels[..., :1]).any():
        raise TrainError(f"'{path}' is in colour; write the numbers themselves, in one channel")
    return pixels[..., 0]


def read_depth_mm(path: Path) -> Depths:
    """Read a depth PNG of 16 bits in millimetres, [H,W]; holes take the nearest valid depth.

    Raises:
        TrainError: if it cannot be decoded, has not 16 bits, has no valid pixel, or seems to be
            in another unit.
    """
    depth = _read_16_bits(path, "depths in millimetres")
    valid = ~np.isin(depth, INVALID_DEPTHS)
    if valid.any() and np.median(depth[valid]) < LEAST_MEDIAN_MM:
        raise TrainError(
            f"the depths in '{path}' are about {np.median(depth[valid]):.0f}: in metres? expected "
            "millimetres; write them so, in 16 bits"
        )
    return _filled(depth, valid, path)


def _read_16_bits(path: Path, what: str) -> npt.NDArray[Any]:
    stored = read_map(path)
    if stored.dtype != np.uint16:
        raise TrainError(f"'{path}' holds {stored.dtype}; write {what}, in 16 bits")
    return stored


def _filled(depth_hw: npt.NDArray[Any], valid_hw: npt.NDArray[np.bool_], path: Path) -> Depths:
    try:
        return fill_invalid(depth_hw, valid_hw)
    except TrainError as error:
        raise TrainError(f"'{path}': {error}") from error


def check_sizes(paths: Sequence[Path], arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Refuse files that do not lie on each other, and sides that do not divide by 4.

    Raises:
        TrainError: naming the first two that differ.
    """
    height, width = arrays[0].shape[:2]
    for path, array in zip(paths, arrays, strict=True):
        if array.shape[:2] != (height, width):
            raise TrainError(
                f"'{paths[0]}' has {width}x{height} pixels and '{path}' "
                f"{array.shape[1]}x{array.shape[0]}; they must be equal, get both again"
            )
    if height % SCALE or width % SCALE:
        raise TrainError(
            f"'{paths[0]}' has {width}x{height} pixels; cut it to multiples of {SCALE}"
        )
