"""Where crops are taken: busy places, for skies teach little.

Each crop is the one with most gradient of a few drawn places. A picture's gradient is summed up
once (a summed-area table: Crow, "Summed-area tables for texture mapping", SIGGRAPH 1984), so a
place costs four look-ups, and only the crop that is kept is ever cut out and reduced.

Shape letters: H height, W width, C channels, the first three in BGR order.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from crispstream.core.pixels import Bytes

STRIDE = 2
"""Gradients are taken on every so many-th pixel."""

LEAST_FACTOR = 0.5
"""Pictures are reduced to at least this share of their size."""
UNREDUCED = 0.95
"""Reductions less than this are left out: they would cost sharpness and bring nothing."""


class BusyMap:
    """The gradient of a picture, summed up so that any square's mean is had at once."""

    def __init__(self, picture_hwc: Bytes) -> None:
        """Sum up the gradient of the green channel of [H,W,C]."""
        green = picture_hwc[::STRIDE, ::STRIDE, 1].astype(np.int16)
        steps = np.zeros(green.shape, np.float32)
        steps[1:] += np.abs(np.diff(green, axis=0))
        steps[:, 1:] += np.abs(np.diff(green, axis=1))
        self._sums = np.asarray(cv2.integral(steps, sdepth=cv2.CV_64F), np.float64)

    def busyness(self, top: int, left: int, side: int) -> float:
        """Return the mean step between neighbours in a square, in grey levels; about >= 0."""
        y, x = top // STRIDE, left // STRIDE
        height, width = self._sums.shape
        y_end, x_end = min(y + side // STRIDE, height - 1), min(x + side // STRIDE, width - 1)
        total = self._sums[y_end, x_end] - self._sums[y, x_end]
        total -= self._sums[y_end, x] - self._sums[y, x]
        return float(total / max((y_end - y) * (x_end - x), 1))

    def busiest(
        self, free: tuple[int, int], side: int, draws: int, rng: np.random.Generator
    ) -> tuple[int, int]:
        """Return the busiest (top, left) of `draws` drawn from 0..free, both ends included."""
        tops = rng.integers(free[0] + 1, size=draws)
        lefts = rng.integers(free[1] + 1, size=draws)
        places = list(zip(tops.tolist(), lefts.tolist(), strict=True))
        return max(places, key=lambda place: self.busyness(place[0], place[1], side))


def busy_crops(
    picture_hwc: Bytes, side: int, count: int, draws: int, rng: np.random.Generator
) -> Iterator[Bytes]:
    """Yield `count` crops [side,side,C] as they are; none if the picture is too small."""
    free = picture_hwc.shape[0] - side, picture_hwc.shape[1] - side
    if min(free) < 0:
        return
    busy = BusyMap(picture_hwc)
    for _ in range(count):
        top, left = busy.busiest(free, side, draws, rng)
        yield picture_hwc[top : top + side, left : left + side]


def shrunk_crops(
    picture_hwc: Bytes, side: int, count: int, draws: int, rng: np.random.Generator
) -> Iterator[Bytes]:
    """Yield `count` crops [side,side,C], each of the picture reduced by a factor of its own.

    That shows things at more scales, and less of the source's own blur. None if the picture is
    too small.
    """
    least = side / min(picture_hwc.shape[:2])
    if least > 1:
        return
    busy = BusyMap(picture_hwc)
    for _ in range(count):
        factor = float(rng.uniform(max(LEAST_FACTOR, least), 1.0))
        seen = side if factor > UNREDUCED else min(round(side / factor), *picture_hwc.shape[:2])
        free = picture_hwc.shape[0] - seen, picture_hwc.shape[1] - seen
        top, left = busy.busiest(free, seen, draws, rng)
        crop = picture_hwc[top : top + seen, left : left + seen]
        if seen != side:
            crop = np.asarray(
                cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), np.uint8
            )
        yield crop
