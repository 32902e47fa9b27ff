"""How steady restored video is: flicker of a still scene, and differences along its motion.

Figures are in grey levels (0 to 255), means over pixels and channels; what is perfectly steady
has 0. Both are lowered by blur, so they say something only beside the PSNR of the same frames.

Shape letters: H height, W width, 3 channels in BGR order.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .errors import FrameError
from .pixels import Bytes

Field = npt.NDArray[np.float32]
"""[H,W,2]: for each pixel how far to the right and down something is, in pixels."""


class Motion(NamedTuple):
    """Where the pixels of a frame were in the frame before it."""

    places: Field
    """[H,W,2]: x and y of each pixel in the frame before."""
    judged: npt.NDArray[np.bool_]
    """[H,W]: which pixels are seen in both frames."""


def difference(a: Bytes, b: Bytes) -> float:
    """Return the mean absolute difference of two frames [H,W,3], in grey levels.

    Of neighbouring restored frames of a still scene this is the flicker: what moves in the
    picture though nothing moves before the camera.

    >>> difference(np.full((2, 2, 3), 7, np.uint8), np.full((2, 2, 3), 10, np.uint8))
    3.0

    Raises:
        FrameError: if the frames differ in shape.
    """
    _check_same(a, b)
    return float(cv2.absdiff(a, b).mean())


def motion(before: Bytes, now: Bytes) -> Motion:
    """Return where the pixels of the frame `now` were in the frame `before`, both [H,W,3].

    Dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV
    2016) both ways. A pixel is judged where following the motion back and forth comes home:
    |w + v|^2 <= 0.01 (|w|^2 + |v|^2) + 0.5 (Sundaram et al., "Dense Point Trajectories by
    GPU-accelerated Large Displacement Optical Flow", ECCV 2010), and where it was inside the
    frame.

    Raises:
        FrameError: if the frames differ in shape.
    """
    _check_same(before, now)
    old, new = (cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in (before, now))
    back, forth = _flow(new, old), _flow(old, new)
    height, width = new.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    places = back + np.stack([columns, rows], axis=-1).astype(np.float32)
    home = cv2.remap(forth, places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    missed = np.square(back + home).sum(axis=-1)
    length = np.square(back).sum(axis=-1) + np.square(home).sum(axis=-1)
    inside = (places >= 0).all(axis=-1) & (places <= (width - 1, height - 1)).all(axis=-1)
    return Motion(places, inside & (missed <= 0.01 * length + 0.5))


def _flow(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Field:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    none: npt.NDArray[np.float32] = np.empty((0, 0), np.float32)
    return np.asarray(search.calc(a, b, none), np.float32)


def warped_difference(before: Bytes, now: Bytes, moved: Motion) -> float | None:
    """Return how much a restored frame differs from the one before, moved to where it now is.

    The mean absolute difference over the judged pixels, in grey levels; None where there are
    none. `moved` is the motion of the *truth*, so that all models are judged along the same one.
    After the warping error of Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018,
    which takes squares. The truth's own figure is the floor: noise, light, errors of the flow.

    Raises:
        FrameError: if the frames differ in shape.
    """
    _check_same(before, now)
    x, y = moved.places[..., 0], moved.places[..., 1]
    warped = cv2.remap(before, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    off = cv2.absdiff(warped, now)[moved.judged]
    return float(off.mean()) if off.size else None


def _check_same(a: Bytes, b: Bytes) -> None:
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise FrameError(
            f"cannot compare {a.dtype} {a.shape} with {b.dtype} {b.shape}; both must be byte "
            "frames of one size"
        )
