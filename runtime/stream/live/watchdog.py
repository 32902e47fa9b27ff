"""Tells a stream that goes on from one that only seems to: does its picture move, its time grow?

A camera whose sensor hangs goes on sending: one picture again and again, or a few in a circle
(an encoder refines a still picture and starts over at each keyframe). So what counts as
progress is a picture that is none of the latest few. A scene can be truly still, though: then
opening the stream again mends nothing, and is tried ever less often.
"""

import zlib
from collections import deque

import numpy as np

from crispstream.core.pixels import Bytes

from .feed import Picture

STALLED_SECONDS = 2.0
"""Without progress for so long, the stream is `stalled`."""
PATIENCE_SECONDS = 5.0
"""Without progress for so long, it is worth opening it again; doubled each time in vain."""
LONGEST_PATIENCE_SECONDS = 300.0

_REMEMBERED = 16
"""Pictures; a circle of more is taken for a moving one."""
_GRID = 112
"""Rows and columns that are looked at first, at most about."""


class Watchdog:
    """Watches the pictures of one source, over all its feeds."""

    def __init__(self) -> None:
        """Know nothing yet; call `opened` before the first picture."""
        self._fingerprints = _Fingerprints()
        self._patience_ns = round(PATIENCE_SECONDS * 1e9)
        self._gave_up = False
        self._opened_ns = self._moved_ns = self._grew_ns = self._now_ns = 0
        self._pts: int | None = None

    def opened(self, now_ns: int) -> None:
        """Begin with a new feed; after `give_up` it has to prove that it is better."""
        self._opened_ns = self._now_ns = now_ns
        self._pts = None
        if not self._gave_up:
            self._moved_ns = self._grew_ns = now_ns

    def look(self, picture: Picture, now_ns: int) -> str:
        """Take note of a picture; return why the stream is stalled, or nothing if it is not."""
        self._now_ns = now_ns
        if self._fingerprints.is_new(picture.pixels_hwc):
            self._moved_ns = now_ns
        if self._grows(picture.pts):
            self._grew_ns = now_ns
        self._pts = picture.pts
        why = self._why_stalled()
        if not why and now_ns - self._opened_ns >= PATIENCE_SECONDS * 1e9:
            self._gave_up, self._patience_ns = False, round(PATIENCE_SECONDS * 1e9)
        return why

    @property
    def hopeless(self) -> bool:
        """Whether the latest picture shows that only a new feed may help."""
        since_ns = max(self._opened_ns, min(self._moved_ns, self._grew_ns))
        return self._now_ns - since_ns >= self._patience_ns

    def give_up(self) -> str:
        """Note that the feed will be closed; the next one gets twice the time. Return why."""
        self._gave_up = True
        self._opened_ns = self._now_ns
        self._patience_ns = min(2 * self._patience_ns, round(LONGEST_PATIENCE_SECONDS * 1e9))
        return f"{self._why_stalled()}, so it is opened again"

    def _grows(self, pts: int | None) -> bool:
        if pts is None or self._pts is None:
            return not self._gave_up or pts is None
        return pts > self._pts

    def _why_stalled(self) -> str:
        still_seconds = (self._now_ns - self._moved_ns) / 1e9
        if still_seconds >= STALLED_SECONDS:
            return f"the picture has not changed for {still_seconds:.1f} s"
        stuck_seconds = (self._now_ns - self._grew_ns) / 1e9
        if stuck_seconds >= STALLED_SECONDS:
            return f"the timestamps have not grown for {stuck_seconds:.1f} s"
        return ""


class _Fingerprints:
    """Check sums of the latest pictures: on a grid, and of all pixels where the grid is known."""

    def __init__(self) -> None:
        self._coarse: deque[int] = deque(maxlen=_REMEMBERED)
        self._full: deque[int] = deque(maxlen=_REMEMBERED)
        self._samples = np.empty(0, np.uint8)

    def is_new(self, pixels_hwc: Bytes) -> bool:
        """Whether a picture is none of the latest; a moving scene costs the grid only."""
        coarse = self._on_grid(pixels_hwc)
        if coarse not in self._coarse:
            self._coarse.append(coarse)
            return True
        full = zlib.crc32(np.ascontiguousarray(pixels_hwc).data)
        if full not in self._full:
            self._full.append(full)
            return True
        return False

    def _on_grid(self, pixels_hwc: Bytes) -> int:
        rows, columns = (max(1, side // _GRID) for side in pixels_hwc.shape[:2])
        samples = pixels_hwc[::rows, ::columns]
        if self._samples.shape != samples.shape:
            self._samples = np.empty(samples.shape, np.uint8)
        np.copyto(self._samples, samples)
        return zlib.crc32(self._samples.data)
