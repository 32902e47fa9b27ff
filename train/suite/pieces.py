"""What a suite is made of: pieces that say what they are made from and make their own files.

A piece of the name `part/name` makes `part/lr/name.png` and `part/hr/name.png`; if it is a
sequence, `part/name/lr/000.png` and so on. All its numbers are fields, so equal definitions make
equal files.

(x, y) are from the top left, in pixels of the source. Shape letters: H height, W width, 3 channels
in BGR order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from crispstream.core.errors import TrainError
from crispstream.core.pixels import Bytes

Files = dict[str, Bytes]
"""Path below the suite's folder -> picture [H,W,3]."""


class Piece(Protocol):
    """Some files of a suite."""

    @property
    def name(self) -> str:
        """`part/name`, unique."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """Paths below the media folder."""
        ...

    @property
    def is_sequence(self) -> bool:
        """Whether its frames follow one another in time."""
        ...

    def make(self, paths: Sequence[Path]) -> Files:
        """Return its pictures; `paths` are where the sources lie.

        Raises:
            TrainError: if a source cannot be read.
        """
        ...


@dataclass(frozen=True)
class Crop:
    """A part of a source; its sides divide by 16."""

    source: str
    """Path below the media folder."""
    x: int
    y: int
    width: int = 448
    height: int = 448

    @property
    def stem(self) -> str:
        """The source's file name without its ending."""
        return Path(self.source).stem

    def cut(self, picture_hwc: Bytes, margin_px: int = 0) -> Bytes:
        """Return the crop, wider by `margin_px` on each side: a view.

        Raises:
            TrainError: if the picture does not reach so far.
        """
        top, left = self.y - margin_px, self.x - margin_px
        bottom, right = self.y + self.height + margin_px, self.x + self.width + margin_px
        height, width = picture_hwc.shape[:2]
        if min(top, left) < 0 or bottom > height or right > width:
            raise TrainError(
                f"'{self.source}' has {width}x{height} pixels, its crop ends at {right}x{bottom}; "
                "get the file again that the suite names"
            )
        return picture_hwc[top:bottom, left:right]

    def axis_xy(self, picture_hwc: Bytes, margin_px: int = 0) -> tuple[float, float]:
        """Return the middle of the whole picture as seen from the crop's corner."""
        height, width = picture_hwc.shape[:2]
        return width / 2 - self.x + margin_px, height / 2 - self.y + margin_px


def generator(name: str) -> np.random.Generator:
    """Return a piece's own random numbers: a new piece does not change the others."""
    return np.random.default_rng([1, *name.encode()])


def pair_files(name: str, lr: Bytes, hr: Bytes) -> Files:
    """Return a single frame and its truth under their paths."""
    part, stem = name.split("/")
    return {f"{part}/lr/{stem}.png": lr, f"{part}/hr/{stem}.png": hr}


def sequence_files(name: str, frames: Iterable[Bytes], truths: Iterable[Bytes]) -> Files:
    """Return frames and their truths, in order; the one truth of a still scene is enough."""
    lr = {f"{name}/lr/{number:03d}.png": frame for number, frame in enumerate(frames)}
    hr = {f"{name}/hr/{number:03d}.png": truth for number, truth in enumerate(truths)}
    return lr | hr
