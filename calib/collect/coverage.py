"""Which frames to calibrate on: those that differ, spread over how frames can look.

Shape letters: N candidates, H W and P rows, columns and pixels of a thumbnail, D figures in the
order of `FIGURES`. Grey levels are 0 to 255.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.figures import Figures
from crispstream.core.pixels import Bytes

Floats = npt.NDArray[np.float64]

FIGURES = (*Figures._fields, "motion")
"""What a frame is chosen by; motion is the `change` since the frame before."""

THUMBNAIL_PX = (32, 18)
"""Width and height of the grey picture that frames are compared by."""

ALIKE_LEVELS = 12
"""Near duplicates: no pixel of the thumbnails differs by more, ..."""
ALIKE_RATIO = 1.25
"""... sharpness and noise stay within this factor, ..."""
ALIKE_NOISE = 0.5
"""... noise at least within so many grey levels. Noise of 20 grey levels on a still picture of
320x180 px moves a thumbnail's pixel by 8; a car that fills a quarter of one moves it by more."""

_NOISE_LIKE_SHARPNESS = 3.0
_NOISE_LIKE_CONTRAST = 10.0
_WHOLE_PERCENT = (1, 99)


class Band(NamedTuple):
    """What is low and what is high in a figure, and what to do where frames of a kind lack."""

    low: float
    low_name: str
    low_advice: str
    high: float
    high_name: str
    high_advice: str


BANDS = {
    "brightness": Band(50, "dark", "collect some at dusk or at night",
                       170, "bright", "collect some in full daylight"),
    "contrast": Band(25, "hazy", "collect some in fog, rain or flat light",
                     60, "contrasty", "collect some with sun and shade"),
    "sharpness": Band(0.2, "blurred", "collect some from a camera that shakes or is out of focus",
                      0.5, "sharp", "collect some from a camera that stands still, in focus"),
    "texture": Band(2, "smooth", "collect some of walls, sky or water",
                    8, "textured", "collect some of leaves, crowds or writing"),
    "noise": Band(1, "clean", "collect some in good light",
                  3, "noisy", "collect some in the dark, where the camera turns up its gain"),
    "motion": Band(0.5, "still", "collect some while nothing moves",
                   4, "moving", "collect some while the camera or much of the scene moves"),
}  # fmt: skip
"""Edges by figure, where frames of ordinary cameras begin to be unusual."""


def thumbnail(frame_hwc: Bytes) -> Bytes:
    """Return a frame [H,W,3] as a small grey picture [18,32].

    >>> thumbnail(np.full((90, 160, 3), 7, np.uint8)).shape
    (18, 32)
    """
    small_hwc = cv2.resize(frame_hwc, THUMBNAIL_PX, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small_hwc, cv2.COLOR_BGR2GRAY), np.uint8)


def change(thumbnail_a: Bytes, thumbnail_b: Bytes) -> float:
    """Return the mean absolute difference of two thumbnails, grey levels.

    >>> change(np.full((18, 32), 7, np.uint8), np.full((18, 32), 4, np.uint8))
    3.0
    """
    return float(cv2.absdiff(thumbnail_a, thumbnail_b).mean())


def like_noise(figures: Figures) -> bool:
    """Tell a frame of white noise, which is no camera's picture.

    White noise has a sharpness of 4.5, pictures stay under 2. A covered lens shows nothing but
    noise too, but so weak that its contrast is a few grey levels: that is a camera's frame.

    >>> like_noise(Figures(128, 40, 4.47, 30, 40)), like_noise(Figures(3, 2, 4.4, 1, 2))
    (True, False)
    """
    return figures.sharpness > _NOISE_LIKE_SHARPNESS and figures.contrast > _NOISE_LIKE_CONTRAST


def distinct(thumbnails_nhw: Bytes, figures_nd: Floats) -> list[int]:
    """Return the indices of the candidates that are no near duplicate of one before them.

    See `ALIKE_LEVELS`, `ALIKE_RATIO` and `ALIKE_NOISE`: a still scene counts again when the focus
    or the camera's gain changes.
    """
    sharpness, noise = (figures_nd[:, FIGURES.index(name)] for name in ("sharpness", "noise"))
    levels_np = thumbnails_nhw.reshape(len(thumbnails_nhw), -1).astype(np.int16)
    kept: list[int] = []
    for index, levels in enumerate(levels_np):
        alike = np.abs(levels_np[kept] - levels).max(axis=1, initial=0) <= ALIKE_LEVELS
        alike &= _within(sharpness[kept], sharpness[index], 0.0)
        alike &= _within(noise[kept], noise[index], ALIKE_NOISE)
        if not alike.any():
            kept.append(index)
    return kept


def _within(values: Floats, value: float, least: float) -> npt.NDArray[np.bool_]:
    low, high = np.minimum(values, value), np.maximum(values, value)
    return (high <= low * ALIKE_RATIO) | (high - low <= least)


def choose(figures_nd: Floats, sources: Sequence[int], count: int) -> list[int]:
    """Return the indices of the `count` candidates that cover most, best first.

    The first is the most ordinary frame of the first source. Each next one is the farthest from
    all chosen ones (T. Gonzalez, "Clustering to minimize the maximum intercluster distance",
    TCS 38, 1985), figures scaled so that 1 is the whole spread of the candidates. For the first
    half the sources take turns, so that a lively one does not push out the others. Where there
    are fewer candidates, all are returned.

    >>> choose(np.array([[1.0], [2.0], [9.0], [5.1]]), [0, 0, 0, 0], 3)
    [1, 2, 3]
    """
    points = _scaled(figures_nd)
    source_n = np.asarray(sources)
    order = sorted(set(sources))
    chosen: list[int] = []
    distance = -np.abs(points - np.median(points, axis=0)).sum(axis=1)  # the first: most ordinary
    free = np.ones(len(points), bool)
    while free.any() and len(chosen) < count:
        mine = free & (source_n == order[len(chosen) % len(order)])
        pool = mine if 2 * len(chosen) < count and mine.any() else free
        pick = int(np.where(pool, distance, -np.inf).argmax())
        from_pick = np.linalg.norm(points - points[pick], axis=1)
        distance = np.minimum(distance, from_pick) if chosen else from_pick
        free[pick] = False
        chosen.append(pick)
    return chosen


def _scaled(figures_nd: Floats) -> Floats:
    """Return the figures with the spread of nearly all candidates as 1; outliers lie outside."""
    low, high = np.percentile(figures_nd, _WHOLE_PERCENT, axis=0)
    spread = high - low
    scaled: Floats = (figures_nd - low) / np.where(spread > 0, spread, 1.0)
    return scaled


def lacking_kinds(name: str, values: Sequence[float]) -> dict[str, str]:
    """Return which kinds of frames lack in a figure, and what to do about each.

    >>> lacking_kinds("brightness", [45.0, 120.0])
    {'bright': 'no bright frames (brightness above 170): collect some in full daylight'}
    """
    band, lacking = BANDS[name], {}
    if min(values) >= band.low:
        kind = band.low_name
        lacking[kind] = f"no {kind} frames ({name} below {band.low:g}): {band.low_advice}"
    if max(values) <= band.high:
        kind = band.high_name
        lacking[kind] = f"no {kind} frames ({name} above {band.high:g}): {band.high_advice}"
    return lacking
