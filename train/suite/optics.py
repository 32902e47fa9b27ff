"""How the suite's frames are made of sharp pictures: fixed, whatever training learns from.

Training changes its degradations whenever that helps; a benchmark may not. So the suite has camera
paths and noise of its own, with explicit numbers, over the lowest functions of `degrade`, and a
test pins what comes out.

Shape letters: H height, W width, 3 channels in BGR order. Lengths are in pixels of the sharp
image, angles in radians, light is linear from 0 to 1.
"""

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.bicubic import resize_bicubic
from crispstream.core.pixels import SCALE, Bytes, round_to_bytes
from crispstream.train.degrade.camera import to_linear
from crispstream.train.degrade.motion import blur, homography

GAMMA = 2.2
"""Tone curve of the suite: bytes / 255 = light ** (1 / 2.2)."""
FOCAL_PX = 1500.0
"""Focal length: that of a camera that sees 65 degrees on 1920 pixels."""
POSES = 65
"""Views that an exposure is the mean of."""
MARGIN_PX = 32
"""How much more of the picture than its crop is blurred, on each side."""
_INERTIA = 0.98
_PULL = 0.01

Poses = npt.NDArray[np.float64]
"""[steps, 3]: sideways and upward turn in pixels at the image centre, roll in radians."""
Light = npt.NDArray[np.float32]


def shaken(rng: np.random.Generator, steps: int) -> Poses:
    """Return where a mass is that is pushed at random and pulled back; of any scale.

    After Boracchi and Foi, "Modeling the Performance of Image Restoration from Motion Blur", IEEE
    TIP 2012. It swings with a period of about 63 steps.
    """
    velocity = rng.normal(size=3)
    position = np.zeros((steps, 3))
    for step in range(1, steps):
        push = rng.normal(size=3) * (1 - _INERTIA) * 3
        velocity = _INERTIA * velocity + push - _PULL * position[step - 1]
        position[step] = position[step - 1] + velocity
    return position


def path_of_length(rng: np.random.Generator, length_px: float, reach_px: float) -> Poses:
    """Return the path of an exposure whose image centre travels exactly `length_px`.

    Rolling moves what is `reach_px` from the centre by a quarter of that at most. The mean pose is
    zero: it is that of the truth.
    """
    poses = shaken(rng, POSES)
    poses[:, :2] *= length_px / travelled_px(poses)
    poses -= poses.mean(axis=0)
    poses[:, 2] *= length_px / 4 / reach_px / np.abs(poses[:, 2]).max()
    return poses


def travelled_px(poses: Poses) -> float:
    """Return how far the image centre travels along a path."""
    return float(np.hypot(*np.diff(poses[:, :2], axis=0).T).sum())


def light_of(picture_hwc: Bytes, stops: float = 0.0) -> Light:
    """Return the light of a picture, exposed `stops` more (or less) than it was."""
    return to_linear(picture_hwc, GAMMA) * np.float32(2.0**stops)


def shown(light_hwc: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return light as what a screen is given, 0 to 1; what is brighter is clipped."""
    curve: npt.NDArray[np.float64] = np.clip(light_hwc.astype(np.float64), 0, 1) ** (1 / GAMMA)
    return curve


def seen(
    shown_hwc: npt.NDArray[np.float64], rng: np.random.Generator, shot: float, read: float
) -> Bytes:
    """Return the LR frame of an image, 0 to 1, with four times its sides.

    Bicubic x1/4 on display values, then the sensor's noise: its variance in light is
    shot x light + read^2. Zeros make none.
    """
    small = np.clip(resize_bicubic(shown_hwc, 1 / SCALE), 0, 1)
    return noisy(small, rng, shot, read)


def noisy(
    small_hwc: npt.NDArray[np.float64], rng: np.random.Generator, shot: float, read: float
) -> Bytes:
    """Return an LR frame of display values, 0 to 1, as bytes with the noise of a sensor."""
    if shot or read:
        light = small_hwc**GAMMA
        light = light + np.sqrt(shot * light + read**2) * rng.standard_normal(light.shape)
        small_hwc = np.clip(light, 0, 1) ** (1 / GAMMA)
    return round_to_bytes(small_hwc * 255)


def smeared(light_hwc: Light, poses: Poses, axis_xy: tuple[float, float]) -> Light:
    """Return the mean of the views along a path; `axis_xy` is where the optical axis is."""
    return blur(light_hwc, poses, FOCAL_PX, axis_xy)


def viewed(picture_hwc: Bytes, pose: Poses, axis_xy: tuple[float, float]) -> Bytes:
    """Return the sharp view of a picture at one pose [3].

    Lanczos, which keeps nearly all detail: a softer view would flicker with the pose.
    """
    height, width = picture_hwc.shape[:2]
    matrix = homography(pose, FOCAL_PX, axis_xy)
    view = cv2.warpPerspective(
        picture_hwc,
        matrix,
        (width, height),
        flags=cv2.INTER_LANCZOS4,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(view, np.uint8)
