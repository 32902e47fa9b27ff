"""Motion blur of a shaking camera: the mean of sharp views along a smooth random path.

The camera turns about its three axes while the shutter is open. Each instant shows the scene
through a homography K R K^-1 (Whyte et al., "Non-uniform Deblurring for Shaken Images", IJCV
2012), so blur differs from place to place: rolling smears the corners, not the centre. Paths
are integrated velocities with inertia and a pull to the centre (after Boracchi and Foi,
"Modeling the Performance of Image Restoration from Motion Blur", IEEE TIP 2012). Light adds up
in linear space, so the mean is taken there.

Lengths are in pixels of the sharp image; angles are in radians.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Path = npt.NDArray[np.float64]
"""[steps, 3]: sideways and upward turn in pixels at the image centre, roll in radians."""


@dataclass(frozen=True)
class MotionRange:
    """How strong the blur is."""

    longest_px: float = 32.0
    """Longest path of the image centre, in pixels of the sharp (4x) image; short ones are drawn
    more often (the longest times u^1.5, u uniform)."""
    still_share: float = 0.12
    """Share of exposures without any motion: a network must leave sharp frames alone."""
    roll_rad: float = 0.012
    """Standard deviation of the roll over the exposure."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        if self.longest_px < 0 or not 0 <= self.still_share <= 1 or self.roll_rad < 0:
            raise ValueError(f"lengths must not be negative, shares are in 0..1; got {self}")


def camera_path(rng: np.random.Generator, motion: MotionRange) -> Path:
    """Draw a path; its mean pose, all zeros, is that of the sharp truth.

    A frame does not tell how far its blur is off the middle instant, so a truth taken there
    teaches a network to hedge; see docs/experiments.md. Sampled finely enough that neighbouring
    views are about 1.5 pixels apart.
    """
    if rng.random() < motion.still_share:
        return np.zeros((1, 3))
    length_px = motion.longest_px * rng.random() ** 1.5
    smooth = _random_walk(rng, 65)
    travelled = np.hypot(*np.diff(smooth[:, :2], axis=0).T).sum()
    smooth[:, :2] *= length_px / max(travelled, 1e-9)
    spread = max(np.abs(smooth[:, 2]).max(), 1e-9)
    smooth[:, 2] *= abs(rng.normal(0, motion.roll_rad)) / spread
    steps = int(np.clip(np.ceil(length_px / 1.5), 3, 31))
    sampled: Path = smooth[np.linspace(0, 64, steps).round().astype(int)]
    sampled -= sampled.mean(axis=0)
    return sampled


def _random_walk(rng: np.random.Generator, steps: int) -> Path:
    """Positions of a mass that is pushed at random and pulled back."""
    inertia = rng.uniform(0.95, 0.998)
    velocity = rng.normal(size=3)
    position = np.zeros((steps, 3))
    for step in range(1, steps):
        push = rng.normal(size=3) * (1 - inertia) * 3
        velocity = inertia * velocity + push - 0.01 * position[step - 1]
        position[step] = position[step - 1] + velocity
    return position


def homography(pose: Path, focal_px: float, centre_xy: tuple[float, float]) -> Path:
    """Return the 3x3 map of image points for one pose of a path.

    `centre_xy` is where the optical axis meets the image; it may lie outside of a crop.
    """
    turn = np.array([pose[1] / focal_px, -pose[0] / focal_px, pose[2]])
    rotation, _ = cv2.Rodrigues(turn)
    camera = np.array([[focal_px, 0, centre_xy[0]], [0, focal_px, centre_xy[1]], [0, 0, 1.0]])
    matrix: Path = camera @ rotation @ np.linalg.inv(camera)
    return matrix


def blur(linear_hwc: Floats, path: Path, focal_px: float, centre_xy: tuple[float, float]) -> Floats:
    """Return the mean of the views along `path`; linear light in, linear light out."""
    height, width = linear_hwc.shape[:2]
    total = np.zeros_like(linear_hwc)
    view = np.empty_like(linear_hwc)
    for pose in path:
        matrix = homography(pose, focal_px, centre_xy)
        cv2.warpPerspective(
            linear_hwc, matrix, (width, height), dst=view, borderMode=cv2.BORDER_REFLECT_101
        )
        total += view
    return total / np.float32(len(path))
