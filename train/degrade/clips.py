"""From sharp pictures to a training clip: one camera moves before them, frame after frame.

A path goes on through all frames; in each the shutter is open for a share of the time, which
gives the blur, and the truth is the view at the mean pose of the exposure, as in `pipeline.py`.
So blur and movement belong together, as they do in the world: what a frame lost along its
motion, a neighbour that moved otherwise may still show. Noise is fresh in each frame and of one
strength in all; H.264 is one stream whose later frames are predicted from earlier ones.

Shape letters: T frames, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.pixels import SCALE, Bytes

from .camera import CameraRange, Floats, to_bytes, to_linear
from .exposure import ExposureRange, draw_gain, gain_on_curve
from .motion import Path, blur, homography
from .pipeline import Degradation

if TYPE_CHECKING:
    import av

STEPS = 32
"""Poses of a path in the time from one frame to the next."""
STEP_PX = 2.0
"""Views of one exposure are about so many pixels of the sharp image apart."""

Shot = Sequence[Bytes]
"""What the camera sees before it moves, a picture [H,W,3] a frame."""


@dataclass(frozen=True)
class ClipDegradation:
    """Everything that is drawn at random between scenes and the frames a network sees.

    Lengths are in pixels of the sharp image, four times those of the frames.
    """

    fastest_px: float = 24.0
    """Fastest mean motion from frame to frame; lengths are this times u^1.5, u uniform, so that
    half of the moving clips move by less than about two pixels of the frame."""
    still_share: float = 0.2
    """Share of shots in which the camera stands still."""
    shutter: tuple[float, float] = (0.2, 0.9)
    """Share of the time between frames for which the shutter is open."""
    gamma: tuple[float, float] = (1.0, 3.2)
    """Exponent of the camera's tone curve, see `Degradation`."""
    h264_share: float = 0.4
    """Share of clips that are one H.264 stream; `camera` says what the others pass through."""
    h264_crf: tuple[int, int] = (18, 30)
    """x264 constant rate factor of such streams."""
    camera: CameraRange = field(default_factory=lambda: CameraRange(h264_share=0.0))
    exposure: ExposureRange = field(default_factory=ExposureRange)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        shares = (self.still_share, self.h264_share, *self.shutter)
        if self.fastest_px < 0 or not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"lengths must not be negative, shares are in 0..1; got {self}")

    def margin_px(self, frames: int) -> int:
        """Return how much wider than its crop a scene must be, on each side."""
        return int(np.ceil(self.fastest_px * frames / 2 / SCALE)) * SCALE

    def clip(
        self, shots: Sequence[Shot], margin_px: int, rng: np.random.Generator
    ) -> tuple[Bytes, Bytes]:
        """Return (lr [T,h,w,3], hr [T,4h,4w,3]) of shots that follow each other.

        The scenes are [4h+2m,4w+2m,3] with m = `margin_px`; T is the number of all of them.
        """
        gamma = float(rng.uniform(*self.gamma))
        gain = gain_on_curve(draw_gain(rng, self.exposure), gamma)
        streamed = rng.random() < self.h264_share
        possible = replace(self.camera, jpeg_share=0.0) if streamed else self.camera
        camera = Degradation(camera=one_camera(possible, rng))
        seen, truths = [], []
        for shot in shots:
            for scene, path in zip(shot, self._exposures(len(shot), margin_px, rng), strict=True):
                light = blur(_light(scene, gamma, gain), path, _FOCAL_PX, _centre(scene), margin_px)
                seen.append(camera.sense(light, gamma, rng))
                view = _view(scene, path, margin_px)
                truths.append(view if gain == 1 else to_bytes(_light(view, gamma, gain), gamma))
        lr = np.stack(seen)
        if streamed:
            lr = h264_stream(lr, int(rng.integers(self.h264_crf[0], self.h264_crf[1] + 1)))
        return lr, np.stack(truths)

    def _exposures(self, frames: int, margin_px: int, rng: np.random.Generator) -> list[Path]:
        """Return the poses of each frame's exposure, no pose beyond the margin."""
        if rng.random() < self.still_share or not self.fastest_px:
            return [np.zeros((1, 3))] * frames
        speed_px = self.fastest_px * rng.random() ** 1.5
        path = clip_path(frames, speed_px, rng)
        reach = np.abs(path[:, :2]).max() + _ROLL_REACH_PX * np.abs(path[:, 2]).max()
        path *= min(1.0, max(margin_px - SCALE, 0) / reach)
        shutter = rng.uniform(*self.shutter)
        return [_exposure(path, frame, shutter, shutter * speed_px) for frame in range(frames)]


_FOCAL_PX = 1300.0
_ROLL_REACH_PX = 400.0
"""How far from the optical axis a crop's farthest corner is taken to be."""


def clip_path(frames: int, speed_px: float, rng: np.random.Generator) -> Path:
    """Return positions [frames * STEPS + 1, 3] of a camera that pans, shakes or does both.

    The pan keeps its course; the shake is a velocity that is forgotten within 0.3 to 5 frames
    (an Ornstein-Uhlenbeck process). `speed_px` is the mean way from frame to frame.
    """
    steps = frames * STEPS
    pan = rng.normal(size=3)
    kept = np.exp(-1 / (STEPS * rng.uniform(0.3, 5.0)))
    pushes = rng.normal(size=(steps, 3)) * np.sqrt(1 - kept * kept)
    shake = np.empty((steps, 3))
    velocity = rng.normal(size=3)
    for step in range(steps):
        velocity = kept * velocity + pushes[step]
        shake[step] = velocity
    share = rng.random()
    velocities = share * pan + (1 - share) * shake
    velocities *= speed_px / STEPS / max(np.hypot(*velocities[:, :2].T).mean(), 1e-9)
    velocities[:, 2] *= 0.3 / _ROLL_REACH_PX  # a crop's corner moves mostly with its middle
    path: Path = np.concatenate([np.zeros((1, 3)), np.cumsum(velocities, axis=0)])
    path -= (path.max(axis=0) + path.min(axis=0)) / 2
    return path


def _exposure(path: Path, frame: int, shutter: float, length_px: float) -> Path:
    """Return the poses while the shutter is open, evenly in time."""
    views = int(np.clip(np.ceil(length_px / STEP_PX) + 1, 2, 17))
    times = (frame + np.linspace(0, shutter, views)) * STEPS
    return np.stack([np.interp(times, np.arange(len(path)), part) for part in path.T], axis=1)


def _light(frame_hwc: Bytes, gamma: float, gain: float) -> Floats:
    return to_linear(frame_hwc, gamma) * np.float32(gain)


def _view(scene_hwc: Bytes, path: Path, margin_px: int) -> Bytes:
    """Return the scene at the mean pose of an exposure, less the margin, as sharp as it was."""
    height, width = (side - 2 * margin_px for side in scene_hwc.shape[:2])
    pose = path.mean(axis=0)
    if not pose.any():
        return scene_hwc[margin_px : margin_px + height, margin_px : margin_px + width]
    cut = np.array([[1, 0, -margin_px], [0, 1, -margin_px], [0, 0, 1.0]])
    matrix = cut @ homography(pose, _FOCAL_PX, _centre(scene_hwc))
    view = cv2.warpPerspective(
        scene_hwc,
        matrix,
        (width, height),
        flags=cv2.INTER_LANCZOS4,  # bilinear would soften the truth, each frame otherwise
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(view, np.uint8)


def _centre(scene_hwc: Bytes) -> tuple[float, float]:
    return scene_hwc.shape[1] / 2, scene_hwc.shape[0] / 2


def one_camera(camera: CameraRange, rng: np.random.Generator) -> CameraRange:
    """Return the range of one camera, whose noise and compression are the same in all frames."""
    dim = rng.random() < camera.dim_share
    shots = camera.dim_shot_noise if dim else camera.shot_noise
    reads = camera.dim_read_noise if dim else camera.read_noise
    shot, read = (float(np.exp(rng.uniform(*np.log(ends)))) for ends in (shots, reads))
    clean, jpeg = (float(rng.random() < s) for s in (camera.clean_share, camera.jpeg_share))
    quality = int(rng.integers(camera.jpeg_quality[0], camera.jpeg_quality[1] + 1))
    return replace(
        camera,
        shot_noise=(shot, shot),
        read_noise=(read, read),
        clean_share=clean,
        dim_share=0.0,
        jpeg_share=jpeg,
        jpeg_quality=(quality, quality),
        h264_share=0.0,
    )


def h264_stream(clip_thwc: npt.NDArray[np.uint8], crf: int) -> Bytes:
    """Return the frames after one H.264 stream, 4:2:0, a key frame first; sides must be even."""
    import av

    height, width = clip_thwc.shape[1:3]
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    frames: list[Bytes] = []
    for number in range(len(clip_thwc) + 1):
        packets = encoder.encode(_picture(clip_thwc, number))
        frames += [
            np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            for packet in packets
            for frame in decoder.decode(packet)
        ]
    frames += [
        np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in decoder.decode(None)
    ]
    return np.stack(frames)


def _picture(clip_thwc: npt.NDArray[np.uint8], number: int) -> "av.VideoFrame | None":
    """Return a frame for the encoder; None, which flushes it, after the last."""
    if number == len(clip_thwc):
        return None
    import av

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(clip_thwc[number]), format="bgr24")
    frame.pts = number
    return frame
