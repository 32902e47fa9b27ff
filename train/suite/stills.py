"""Pieces made of one held-out still: pairs, a camera that pans over it, a scene that stands still.

Shape letters: H height, W width, 3 channels in BGR order. Lengths are in pixels of the truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.pixels import Bytes, round_to_bytes
from crispstream.train.data.layout import read_image
from crispstream.train.degrade.camera import h264

from .optics import (
    MARGIN_PX,
    Light,
    Poses,
    light_of,
    path_of_length,
    seen,
    shaken,
    shown,
    smeared,
    viewed,
)
from .pieces import Crop, Files, generator, pair_files, sequence_files

KEYS_PER_FRAME = 8
"""Steps of a shaking camera in the time of a frame: it swings once in about eight frames."""
POSES_PER_FRAME = 33
"""Views that the exposure of a panned frame is the mean of."""
INSIDE = (slice(MARGIN_PX, -MARGIN_PX), slice(MARGIN_PX, -MARGIN_PX))
"""What is left of a blurred crop without its margin."""


@dataclass(frozen=True)
class Sensor:
    """What follows the lens; zeros add nothing."""

    shot: float = 0.0
    """Variance of the noise per unit of light."""
    read: float = 0.0
    """Standard deviation of the noise where there is no light."""
    h264_crf: int = 0
    """Rate factor of one intra frame of H.264 (x264: 18 is good, 30 is coarse)."""

    def frame(self, shown_hwc: np.ndarray, rng: np.random.Generator) -> Bytes:
        """Return the LR frame of an image of four times its size, display values 0 to 1."""
        lr = seen(shown_hwc, rng, self.shot, self.read)
        return h264(lr, self.h264_crf) if self.h264_crf else lr


@dataclass(frozen=True)
class Still:
    """A pair."""

    is_sequence: ClassVar[bool] = False
    part: str
    crop: Crop
    path_px: float = 0.0
    """Length of the camera's path while the shutter is open."""
    stops: float = 0.0
    """Exposure against the source's, in powers of two; the truth has it too."""
    sensor: Sensor = field(default_factory=Sensor)

    @property
    def name(self) -> str:
        """`part/name`."""
        return f"{self.part}/{self.crop.stem}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The still."""
        return (self.crop.source,)

    def make(self, paths: Sequence[Path]) -> Files:
        """Return the pair; the truth is the view at the mean pose."""
        rng, picture = generator(self.name), read_image(paths[0])
        hr, shown_hwc = self.crop.cut(picture), self.crop.cut(picture) / 255.0
        if self.stops or self.path_px:
            light = light_of(self.crop.cut(picture, MARGIN_PX), self.stops)
            hr = round_to_bytes(shown(light[INSIDE]) * 255) if self.stops else hr
            axis_xy = self.crop.axis_xy(picture, MARGIN_PX)
            shown_hwc = shown(self._blurred(light, axis_xy)[INSIDE])
        return pair_files(self.name, self.sensor.frame(shown_hwc, rng), hr)

    def _blurred(self, light_hwc: Light, axis_xy: tuple[float, float]) -> Light:
        if not self.path_px:
            return light_hwc
        # By length and source alone: parts of one length then differ in nothing but their sensor.
        rng = generator(f"{self.path_px:g}/{self.crop.stem}")
        height, width = light_hwc.shape[:2]
        corners = [(x, y) for x in (0, width) for y in (0, height)]
        reach_px = max(float(np.hypot(x - axis_xy[0], y - axis_xy[1])) for x, y in corners)
        return smeared(light_hwc, path_of_length(rng, self.path_px, reach_px), axis_xy)


@dataclass(frozen=True)
class Upscaled:
    """A pair whose LR frame had a quarter of its sides before and was enlarged by bicubic."""

    is_sequence: ClassVar[bool] = False
    part: str
    crop: Crop

    @property
    def name(self) -> str:
        """`part/name`."""
        return f"{self.part}/{self.crop.stem}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The still."""
        return (self.crop.source,)

    def make(self, paths: Sequence[Path]) -> Files:
        """Return the pair; the truth is the sharp scene."""
        hr = self.crop.cut(read_image(paths[0]))
        return pair_files(self.name, upscale_x4(downscale_x4(downscale_x4(hr))), hr)


@dataclass(frozen=True)
class Pan:
    """A sequence: a shaking camera pans over a still, its exposures blur by what it moves."""

    is_sequence: ClassVar[bool] = True
    part: str
    crop: Crop
    """Where the first frame is, but for the shake."""
    frames: int
    step_xy: tuple[float, float]
    """How far the camera pans from frame to frame."""
    shake_px: float
    """Root mean square of the shake in each direction."""
    roll_rad: float
    """Root mean square of the roll."""
    shutter: float
    """Exposure as a share of the time between frames."""
    sensor: Sensor

    @property
    def name(self) -> str:
        """`part/name`."""
        return f"{self.part}/pan_{self.crop.stem}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The still."""
        return (self.crop.source,)

    def make(self, paths: Sequence[Path]) -> Files:
        """Return LR frames and, as truths, the views at the mean pose of each exposure."""
        rng, picture = generator(self.name), read_image(paths[0])
        keys, frames, truths = self._keys(rng), [], []
        for number in range(self.frames):
            times = (number + self.shutter * np.linspace(0, 1, POSES_PER_FRAME)) * KEYS_PER_FRAME
            poses = np.stack(
                [np.interp(times, np.arange(len(keys)), keys[:, axis]) for axis in range(3)], axis=1
            )
            lr, hr = self._frame(picture, poses, rng)
            frames.append(lr)
            truths.append(hr)
        return sequence_files(self.name, frames, truths)

    def _keys(self, rng: np.random.Generator) -> Poses:
        """Return where the camera looks, eight times a frame: [keys, 3]."""
        count = KEYS_PER_FRAME * (self.frames + 1)
        keys = shaken(rng, count)
        keys -= keys.mean(axis=0)
        keys *= np.array([self.shake_px, self.shake_px, self.roll_rad]) / keys.std(axis=0)
        keys[:, :2] += np.outer(np.arange(count) / KEYS_PER_FRAME, self.step_xy)
        return keys

    def _frame(self, picture: Bytes, poses: Poses, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
        """Expose along `poses`; whole pixels move the window, the rest turns the camera."""
        mean = poses.mean(axis=0)
        dx, dy = (int(v) for v in np.round(mean[:2]))
        window = Crop(
            self.crop.source, self.crop.x + dx, self.crop.y + dy, self.crop.width, self.crop.height
        )
        region = window.cut(picture, MARGIN_PX)
        axis_xy = region.shape[1] / 2, region.shape[0] / 2
        rest = poses - np.array([dx, dy, 0.0])
        truth = viewed(region, rest.mean(axis=0), axis_xy)[INSIDE]
        blurred = smeared(light_of(region), rest, axis_xy)[INSIDE]
        return self.sensor.frame(shown(blurred), rng), truth


@dataclass(frozen=True)
class Scene:
    """A sequence: nothing moves, and each frame has fresh noise. It has one truth."""

    is_sequence: ClassVar[bool] = True
    part: str
    crop: Crop
    strength: str
    """How the noise is called in the name."""
    frames: int
    sensor: Sensor

    @property
    def name(self) -> str:
        """`part/name`."""
        return f"{self.part}/{self.crop.stem}-{self.strength}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The still."""
        return (self.crop.source,)

    def make(self, paths: Sequence[Path]) -> Files:
        """Return the LR frames and the truth."""
        rng, hr = generator(self.name), self.crop.cut(read_image(paths[0]))
        frames = [self.sensor.frame(hr / 255.0, rng) for _ in range(self.frames)]
        return sequence_files(self.name, frames, [hr])
