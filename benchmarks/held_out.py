"""Frames of sources that no shipped weights have learnt from, for the scripts here that need some.

Synthetic: stills held out of training, blurred along random camera paths, then noise and codec.
Real: averages of 7, 11 and 15 frames of a 240 fps clip (GOPR0477) and two official GOPRO pairs.
What is claimed of models is measured on the kit's own benchmark instead, by crisp_v1.py. Needs the
data folder (not part of the project).
"""

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from crispstream.core.bicubic import downscale_x4
from crispstream.core.pixels import Bytes
from crispstream.runtime.stream.source import open_source
from crispstream.train.data.sharp import IMAGES, list_media
from crispstream.train.degrade.camera import CameraRange
from crispstream.train.degrade.exposure import ExposureRange
from crispstream.train.degrade.foreground import ForegroundRange
from crispstream.train.degrade.lens import LensRange
from crispstream.train.degrade.motion import MotionRange
from crispstream.train.degrade.pipeline import Degradation
from crispstream.train.evaluate import Sample, read_samples, synthetic_samples
from crispstream.train.recipes.edge import HELD_OUT
from crispstream.train.suite.response import expose, load_response

FRAMES_AVERAGED = (7, 11, 15)
FRAMES_STEPPED = 24
YARDSTICK = Degradation(
    MotionRange(roll_rad=0.012, pan_share=0.0),
    CameraRange(
        shot_noise=(1e-5, 5e-4),
        read_noise=(1e-4, 2e-3),
        jpeg_share=0.2,
        jpeg_quality=(70, 95),
        h264_share=0.2,
        h264_crf=(14, 25),
        clean_share=0.0,
        dim_share=0.0,
    ),
    gamma=(2.2, 2.2),
    soft_share=0.0,
    enlarged_share=0.0,
    exposure=ExposureRange(dark_share=0.0, bright_share=0.0),
    foreground=ForegroundRange(share=0.0),
    lens=LensRange(share=0.0),
)
"""Written out, so that the figures do not move when the recipe's own ranges do."""


def held_out_stills(data: Path) -> list[Path]:
    """Return the stills that training leaves out."""
    stills = [path for path in list_media([data / "train"]) if path.suffix.lower() in IMAGES]
    return [path for path in stills if any(fnmatch(path.name, shape) for shape in HELD_OUT)]


def synthetic(data: Path, longest_px: float, still_share: float) -> Iterator[Sample]:
    """Give the held-out stills under motion up to `longest_px` of the sharp image."""
    motion = replace(YARDSTICK.motion, longest_px=longest_px, still_share=still_share)
    yield from synthetic_samples(held_out_stills(data), replace(YARDSTICK, motion=motion), seed=1)


def real(data: Path) -> Iterator[Sample]:
    """Give frames that the world blurred."""
    pairs = (sample for sample in read_samples(data / "pairs/gopro") if "GOPR0477" in sample.name)
    yield from pairs
    response = load_response(data / "pairs/gopro6_inverse_crf.npy")
    source = open_source(str(data / "video/gopro_GOPR0477_11_00_240fps_720p.mp4"))
    frames: list[Bytes] = [frame.pixels_hwc.copy() for frame in source]
    source.close()
    for count in FRAMES_AVERAGED:
        for start in range(0, len(frames) - count + 1, FRAMES_STEPPED):
            window = frames[start : start + count]
            lr = downscale_x4(expose(window, response))
            yield Sample(f"{count} frames from {start}", lr, window[count // 2])
