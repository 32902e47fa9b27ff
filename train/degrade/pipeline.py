"""From a sharp picture to a training pair, in physical order.

    sharp bytes -> linear light -> motion blur -> display light -> bicubic x1/4
                -> linear light -> sensor noise -> bytes -> compression

The truth is the sharp picture at the mean pose of the exposure. The bicubic reduction works on
display values because every published protocol and every truth we are judged by does: reducing
in linear light lifts textured areas by up to 4 grey levels (measured), which a network would
then learn to take back. The noise is drawn on the usual tone curve, whatever that of the blur.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.bicubic import resize_bicubic
from crispstream.core.pixels import SCALE, Bytes

from .camera import GAMMA, CameraRange, add_noise, compress, to_bytes, to_linear
from .motion import MotionRange, Path, blur, camera_path


@dataclass(frozen=True)
class Degradation:
    """Everything that is drawn at random between a scene and the frame a network sees."""

    motion: MotionRange = field(default_factory=MotionRange)
    camera: CameraRange = field(default_factory=CameraRange)
    gamma: tuple[float, float] = (1.0, 3.2)
    """Exponent of the camera's tone curve. 1 is the plain mean of stored frames, as in GOPRO;
    2.2 is the textbook; measured responses are as steep as 3.2 in the lights."""

    soft_share: float = 0.35
    """Share of scenes that are soft before any motion: a network must not sharpen those."""
    soft_px: tuple[float, float] = (0.5, 2.5)
    """Standard deviation of their Gaussian softness, in pixels of the sharp image."""

    def margin_px(self) -> int:
        """Return how much wider than its crop a picture should be, on each side."""
        return int(np.ceil(self.motion.longest_px * 0.75 / SCALE)) * SCALE

    def pair(self, sharp_hwc: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
        """Return (lr, hr): the middle of a sharp picture, degraded and as it was.

        `sharp_hwc` is [4h+2m, 4w+2m, 3] with m = `margin_px()`; lr is [h,w,3], hr [4h,4w,3].
        """
        margin = self.margin_px()
        if rng.random() < self.soft_share:
            softness = cv2.GaussianBlur(sharp_hwc, (0, 0), rng.uniform(*self.soft_px))
            sharp_hwc = np.asarray(softness, np.uint8)
        inside = slice(margin, -margin) if margin else slice(None)
        height, width = sharp_hwc.shape[:2]
        path = camera_path(rng, self.motion)
        focal_px = rng.uniform(900, 1800)
        off_axis = rng.uniform(-600, 600), rng.uniform(-350, 350)
        centre = width / 2 + off_axis[0], height / 2 + off_axis[1]
        path[:, 2] *= min(1.0, self._roll_limit(path, off_axis))
        gamma = rng.uniform(*self.gamma)
        blurred = blur(to_linear(sharp_hwc, gamma), path, focal_px, centre)[inside, inside]
        return self.sense(blurred, gamma, rng), sharp_hwc[inside, inside]

    def sense(
        self, linear_hwc: npt.NDArray[np.floating], gamma: float, rng: np.random.Generator
    ) -> Bytes:
        """Return what the camera delivers of an image in linear light four times its size."""
        display = resize_bicubic(np.clip(linear_hwc, 0, 1) ** (1 / gamma), 1 / SCALE)
        small = np.clip(display, 0, 1) ** GAMMA
        return compress(to_bytes(add_noise(small, rng, self.camera)), rng, self.camera)

    def _roll_limit(self, path: Path, off_axis: tuple[float, float]) -> float:
        """Scale the roll so that no point of the crop moves further than the longest path."""
        reach = np.hypot(*off_axis) * np.abs(path[:, 2]).max()
        return float(self.motion.longest_px / 2 / max(reach, 1e-9))
