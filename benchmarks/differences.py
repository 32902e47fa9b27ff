"""How restored frames differ from those of fp32, and what broken ones look like.

All images are uint8 [H,W,3], BGR, as large as a restored frame.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.trust.recheck import Limits

SQUARE_LEFT, SQUARE_TOP, SQUARE_PX = 200, 100, 16


@dataclass(frozen=True)
class Difference:
    """How far a restored frame is from that of fp32; of several frames the worst of each."""

    frame: str
    """Of several, the one with the lowest PSNR."""
    psnr_db: float
    largest_levels: int
    changed_share: float
    drift_levels: float
    """Of the channel whose mean moved most."""


def difference(name: str, got: Bytes, expected: Bytes) -> Difference:
    """Compare a restored frame with that of fp32."""
    mean_square = cv2.norm(got, expected, cv2.NORM_L2SQR) / got.size
    drift = np.abs(np.subtract(cv2.mean(got), cv2.mean(expected)))
    return Difference(
        frame=name,
        psnr_db=10 * math.log10(255**2 / mean_square) if mean_square else math.inf,
        largest_levels=int(cv2.norm(got, expected, cv2.NORM_INF)),
        changed_share=float(np.mean(got != expected)),
        drift_levels=float(drift.max()),
    )


@dataclass(frozen=True)
class Judged:
    """Several frames beside the limits of the re-check."""

    frames: int
    refused: int
    """How many are beyond one of the limits."""
    worst: Difference


def judged(seen: Sequence[Difference], limits: Limits) -> Judged:
    """Judge frames by the limits that an engine is held to."""
    refused = sum(_beyond(each, limits) for each in seen)
    return Judged(len(seen), refused, worst(seen))


def _beyond(seen: Difference, limits: Limits) -> bool:
    return (
        seen.psnr_db < limits.psnr_db
        or seen.largest_levels > limits.largest_levels
        or seen.changed_share > limits.changed_share
        or seen.drift_levels > limits.drift_levels
    )


def worst(seen: Sequence[Difference]) -> Difference:
    """Return the worst of each figure."""
    return Difference(
        frame=min(seen, key=lambda each: each.psnr_db).frame,
        psnr_db=min(each.psnr_db for each in seen),
        largest_levels=max(each.largest_levels for each in seen),
        changed_share=max(each.changed_share for each in seen),
        drift_levels=max(each.drift_levels for each in seen),
    )


def _with_black_square(image: Bytes) -> Bytes:
    broken = image.copy()
    rows = slice(SQUARE_TOP, SQUARE_TOP + SQUARE_PX)
    broken[rows, SQUARE_LEFT : SQUARE_LEFT + SQUARE_PX] = 0
    return broken


BROKEN: Mapping[str, Callable[[Bytes], Bytes]] = {
    "shifted_right": lambda image: np.roll(image, 1, axis=1),
    "shifted_down": lambda image: np.roll(image, 1, axis=0),
    "colours_swapped": lambda image: np.ascontiguousarray(image[..., ::-1]),
    "black_square": _with_black_square,
    "one_level_up": lambda image: image + (image < 255),
}


def mildest(images: Sequence[Bytes], fault: str, limits: Limits) -> dict[str, float]:
    """Break several images; return the figures of the ones in which it shows least."""
    seen = [difference("", BROKEN[fault](image), image) for image in images]
    return {
        "frames": len(seen),
        "refused": judged(seen, limits).refused,
        "psnr_db": max(each.psnr_db for each in seen),
        "largest_levels": min(each.largest_levels for each in seen),
        "drift_levels": min(each.drift_levels for each in seen),
    }
