"""Super-resolution without blur: what CMSC (Hu et al., 2018) was published on.

Training: patches of luma from 291 pictures (91 of Yang et al. and 200 of BSD), as is usual since
VDSR (Kim et al. 2016): MATLAB's BT.601 luma in bytes, pictures at 1, 0.7 and 0.5 of their size,
reduced and enlarged again by 2, 3 and 4 with MATLAB's bicubic, windows of 41 pixels side by side.
Flips and turns are drawn in training. A survey's prose, unverified, names the patch and the
pictures; the rest is ours.
Testing: Set5, Set14, BSD100 and Urban100 in colour, reduced by 4.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from crispstream.core.bicubic import downscale_x4, resize_bicubic
from crispstream.core.errors import TrainError, UsageError
from crispstream.core.layouts import LAYOUTS
from crispstream.core.metrics import luma
from crispstream.core.pixels import SCALE, Bytes, round_to_bytes

from .built import Array, Item, build_set
from .layout import cropped, folders_in, images_in, read_image, refuse_gaps

LAYOUT = LAYOUTS["sisr"]
FACTORS = (1.0, 0.7, 0.5)
"""Sizes at which the training pictures are cut up."""
SCALES = (2, 3, 4)
PATCH_PX = 41
SETTINGS = {"factors": FACTORS, "scales": SCALES, "patch_px": PATCH_PX}


def build(
    src: Path,
    dst: Path,
    *,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Make train shards y_interpolated and y (float32, about 0..1), and test/<set>/{lr,hr}.

    Raises:
        UsageError: if `src` has another layout, or `dst` holds something else.
        TrainError: if a picture is broken or `dst` cannot be written.
    """
    train = images_in(src / "train", deep=True)
    test = {folder.name: images_in(folder) for folder in folders_in(src / "test")}
    lacking = [] if train else [src / "train" / "*.png"]
    lacking += [src / "test" / name / "*.png" for name in test or ["Set5"] if not test.get(name)]
    refuse_gaps(src, lacking, LAYOUT)
    items = [Item(path.relative_to(src).as_posix(), (path,)) for path in train]
    for name, pictures in test.items():
        _refuse_namesakes(pictures)
        items += [Item(f"test/{name}/{path.stem}", (path,)) for path in pictures]
    return build_set("sisr", items, make, SETTINGS, dst, workers=workers, progress=progress)


def _refuse_namesakes(pictures: list[Path]) -> None:
    """A test set is written as PNG, whatever the pictures were."""
    stem, count = Counter(path.stem for path in pictures).most_common(1)[0]
    if count > 1:
        raise UsageError(
            f"'{pictures[0].parent}' holds {count} pictures called '{stem}' with other endings; "
            "keep one of them"
        )


def make(item: Item) -> dict[str, Array]:
    """Return the files of a picture."""
    picture = _read_picture(item.sources[0])
    kind, *place, name = item.name.split("/")
    if kind == "test":
        hr = cropped(picture, SCALE)
        below = f"test/{'/'.join(place)}"
        return {f"{below}/lr/{name}.png": downscale_x4(hr), f"{below}/hr/{name}.png": hr}
    pairs = [pair for factor in FACTORS for pair in _patches(picture, factor)]
    if not pairs:
        return {}
    small, large = (np.stack(arrays)[..., None] for arrays in zip(*pairs, strict=True))
    return {f"{item.name}.y_interpolated.npy": small, f"{item.name}.y.npy": large}


def _read_picture(path: Path) -> Bytes:
    """Refuse what is no picture: grey levels of 16 bits are depths or labels."""
    picture = read_image(path)
    stored = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if stored is not None and stored.ndim == 2 and stored.dtype != np.uint8:
        raise TrainError(
            f"'{path}' has one channel of {stored.dtype}, as depth maps have; expected a picture "
            "of 8 bits: convert it, or take it out of the folder"
        )
    return picture


def _patches(picture: Bytes, factor: float) -> Iterator[tuple[Array, Array]]:
    """Yield windows [41,41] of the interpolated and of the sharp luma of a resized picture."""
    resized = picture if factor == 1 else round_to_bytes(resize_bicubic(picture, factor))
    whole = round_to_bytes(luma(resized))
    for scale in SCALES:
        y = cropped(whole, scale)[..., None] / 255
        if not y.size:
            continue
        interpolated = resize_bicubic(resize_bicubic(y, 1 / scale), float(scale))
        for top in range(0, y.shape[0] - PATCH_PX + 1, PATCH_PX):
            for left in range(0, y.shape[1] - PATCH_PX + 1, PATCH_PX):
                window = slice(top, top + PATCH_PX), slice(left, left + PATCH_PX), 0
                yield interpolated[window].astype(np.float32), y[window].astype(np.float32)
