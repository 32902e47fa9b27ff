"""From a sharp picture to a training pair, in physical order.

    the scene:   sharp bytes -> soft, or enlarged before -> linear light -> exposure's gain
                 -> an object in front of it                            = the truth, clipped
    the optics:  -> discs of a lens out of focus -> mean over the paths of camera and object
    the camera:  -> clipped -> display light -> bicubic x1/4 -> linear light -> sensor noise
                 -> bytes -> compression                                = what a network sees

Softness and earlier enlargement are in the truth too: they belong to the scene, or were done by
somebody before, and a network must leave them. So does the exposure's gain, which comes before
blur and clipping because light adds up before a sensor saturates: a lamp moves as a bright streak.
Defocus comes before motion because a lens images every instant; noise comes after both, because
a sensor counts the light of the whole exposure, and compression after noise, because that is what
the camera encodes. The truth has the scene at the mean pose of the exposure.

The bicubic reduction works on display values because every published protocol and every truth we
are judged by does: reducing in linear light lifts textured areas by up to 4 grey levels
(measured), which a network would then learn to take back. The noise is drawn on the usual tone
curve, whatever that of the blur.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.bicubic import downscale_x4, resize_bicubic, upscale_x4
from crispstream.core.pixels import SCALE, Bytes, round_to_bytes

from .camera import GAMMA, CameraRange, add_noise, compress, to_bytes, to_linear
from .exposure import ExposureRange, draw_gain, gain_on_curve
from .foreground import ForegroundRange, Front, blur_both, draw_front, lay_over
from .lens import LensRange, defocus, draw_disc
from .motion import Floats, MotionRange, Path, blur, camera_path

STILL: Path = np.zeros((1, 3))


@dataclass(frozen=True)
class Degradation:
    """Everything that is drawn at random between a scene and the frame a network sees."""

    motion: MotionRange = field(default_factory=MotionRange)
    camera: CameraRange = field(default_factory=CameraRange)
    gamma: tuple[float, float] = (1.0, 3.2)
    """Exponent of the camera's tone curve. 1 is the plain mean of stored frames, as in GOPRO;
    2.2 is the textbook; measured responses are as steep as 3.2 in the lights."""

    soft_share: float = 0.15
    """Share of scenes that are soft before any motion: a network must not sharpen those."""
    soft_px: tuple[float, float] = (0.5, 2.5)
    """Standard deviation of their Gaussian softness, in pixels of the sharp image."""
    enlarged_share: float = 0.03
    """Share of frames that somebody enlarged by 4 before, and that nothing can be won from. They
    stand still: what blurred them was enlarged with them."""
    exposure: ExposureRange = field(default_factory=ExposureRange)
    foreground: ForegroundRange = field(default_factory=ForegroundRange)
    lens: LensRange = field(default_factory=LensRange)

    def margin_px(self) -> int:
        """Return how much wider than its crop a picture should be, on each side.

        A path reaches half its length from its mean pose, and rolling adds to that: with the
        ranges above, one crop of 60 looks further, a few pixels, and finds the picture mirrored.
        """
        return int(np.ceil(self.motion.longest_px * 0.6 / SCALE)) * SCALE

    def pair(self, sharp_hwc: Bytes, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
        """Return (lr, hr): the middle of a sharp picture, degraded and as it was.

        `sharp_hwc` is [4h+2m, 4w+2m, 3] with m = `margin_px()`; lr is [h,w,3], hr [4h,4w,3].
        """
        margin = self.margin_px()
        gamma = rng.uniform(*self.gamma)
        gain = gain_on_curve(draw_gain(rng, self.exposure), gamma)
        if rng.random() < self.enlarged_share:
            scene = to_linear(enlarged_again(sharp_hwc), gamma) * np.float32(gain)
            seen = truth = scene[margin:-margin, margin:-margin] if margin else scene
            return self.sense(seen, gamma, rng), to_bytes(truth, gamma)
        scene = to_linear(self._softened(sharp_hwc, rng), gamma) * np.float32(gain)
        seen, truth = self._expose(scene, rng)
        return self.sense(seen, gamma, rng), to_bytes(truth, gamma)

    def sense(
        self, linear_hwc: npt.NDArray[np.floating], gamma: float, rng: np.random.Generator
    ) -> Bytes:
        """Return what the camera delivers of an image in linear light four times its size."""
        display = resize_bicubic(np.clip(linear_hwc, 0, 1) ** (1 / gamma), 1 / SCALE)
        if rng.random() < self.camera.clean_share:
            return round_to_bytes(display * 255)
        small = np.clip(display, 0, 1) ** GAMMA
        return compress(to_bytes(add_noise(small, rng, self.camera)), rng, self.camera)

    def _softened(self, sharp_hwc: Bytes, rng: np.random.Generator) -> Bytes:
        if rng.random() >= self.soft_share:
            return sharp_hwc
        softness = cv2.GaussianBlur(sharp_hwc, (0, 0), rng.uniform(*self.soft_px))
        return np.asarray(softness, np.uint8)

    def _expose(self, scene_hwc: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return (seen, truth), without the margin: linear light, not yet clipped."""
        margin = self.margin_px()
        height, width = scene_hwc.shape[:2]
        focal_px = rng.uniform(900, 1800)
        off_axis = rng.uniform(-600, 600), rng.uniform(-350, 350)
        centre = width / 2 + off_axis[0], height / 2 + off_axis[1]
        path = self._path(off_axis, rng)
        inside = slice(margin, -margin) if margin else slice(None)
        disc = draw_disc(rng, self.lens)
        if rng.random() >= self.foreground.share:
            image = scene_hwc if disc is None else defocus(scene_hwc, disc)
            return blur(image, path, focal_px, centre, margin), scene_hwc[inside, inside]
        path = STILL if rng.random() < self.foreground.fixed_share else path
        front = draw_front(scene_hwc, self._path(off_axis, rng), rng, self.foreground)
        truth = lay_over(scene_hwc, front.light_hwca)[inside, inside]
        if disc is not None:
            scene_hwc = defocus(scene_hwc, disc)
            front = Front(defocus(front.light_hwca, disc), front.path)
        return blur_both(scene_hwc, path, front, focal_px, centre, margin), truth

    def _path(self, off_axis: tuple[float, float], rng: np.random.Generator) -> Path:
        """Draw a path on which no point of the crop rolls further than the longest path."""
        path = camera_path(rng, self.motion)
        reach = np.hypot(*off_axis) * np.abs(path[:, 2]).max()
        path[:, 2] *= min(1.0, self.motion.longest_px / 2 / max(reach, 1e-9))
        return path


def enlarged_again(sharp_hwc: Bytes) -> Bytes:
    """Return the picture [H,W,3] with no more detail than a 16th of its sides holds.

    Reduced by 4 again, it is the fourfold enlargement of something smaller.
    """
    small = downscale_x4(downscale_x4(sharp_hwc))
    return upscale_x4(upscale_x4(small))[: sharp_hwc.shape[0], : sharp_hwc.shape[1]]
