"""Which of a camera's modes to take: the size and rate that are asked for, raw rather than MJPEG.

A raw picture has no artefacts of compression and costs nothing to decode, but at the larger
sizes USB cameras reach their full rate with MJPEG only.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from .v4l2_device import Mode

PIXEL_FORMATS = {
    "NV12": "nv12",
    "YU12": "yuv420p",
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "BGR3": "bgr24",
    "RGB3": "rgb24",
    "BGR4": "bgr0",
    "XR24": "bgr0",
    "GREY": "gray",
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
}
"""The kernel's name -> FFmpeg's, of pixel formats or for MJPEG of the codec; better ones first."""

COMPRESSED = ("MJPG", "JPEG")
FLUENT = Fraction(24)
"""Frames per second below which motion looks like single pictures."""


def usable(modes: Iterable[Mode]) -> list[Mode]:
    """Return the modes whose pixel format can be read."""
    return [mode for mode in modes if mode.pixel_format in PIXEL_FORMATS]


def best_mode(
    modes: Iterable[Mode], size: tuple[int, int] | None, frames_per_second: float | None
) -> Mode | None:
    """Return the mode of this size to take; None if there is none that has the rate too.

    Without a rate, the best format that is fluent, else the fastest. Without a size, any.

    >>> modes = [Mode(640, 480, Fraction(30), "MJPG"), Mode(640, 480, Fraction(30), "YUYV")]
    >>> best_mode(modes, (640, 480), None).pixel_format
    'YUYV'
    """
    fitting = [mode for mode in usable(modes) if size in (None, (mode.width, mode.height))]
    if frames_per_second is not None:
        fitting = [mode for mode in fitting if _has_rate(mode, frames_per_second)]
    return min(fitting, key=_rank, default=None)


def _has_rate(mode: Mode, frames_per_second: float) -> bool:
    rate = mode.frames_per_second
    return rate is None or abs(float(rate) - frames_per_second) < 0.02 * frames_per_second


def _rank(mode: Mode) -> tuple[Fraction, int, Fraction]:
    """The less the better: fluent ones, then by format, then by rate."""
    rate = FLUENT if mode.frames_per_second is None else mode.frames_per_second
    return -min(rate, FLUENT), list(PIXEL_FORMATS).index(mode.pixel_format), -rate


def modes_text(modes: Sequence[Mode], most: int = 12) -> str:
    """Return the sizes with their highest rates, as "1280x720 at 30, 640x480 at 60"."""
    fastest: dict[tuple[int, int], Fraction | None] = {}
    for mode in modes:
        size, rate = (mode.width, mode.height), mode.frames_per_second
        fastest[size] = max(fastest.get(size) or Fraction(0), rate or Fraction(0)) or None
    ordered = sorted(fastest.items(), reverse=True)
    texts = [f"{w}x{h} at {float(rate):g}" if rate else f"{w}x{h}" for (w, h), rate in ordered]
    return ", ".join(texts[:most]) + (", ..." if len(texts) > most else "")
