"""What the broken-frame guard sees in frames that are right, and what a look of it costs.

Shape letters: H height, W width, 3 channels in BGR order.
"""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from common import median_and_range

from crispstream.core.pixels import SCALE, Bytes
from crispstream.core.sizes import parse_size
from crispstream.runtime.engine.trust import guard as guarding

TIMED_SIZES = ("320x180", "1920x1080")
LOOKS_TIMED = 60
_CACHE_BYTES = 128 << 20


class Look(NamedTuple):
    """The guard's figures of one restored frame."""

    frame: str
    mean_levels: float
    """The largest move of a channel's mean."""
    new_extremes: float
    """Share of the values that became 0, or 255, without the input being near."""
    contrast: float
    """Over the input's; infinite where that is too flat to be judged."""
    complaint: str


def look_at(guard: guarding.FrameGuard, name: str, frame_hwc: Bytes, restored_hwc: Bytes) -> Look:
    """Let the guard look at a frame [H,W,3] and its restored one [4H,4W,3]; return what it saw."""
    complaint = guard.check(frame_hwc, restored_hwc)
    # Its buffers, not a copy of its arithmetic: these are the places that it judged by.
    before, after = guard._frame, guard._restored
    far = cv2.absdiff(before, after) > guarding._NEAR_LEVELS
    (mean, spread), (new_mean, new_spread) = (
        [np.asarray(each) for each in cv2.meanStdDev(places)] for places in (before, after)
    )
    was, became = (float(np.sqrt(np.mean(each**2))) for each in (spread, new_spread))
    return Look(
        frame=name,
        mean_levels=float(np.abs(new_mean - mean).max()),
        new_extremes=max(float(np.mean((after == level) & far)) for level in (0, 255)),
        contrast=became / was if was >= guarding._FLAT_LEVELS else math.inf,
        complaint=complaint,
    )


def farthest(looks: Sequence[Look]) -> dict[str, Any]:
    """Return the figures that came nearest to the guard's limits, each with its frame."""
    moved = max(looks, key=lambda look: look.mean_levels)
    burnt = max(looks, key=lambda look: look.new_extremes)
    faded = min(looks, key=lambda look: look.contrast)
    return {
        "looks": len(looks),
        "mean_levels": moved.mean_levels,
        "mean_levels_frame": moved.frame,
        "new_extremes": burnt.new_extremes,
        "new_extremes_frame": burnt.frame,
        "contrast": faded.contrast,
        "contrast_frame": faded.frame,
        "complaints": sum(bool(look.complaint) for look in looks),
    }


def look_microseconds(size: str) -> dict[str, float]:
    """Time looks at a frame of a size of which no pixel is in a cache."""
    width, height = parse_size(size)
    rng = np.random.default_rng(0)
    frame_hwc = rng.integers(0, 256, (height, width, 3), np.uint8)
    restored_hwc = frame_hwc.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    guard, evicting, taken = guarding.FrameGuard(), np.zeros(_CACHE_BYTES, np.uint8), []
    guard.check(frame_hwc, restored_hwc)
    for number in range(LOOKS_TIMED):
        evicting.fill(number)
        begun = time.perf_counter_ns()
        complaint = guard.check(frame_hwc, restored_hwc)
        taken.append((time.perf_counter_ns() - begun) / 1000)
        if complaint:
            raise SystemExit(f"the guard stopped before its end: {complaint}")
    return median_and_range(taken)
