"""How much light the sensor takes: frames that came out too dark or too bright.

A gain in linear light, before the sensor clips and adds its noise: that is what aperture, shutter
and ISO number do. The truth has the same gain and is clipped alike, for a network is to sharpen a
frame and not to correct its exposure, and what is clipped is lost.
"""

from dataclasses import dataclass

import numpy as np

from .camera import GAMMA


@dataclass(frozen=True)
class ExposureRange:
    """How often exposures fail, and how badly; gains are in light, drawn log-uniformly."""

    dark_share: float = 0.1
    dark_gain: tuple[float, float] = (0.06, 0.5)
    bright_share: float = 0.1
    bright_gain: tuple[float, float] = (1.5, 3.0)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        if min(self.dark_share, self.bright_share) < 0 or self.dark_share + self.bright_share > 1:
            raise ValueError(f"shares are in 0..1 and add up to 1 at most, got {self}")
        if min(*self.dark_gain, *self.bright_gain) <= 0:
            raise ValueError(f"gains are drawn log-uniformly and must be above 0, got {self}")


def draw_gain(rng: np.random.Generator, exposure: ExposureRange) -> float:
    """Return the gain of one exposure, 1 for a good one."""
    draw = rng.random()
    if draw < exposure.dark_share:
        return float(np.exp(rng.uniform(*np.log(exposure.dark_gain))))
    if draw < exposure.dark_share + exposure.bright_share:
        return float(np.exp(rng.uniform(*np.log(exposure.bright_gain))))
    return 1.0


def gain_on_curve(gain: float, gamma: float) -> float:
    """Return the gain that looks on a tone curve of `gamma` as `gain` does on the usual one.

    >>> gain_on_curve(0.25, 1.1)
    0.5
    """
    return float(gain ** (gamma / GAMMA))
