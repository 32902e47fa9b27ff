"""The broken-frame guard: a look at a few restored frames, to see that they are pictures.

An engine that overflows gives NaN, which becomes black when it is cast to bytes; a wrong copy gives
grey, white or another picture. No library reports any of these. So at start and now and then the
restored frame is compared with its own input at about 4,000 places.

Shape letters: H height, W width, 3 channels in BGR order, bytes; h, w those of the places.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.pixels import CHANNELS, SCALE, Bytes

Floats = npt.NDArray[np.float64]

LARGEST_MEAN_LEVELS = 16.0
"""How far the mean of a channel may move. The largest seen with the shipped models was 3.3 grey
levels on 113 pictures and frames of clips and on 112 made dark, blown out, noisy or blurred;
6.6 on checks of 3 pixels and on noise of black and white pixels."""

LARGEST_NEW_EXTREMES = 0.08
"""Share of the values that may be 0 or 255 without the input being near. The largest seen were
0.004 on those pictures and 0.012 on noise."""

SMALLEST_CONTRAST = 0.25
"""Share of the input's contrast, the standard deviation within a channel, that the restored frame
must have. The smallest seen were 0.92 on a picture in the dark and 0.81 on noise."""

_NEAR_LEVELS = 32
# Contrast of an input that may be noise alone, as of a covered lens: to even that out is no fault.
_FLAT_LEVELS = 6.0
_PLACES = 4096
_FIRST_FRAMES = 3
_EVERY = 256


class FrameGuard:
    """Compares restored frames with their inputs; keeps its buffers as long as the size stays.

    The figures are of `runtime/bundles` at 320x180, fp32 and int8-cpu. A look takes 0.05 ms,
    whatever the size of the frame (median of 60 on a 2-core CPU, none of the pixels in a cache).
    """

    def __init__(self) -> None:
        """Start without buffers."""
        self._size = (0, 0)
        self._step = 1
        self._frame: Bytes = np.empty((0, 0, 3), np.uint8)
        self._restored: Bytes = np.empty((0, 0, 3), np.uint8)
        self._gap: Bytes = np.empty((0, 0, 3), np.uint8)
        self._extreme: npt.NDArray[np.bool_] = np.empty((0, 0, 3), np.bool_)
        self._far: npt.NDArray[np.bool_] = np.empty((0, 0, 3), np.bool_)

    @staticmethod
    def due(frame_number: int) -> bool:
        """Return whether a frame, counted from 0, is one to look at: the first 3, every 256th.

        >>> [number for number in range(600) if FrameGuard.due(number)]
        [0, 1, 2, 256, 512]
        """
        return frame_number < _FIRST_FRAMES or frame_number % _EVERY == 0

    def check(self, frame_hwc: Bytes, restored_hwc: Bytes) -> str:
        """Return why a restored frame [4H,4W,3] cannot be one of `frame_hwc` [H,W,3], or "".

        >>> frame = np.full((8, 8, 3), 90, np.uint8)
        >>> FrameGuard().check(frame, np.zeros((32, 32, 3), np.uint8))[:43]
        'the restored frame is black where its input'
        """
        self._look(frame_hwc, restored_hwc)
        if reason := self._extremes():
            return reason
        before: list[Floats] = [np.asarray(each) for each in cv2.meanStdDev(self._frame)]
        after: list[Floats] = [np.asarray(each) for each in cv2.meanStdDev(self._restored)]
        return _mean(before[0], after[0]) or _contrast(before[1], after[1])

    def _look(self, frame_hwc: Bytes, restored_hwc: Bytes) -> None:
        height, width = frame_hwc.shape[:2]
        if (height, width) != self._size:
            self._fit(height, width)
        step = self._step
        np.copyto(self._frame, frame_hwc[::step, ::step])
        middle = SCALE // 2  # of the 4x4 pixels that one becomes
        np.copyto(self._restored, restored_hwc[middle :: SCALE * step, middle :: SCALE * step])

    def _fit(self, height: int, width: int) -> None:
        self._step = max(1, math.ceil(math.sqrt(height * width / _PLACES)))
        shape = (-(-height // self._step), -(-width // self._step), 3)
        self._frame, self._restored, self._gap = (np.empty(shape, np.uint8) for _ in range(3))
        self._extreme, self._far = (np.empty(shape, np.bool_) for _ in range(2))
        self._size = (height, width)

    def _extremes(self) -> str:
        """Values that became 0 or 255 far from the input's; what was so before is no fault."""
        cv2.absdiff(self._frame, self._restored, dst=self._gap)
        np.greater(self._gap, _NEAR_LEVELS, out=self._far)
        for level, called in ((0, "black"), (255, "white")):
            np.equal(self._restored, level, out=self._extreme)
            np.logical_and(self._extreme, self._far, out=self._extreme)
            share = np.count_nonzero(self._extreme) / self._extreme.size
            if share > LARGEST_NEW_EXTREMES:
                return (
                    f"the restored frame is {called} where its input is not: {share:.0%} of the "
                    f"values are {level}, at most {LARGEST_NEW_EXTREMES:.0%} may become so"
                )
        return ""


def _mean(before: Floats, after: Floats) -> str:
    """Judge the means of the channels, [3,1]."""
    channel = int(np.argmax(np.abs(after - before)))
    was, became = float(before[channel, 0]), float(after[channel, 0])
    if abs(became - was) <= LARGEST_MEAN_LEVELS:
        return ""
    return (
        f"the restored frame has another colour: its mean of {CHANNELS[channel]} is {became:.0f}, "
        f"that of its input {was:.0f}; they may differ by {LARGEST_MEAN_LEVELS:.0f} levels"
    )


def _contrast(before: Floats, after: Floats) -> str:
    """Judge the standard deviations of the channels, [3,1]; contrast is their quadratic mean."""
    was, became = (float(np.sqrt(np.mean(each**2))) for each in (before, after))
    if was < _FLAT_LEVELS or became >= SMALLEST_CONTRAST * was:
        return ""
    return (
        f"the restored frame is flat: its contrast is {became:.1f} levels, that of its input "
        f"{was:.1f}; at least {SMALLEST_CONTRAST:.0%} of that is expected"
    )
