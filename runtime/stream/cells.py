"""Black and white cells that carry bits in a picture.

A grid begins in the top left corner and is measured in shares of the picture, so that it is
found again in a picture of any size, as long as both sides were scaled alike.

Shape letters: H height, W width, C channels in BGR order.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from crispstream.core.pixels import Bytes

_WHITE = 255
_POINTS = 4
"""Points a side at which a cell is looked at. They lie in its inner half, since blur and
compression spoil the edges of a cell first."""

_Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Grid:
    """Where the cells are; the first is the most significant bit, row by row.

    >>> grid = Grid(columns=4, rows=2, width=0.5, height=0.5)
    >>> frame = np.full((8, 16, 3), 90, np.uint8)
    >>> grid.paint(frame, 0b10110001)
    >>> f"{grid.read(frame, threshold=127):b}"
    '10110001'
    """

    columns: int
    rows: int
    width: float
    """Of all columns, as a share of the picture's."""
    height: float
    """Of all rows, as a share of the picture's."""

    def paint(self, frame_hwc: Bytes, word: int) -> None:
        """Paint a word of `columns * rows` bits into uint8 [H,W,3], in place."""
        cells = self._bits(word) * np.uint8(_WHITE)
        xs = _edges(frame_hwc.shape[1], self.width, self.columns)
        ys = _edges(frame_hwc.shape[0], self.height, self.rows)
        lines = np.repeat(cells, np.diff(xs), axis=1)[:, :, None].repeat(3, axis=2)
        for row, line in enumerate(lines):
            frame_hwc[ys[row] : ys[row + 1], : xs[-1]] = line

    def levels(self, image_hwc: Bytes) -> npt.NDArray[np.floating]:
        """Return the mean grey level, 0 to 255, in the inner half of each cell: [rows, columns]."""
        height, width, _ = image_hwc.shape
        ys = _inner_points(height, self.height, self.rows)
        xs = _inner_points(width, self.width, self.columns)
        points = image_hwc[ys[:, None], xs]
        shape = (self.rows, _POINTS, self.columns, _POINTS * 3)
        means: npt.NDArray[np.floating] = points.reshape(shape).mean(axis=(1, 3))
        return means

    def read(self, image_hwc: Bytes, threshold: float) -> int:
        """Return the word; a cell brighter than `threshold` is 1."""
        return self.word(self.levels(image_hwc), threshold)

    def word(self, levels: npt.NDArray[np.floating], threshold: float) -> int:
        """Return the word of cells with these `levels`; brighter than `threshold` is 1."""
        count = self.columns * self.rows
        packed = np.packbits((levels > threshold).ravel()).tobytes()
        return int.from_bytes(packed, "big") >> -count % 8

    def _bits(self, word: int) -> Bytes:
        count = self.columns * self.rows
        packed = (word << -count % 8).to_bytes((count + 7) // 8, "big")
        bits = np.unpackbits(np.frombuffer(packed, np.uint8))[:count]
        return bits.reshape(self.rows, self.columns)


def _edges(side_px: int, share: float, count: int) -> _Indices:
    """Return where `count` cells along one side begin, and where the last ends."""
    return np.round(np.arange(count + 1) * (share * side_px / count)).astype(np.intp)


@lru_cache(maxsize=32)
def _inner_points(side_px: int, share: float, count: int) -> _Indices:
    """Return the pixels along one side at which `count` cells are looked at."""
    inside = 0.25 + 0.5 * (np.arange(_POINTS) + 0.5) / _POINTS
    places = (np.arange(count)[:, None] + inside).ravel() * (share * side_px / count)
    points = places.astype(np.intp)
    points.flags.writeable = False  # it is handed out again
    return points
