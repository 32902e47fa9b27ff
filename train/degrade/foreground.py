"""An object in front of the scene that moves on a path of its own.

At each instant of the exposure the object hides a part of the background, and the frame is the
mean of what is seen at all instants, in linear light. So the object's mask is blurred together
with its colours, and background that is hidden for a part of the time is dimmed by as much (the
usual shortcut, to blur both layers first and to lay one over the other then, is not the same
where both move). The truth has both at the mean of their own paths.

The object is cut out of the same picture, turned by half a turn and lit differently; its outline
is smooth and random, and as soft as that of things in photographs.

Colours are premultiplied with the mask (Porter and Duff, "Compositing Digital Images", SIGGRAPH
1984), four channels with the mask last, which lets one warp or filter serve both.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .motion import Floats, Path, centred, resampled, see

HARMONICS = np.arange(2, 6)
"""Waves around an outline: 2 makes it oblong, 3 and more give it corners and bays."""


@dataclass(frozen=True)
class ForegroundRange:
    """How often something moves in front of the scene, and how large it is."""

    share: float = 0.15
    """Share of frames with such an object."""
    fixed_share: float = 0.5
    """Share of these whose camera stands still: tripods, surveillance."""
    radius: tuple[float, float] = (0.08, 0.3)
    """Mean radius of the object, as a share of the picture's shorter side."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        if not (0 <= self.share <= 1 and 0 <= self.fixed_share <= 1 and min(self.radius) > 0):
            raise ValueError(f"shares are in 0..1 and radii above 0, got {self}")


@dataclass(frozen=True)
class Front:
    """A layer in front of the scene, where it is at the middle of its path."""

    light_hwca: Floats
    """[H,W,4]: linear light times the mask, and the mask."""
    path: Path


def draw_front(
    light_hwc: Floats, path: Path, rng: np.random.Generator, foreground: ForegroundRange
) -> Front:
    """Return an object cut out of the picture itself, somewhere in its middle half."""
    mask = outline(light_hwc.shape[0], light_hwc.shape[1], rng, foreground)[..., None]
    tint = np.exp(rng.uniform(-0.9, 0.4) + rng.normal(0, 0.1, 3)).astype(np.float32)
    colours = light_hwc[::-1, ::-1] * tint * mask
    return Front(np.concatenate([colours, mask], axis=2), path)


def outline(
    height: int, width: int, rng: np.random.Generator, foreground: ForegroundRange
) -> Floats:
    """Return the mask [H,W] of a random smooth object: 1 inside, 0 outside."""
    middle = np.array([height, width]) * rng.uniform(0.25, 0.75, 2)
    angle, squeeze = rng.uniform(0, np.pi), np.exp(rng.uniform(0, np.log(2.5)))
    y, x = np.mgrid[:height, :width] - middle[:, None, None]
    along = (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(squeeze)
    across = (y * np.cos(angle) - x * np.sin(angle)) * np.sqrt(squeeze)
    radius = min(height, width) * rng.uniform(*foreground.radius)
    waves = rng.normal(0, 0.4, HARMONICS.size) / HARMONICS
    phases = rng.uniform(0, 2 * np.pi, HARMONICS.size)
    turn = np.arctan2(across, along)
    waviness = np.cos(turn[..., None] * HARMONICS + phases) @ waves
    hard = (np.hypot(along, across) < radius * np.exp(waviness)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(hard, (0, 0), 0.8), np.float32)


def lay_over(back_hwc: Floats, front_hwca: Floats) -> Floats:
    """Return the layer [H,W,4] over the background [H,W,3]."""
    over: Floats = back_hwc * (1 - front_hwca[..., 3:]) + front_hwca[..., :3]
    return over


def blur_both(
    back_hwc: Floats,
    path: Path,
    front: Front,
    focal_px: float,
    centre_xy: tuple[float, float],
    margin_px: int = 0,
) -> Floats:
    """Return the mean of the front over the background, each on its path, as `motion.blur`."""
    steps = max(len(path), len(front.path))
    both = (centred(resampled(one, steps)) for one in (path, front.path))
    total = np.zeros(1, np.float32)
    for behind, before in zip(*both, strict=True):
        seen = see(back_hwc, behind, focal_px, centre_xy, margin_px)
        total = total + lay_over(
            seen, see(front.light_hwca, before, focal_px, centre_xy, margin_px)
        )
    return total / np.float32(steps)
