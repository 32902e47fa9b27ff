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

ROLL_REACH_PX = 500.0
"""About how far from the optical axis a crop is, which is how far a roll of one radian moves it."""


@dataclass(frozen=True)
class MotionRange:
    """How strong the blur is."""

    longest_px: float = 40.0
    """Longest path of the image centre, in pixels of the sharp (4x) image."""
    still_share: float = 0.12
    """Share of exposures without any motion: a network must leave sharp frames alone."""
    roll_rad: float = 0.012
    """Standard deviation of the roll over the exposure."""
    length_power: float = 1.0
    """Lengths are the longest times u ** this, u uniform: 1 draws all lengths equally often, more
    draws short ones more often."""
    pan_share: float = 0.35
    """Share of moving exposures that are straight and of even speed: from a vehicle, or a pan."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        shares_fit = all(0 <= share <= 1 for share in (self.still_share, self.pan_share))
        if min(self.longest_px, self.roll_rad) < 0 or self.length_power <= 0 or not shares_fit:
            raise ValueError(f"lengths must not be negative, shares are in 0..1; got {self}")


def camera_path(rng: np.random.Generator, motion: MotionRange) -> Path:
    """Draw a path; its mean pose, all zeros, is that of the sharp truth.

    A frame does not tell how far its blur is off the middle instant, so a truth taken there
    teaches a network to hedge; see docs/experiments.md. Neighbouring views are about two pixels
    apart, half a pixel of the frame: what that lets through is beyond its finest detail.
    """
    if rng.random() < motion.still_share:
        return np.zeros((1, 3))
    length_px = motion.longest_px * rng.random() ** motion.length_power
    smooth = _pan(rng, 65) if rng.random() < motion.pan_share else _random_walk(rng, 65)
    travelled = np.hypot(*np.diff(smooth[:, :2], axis=0).T).sum()
    smooth[:, :2] *= length_px / max(travelled, 1e-9)
    spread = max(np.abs(smooth[:, 2]).max(), 1e-9)
    smooth[:, 2] *= abs(rng.normal(0, motion.roll_rad)) / spread
    way_px = length_px + np.ptp(smooth[:, 2]) * ROLL_REACH_PX
    return centred(resampled(smooth, int(np.clip(np.ceil(way_px / 2) + 1, 3, 33))))


def resampled(path: Path, steps: int) -> Path:
    """Return the path at so many even instants, its ends among them."""
    times = np.linspace(0, len(path) - 1, steps)
    parts = [np.interp(times, np.arange(len(path)), part) for part in path.T]
    even: Path = np.stack(parts, axis=1)
    return even


def centred(path: Path) -> Path:
    """Return the path moved so that its mean pose is all zeros."""
    return np.asarray(path - path.mean(axis=0), np.float64)


def _pan(rng: np.random.Generator, steps: int) -> Path:
    """Positions of what keeps its direction, its speed and its turn: most of real blur.

    In an exposure of 1/30 s or less, a walking, driving or turning camera has hardly time to
    change its course.
    """
    direction = rng.uniform(0, 2 * np.pi)
    velocity = np.array([np.cos(direction), np.sin(direction), rng.normal()])
    return np.outer(np.linspace(-0.5, 0.5, steps), velocity)


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


def blur(
    linear_hwc: Floats,
    path: Path,
    focal_px: float,
    centre_xy: tuple[float, float],
    margin_px: int = 0,
) -> Floats:
    """Return the mean of the views along `path`, less `margin_px` on each side; linear light."""
    views = (see(linear_hwc, pose, focal_px, centre_xy, margin_px) for pose in path)
    total = next(views)
    for view in views:
        total += view
    return total / np.float32(len(path))


def see(
    linear_hwc: Floats,
    pose: Path,
    focal_px: float,
    centre_xy: tuple[float, float],
    margin_px: int = 0,
) -> Floats:
    """Return the view from one pose, less `margin_px` on each side: a new array."""
    height, width = (side - 2 * margin_px for side in linear_hwc.shape[:2])
    cut = np.array([[1, 0, -margin_px], [0, 1, -margin_px], [0, 0, 1.0]])
    matrix = cut @ homography(pose, focal_px, centre_xy)
    view = cv2.warpPerspective(
        linear_hwc, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(view, np.float32)
