"""LR/HR pairs that a certificate is made on, and how they meet a graph's frame size.

Shape letters: H height, W width. Sizes are in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from crispstream.core.errors import UsageError
from crispstream.core.files import sha256_of
from crispstream.core.pixels import SCALE, Bytes, mirrored, padded_size

INSTALLED = Path(__file__).with_name("shipped")
SOURCES = Path(__file__).resolve().parents[2] / "examples" / "media" / "pairs"
SHIPPED = INSTALLED if INSTALLED.is_dir() else SOURCES
"""The kit's own pairs: package data of an installed kit, an example in its sources."""

LR, HR = "lr", "hr"
_SMALLEST_PX = 11  # the window of SSIM


@dataclass(frozen=True)
class Pair:
    """A frame and its truth, BGR bytes."""

    name: str
    lr: Bytes
    """[H,W,3]."""
    hr: Bytes
    """[4H,4W,3]."""


@dataclass(frozen=True)
class Fitted:
    """A pair at a size that a graph takes."""

    name: str
    frame: Bytes
    """What the graph is given, mirrored where the pair is smaller."""
    truth: Bytes
    """What is judged: the top left of what the graph gives."""

    def judged(self, restored_hwc: Bytes) -> Bytes:
        """Return the part of a restored frame that `truth` stands for."""
        height, width, _ = self.truth.shape
        return restored_hwc[:height, :width]


@dataclass(frozen=True)
class Pairs:
    """Pairs in the order of their names."""

    folder: Path
    pairs: tuple[Pair, ...]
    digest: str
    """SHA-256 over all pixels."""


def read_pairs(folder: Path | None) -> Pairs:
    """Read `lr/` and `hr/` below a folder, PNG files of the same names; None: the kit's own.

    Raises:
        UsageError: if there are none, one lacks its other half, a file is no 8-bit picture, or a
            truth is not 4 times as large as its frame.
    """
    place = SHIPPED if folder is None else folder
    names = _names(place)
    pairs = tuple(_pair(place, name) for name in names)
    pixels = (half.tobytes() for pair in pairs for half in (pair.lr, pair.hr))
    return Pairs(place, pairs, sha256_of("".join(map(sha256_of, pixels)).encode()))


def _names(folder: Path) -> list[str]:
    halves = {side: {file.name for file in (folder / side).glob("*.png")} for side in (LR, HR)}
    small, large = halves[LR], halves[HR]
    if small and small == large:
        return sorted(small)
    empty = [f"{side}/" for side, names in halves.items() if not names]
    if not folder.is_dir():
        seen = "it does not exist, or is a file"
    elif empty:
        seen = f"there are no PNG files in {' and '.join(empty)}"
    else:
        odd = min(small ^ large)
        seen = f"'{odd}' is in {LR if odd in small else HR}/ only"
    raise UsageError(
        f"'{folder}' is no folder of pairs: {seen}; expected {LR}/NAME.png with its truth, 4 times "
        f"as large, as {HR}/NAME.png"
    )


def _pair(folder: Path, name: str) -> Pair:
    lr, hr = (_picture(folder / side / name) for side in (LR, HR))
    if hr.shape != (SCALE * lr.shape[0], SCALE * lr.shape[1], 3):
        raise UsageError(
            f"the truth '{folder / HR / name}' is {hr.shape[1]}x{hr.shape[0]} px, expected "
            f"{SCALE * lr.shape[1]}x{SCALE * lr.shape[0]}: {SCALE} times its frame; cut both alike"
        )
    if min(hr.shape[:2]) < _SMALLEST_PX:
        raise UsageError(
            f"the truth '{folder / HR / name}' is {hr.shape[1]}x{hr.shape[0]} px, and SSIM needs "
            f"{_SMALLEST_PX} each way; give larger pairs"
        )
    return Pair(name.removesuffix(".png"), lr, hr)


def _picture(file: Path) -> Bytes:
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        seen = "not an image" if image is None else f"{image.dtype} {list(image.shape)}"
        raise UsageError(
            f"'{file}' is {seen}, expected 8 bits a channel and three channels; convert it"
        )
    return np.asarray(image, np.uint8)


def fitted(
    pairs: Sequence[Pair], size: tuple[int, int] | None, size_multiple: int
) -> Iterator[Fitted]:
    """Yield the pairs for a graph: (width, height) of a static one, else any size that divides.

    Frames larger than a static graph are cut to their middle, smaller ones mirrored, and what is
    mirrored is not judged.
    """
    for pair in pairs:
        lr, hr = (pair.lr, pair.hr) if size is None else _cut(pair, *size)
        height, width, _ = lr.shape
        if size is None:
            height, width = padded_size(height, width, size_multiple)
        else:
            width, height = size
        yield Fitted(pair.name, mirrored(lr, height, width), hr)


def _cut(pair: Pair, width: int, height: int) -> tuple[Bytes, Bytes]:
    top = max(0, pair.lr.shape[0] - height) // 2
    left = max(0, pair.lr.shape[1] - width) // 2
    lr = pair.lr[top : top + height, left : left + width]
    bottom, right = top + lr.shape[0], left + lr.shape[1]
    hr = pair.hr[SCALE * top : SCALE * bottom, SCALE * left : SCALE * right]
    return np.ascontiguousarray(lr), np.ascontiguousarray(hr)
