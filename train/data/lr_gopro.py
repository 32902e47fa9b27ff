"""LR-GOPRO: triplets of GFN (Zhang et al., BMVC 2018), made of GOPRO_Large (Nah et al. 2017).

As in the released code of GFN: sharp and gamma-blurred frames at three sizes, windows of 256
pixels, flat windows rejected, LR by MATLAB's bicubic and kept in floating point. The released code
drops the tail that does not fill a chunk of 64; here every window is kept.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from crispstream.core.bicubic import downscale_x4, resize_bicubic
from crispstream.core.layouts import LAYOUTS
from crispstream.core.pixels import SCALE, Bytes, round_to_bytes

from .built import Array, Item, build_set
from .layout import aligned, cropped, folders_in, read_twins, refuse_gaps

LAYOUT = LAYOUTS["lr-gopro"]

FACTORS = (0.5, 0.7, 1.0)
"""Sizes at which the training frames are cut up."""
WINDOW_PX = 256
STRIDE_PX = 128
LEAST_GRADIENT = 0.005
"""Mean length of the gradient, of grey levels 0..1 a pixel, below which a window is flat."""
TEST_MULTIPLE = 16
SETTINGS = {
    "factors": FACTORS,
    "window_px": WINDOW_PX,
    "stride_px": STRIDE_PX,
    "least_gradient": LEAST_GRADIENT,
}


def build(
    src: Path,
    dst: Path,
    *,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Make train shards lr, lr_sharp (float32, about 0..1) and hr (bytes), and the test set.

    Raises:
        UsageError: if `src` has another layout, or `dst` holds something else.
        TrainError: if a frame is broken or `dst` cannot be written.
    """
    items, lacking = [], []
    for split in ("train", "test"):
        found = folders_in(src / split)
        lacking += [] if found else [src / split / "<sequence>"]
        for folder in found:
            rows, gaps = aligned([folder / "sharp", folder / "blur_gamma"])
            items += [Item(f"{split}/{folder.name}/{row[0].stem}", row) for row in rows]
            lacking += gaps
    refuse_gaps(src, lacking, LAYOUT)
    return build_set("lr-gopro", items, make, SETTINGS, dst, workers=workers, progress=progress)


def make(item: Item) -> dict[str, Array]:
    """Return the files of a frame, whose sources are its sharp and its blurred version."""
    sharp, blurred = read_twins(item.sources[0], item.sources[1])
    split, sequence, frame = item.name.split("/")
    if split == "test":
        return test_pair(f"{sequence}_{frame}", sharp, blurred)
    return {f"{item.name}.{field}.npy": a for field, a in triplets(sharp, blurred).items()}


def test_pair(name: str, sharp: Bytes, blurred: Bytes) -> dict[str, Array]:
    """Return a full frame of a test set: LR is the blurred one, bicubic x1/4, in bytes."""
    sharp, blurred = cropped(sharp, TEST_MULTIPLE), cropped(blurred, TEST_MULTIPLE)
    return {f"test/lr/{name}.png": downscale_x4(blurred), f"test/hr/{name}.png": sharp}


def triplets(sharp: Bytes, blurred: Bytes) -> dict[str, Array]:
    """Return lr, lr_sharp [N,64,64,3] and hr [N,256,256,3]; nothing if no window is kept."""
    pairs = [pair for factor in FACTORS for pair in _windows(sharp, blurred, factor)]
    if not pairs:
        return {}
    hr = np.stack([pair[0] for pair in pairs])
    lr = np.stack([_reduced(pair[1]) for pair in pairs])
    return {"lr": lr, "lr_sharp": np.stack([_reduced(window) for window in hr]), "hr": hr}


def _windows(sharp: Bytes, blurred: Bytes, factor: float) -> Iterator[tuple[Bytes, Bytes]]:
    """Yield the windows that lie whole in the frames resized by `factor`, but for flat ones."""
    sharp, blurred = (_resized(image, factor) for image in (sharp, blurred))
    height, width = (n // SCALE * SCALE for n in sharp.shape[:2])
    for top in range(0, height - WINDOW_PX + 1, STRIDE_PX):
        for left in range(0, width - WINDOW_PX + 1, STRIDE_PX):
            window = slice(top, top + WINDOW_PX), slice(left, left + WINDOW_PX)
            if mean_gradient(sharp[window]) >= LEAST_GRADIENT:
                yield sharp[window], blurred[window]


def _resized(image: Bytes, factor: float) -> Bytes:
    return image if factor == 1 else round_to_bytes(resize_bicubic(image, factor))


def mean_gradient(window: Bytes) -> float:
    """Return the mean of sqrt(dx^2 + dy^2) over pixels and channels, of levels 0..1 a pixel.

    Central differences, one-sided at the borders.
    """
    dy, dx = np.gradient(window / 255, axis=(0, 1))
    return float(np.sqrt(dx**2 + dy**2).mean())


def _reduced(window: Bytes) -> Array:
    """Return the window at a quarter of its size, neither rounded nor clipped."""
    return resize_bicubic(window / 255, 1 / SCALE).astype(np.float32)
