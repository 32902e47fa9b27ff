"""Joins restored tiles, which come row by row.

Shape letters: H height, W width of the frame, h, w of a tile, 3 channels in BGR order, bytes.
"""

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.pixels import SCALE, Bytes

from .plan import FEATHER_PX, Plan, Span

_FADE = SCALE * 2 * FEATHER_PX  # in restored pixels

Weights = npt.NDArray[np.float32]


class Seams(Protocol):
    """Puts tiles where they belong."""

    def join(self, tile_hwc: Bytes, row: int, column: int, out_hwc: Bytes) -> None:
        """Put a restored tile [4h,4w,3] into the frame [4H,4W,3]; the last one completes it."""
        ...


class Edges:
    """Copies what is used of each tile: right where the halo is known, the seams do not show."""

    def __init__(self, plan: Plan) -> None:
        """Join the tiles of a plan."""
        self._rows, self._columns = plan.rows, plan.columns

    def join(self, tile_hwc: Bytes, row: int, column: int, out_hwc: Bytes) -> None:
        """Copy one tile."""
        down, across = self._rows[row], self._columns[column]
        used = tile_hwc[_within(down, down.begin, down.end)]
        np.copyto(
            out_hwc[_enlarged(down.begin, down.end), _enlarged(across.begin, across.end)],
            used[:, _within(across, across.begin, across.end)],
        )


class Feathers:
    """Fades tiles into each other, for a network that looks at the whole frame.

    Each tile of such a network has seen another picture and may be, as a whole, a little brighter
    or duller than the next. A raised cosine over 2 FEATHER_PX hides where one ends; what the whole
    frame would have given cannot be had.
    """

    def __init__(self, plan: Plan) -> None:
        """Make the weights, and the buffer of a row of tiles [4h,4W,3]."""
        self._rows, self._columns = plan.rows, plan.columns
        height, width = SCALE * plan.tile_height, SCALE * plan.columns[-1].end
        self._row_hwc: Bytes = np.empty((height, width, 3), np.uint8)
        rising = 0.5 - 0.5 * np.cos(np.pi * (np.arange(_FADE) + 0.5) / _FADE)
        self._across = _weights(np.broadcast_to(rising, (height, _FADE)))
        self._down = _weights(np.broadcast_to(rising[:, None], (_FADE, width)))

    def join(self, tile_hwc: Bytes, row: int, column: int, out_hwc: Bytes) -> None:
        """Fade a tile into its row and, with the last one, the row into the frame."""
        across, down = self._columns[column], self._rows[row]
        begin, solid, end = _reach(self._columns, column)
        _fade(
            self._row_hwc[:, _enlarged(begin, solid)],
            tile_hwc[:, _within(across, begin, solid)],
            self._across,
        )
        rest = _within(across, solid, end)
        np.copyto(self._row_hwc[:, _enlarged(solid, end)], tile_hwc[:, rest])
        if column < len(self._columns) - 1:
            return
        begin, solid, end = _reach(self._rows, row)
        _fade(
            out_hwc[_enlarged(begin, solid)],
            self._row_hwc[_within(down, begin, solid)],
            self._down,
        )
        np.copyto(out_hwc[_enlarged(solid, end)], self._row_hwc[_within(down, solid, end)])


def _weights(rising: npt.NDArray[np.float64]) -> tuple[Weights, Weights]:
    """Return what is there already and what comes are multiplied by."""
    return np.ascontiguousarray(1 - rising, np.float32), np.ascontiguousarray(rising, np.float32)


def _reach(spans: tuple[Span, ...], index: int) -> tuple[int, int, int]:
    """Return where a tile begins to fade in, where it is alone, and up to where it is needed."""
    span, last = spans[index], len(spans) - 1
    begin = span.begin - FEATHER_PX if index else 0
    solid = span.begin + FEATHER_PX if index else 0
    return begin, solid, span.end + (FEATHER_PX if index < last else 0)


def _fade(there_hwc: Bytes, comes_hwc: Bytes, weights: tuple[Weights, Weights]) -> None:
    """Blend in place; both may be empty."""
    if there_hwc.size:
        cv2.blendLinear(there_hwc, comes_hwc, *weights, dst=there_hwc)


def _enlarged(begin: int, end: int) -> slice:
    """Return where pixels of the frame lie in the restored frame."""
    return slice(SCALE * begin, SCALE * end)


def _within(span: Span, begin: int, end: int) -> slice:
    """Return where pixels of the frame lie in a restored tile."""
    return _enlarged(begin - span.origin, end - span.origin)
