"""A lens out of focus: every point becomes a small disc.

Only small discs, and few frames. A disc of radius r (pixels of the sharp image) first loses all
contrast at 0.61 / r cycles per pixel, while the frame a network sees holds up to 0.125: below
r = 5 nothing is lost, up to r = 8 little is, and beyond that there is nothing to restore from.
Below r = 3 a disc cannot be told from a scene that is soft by nature (a Gaussian of sigma r / 2),
which has to stay soft, so that a network could learn only to hedge between the two. Photographs
whose background is far out of focus are truths as they are, by the same reasoning.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .motion import Floats


@dataclass(frozen=True)
class LensRange:
    """How often the focus is missed, and by how much."""

    share: float = 0.05
    """Share of frames that are out of focus; their truth is in focus."""
    radius_px: tuple[float, float] = (3.0, 7.0)
    """Radius of the disc in pixels of the sharp image."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        if not 0 <= self.share <= 1 or min(self.radius_px) < 0:
            raise ValueError(f"the share is in 0..1 and radii are not negative, got {self}")


def draw_disc(rng: np.random.Generator, lens: LensRange) -> Floats | None:
    """Return the disc of one frame, or None for a frame in focus."""
    return disc(rng.uniform(*lens.radius_px)) if rng.random() < lens.share else None


def disc(radius_px: float) -> Floats:
    """Return a disc of sum 1 and odd sides; its rim is smoothed over a pixel.

    >>> (disc(2.0) > 0).astype(int).tolist()[:3]
    [[0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]]
    """
    reach = int(np.ceil(radius_px - 0.5))
    axis = np.arange(-reach, reach + 1)
    distance = np.hypot(axis[:, None], axis)
    inside = np.clip(radius_px + 0.5 - distance, 0, 1).astype(np.float32)
    kernel: Floats = inside / inside.sum()
    return kernel


def defocus(light_hwc: Floats, disc: Floats) -> Floats:
    """Return an image in linear light, of any number of channels, seen through the disc."""
    blurred = cv2.filter2D(light_hwc, -1, disc, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float32)
