"""Scene cuts, found on a thumbnail: where what a recurrent network remembers is of another scene.

Two pictures differ by 1 - r, where r is the largest normalised cross-correlation of a thumbnail's
middle with the other thumbnail, over all places it can lie (Lewis, "Fast Normalized
Cross-Correlation", 1995). Correlation takes out brightness and contrast, and with them exposure,
flicker and fades; the search takes out shake and pans. A cut is a difference that is large, and
large beside those shortly before: an adaptive threshold, as Yusoff, Christmas and Kittler, "Video
Shot Cut Detection Using Adaptive Thresholding", BMVC 2000.

Shape letters: H height, W width, 3 channels in BGR order, bytes.
"""

import cv2
import numpy as np

from crispstream.core.pixels import Bytes

WIDTH_PX, HEIGHT_PX = 32, 18
"""Of the thumbnail."""

SHIFT_X_PX, SHIFT_Y_PX = 3, 2
"""How far the picture may have moved between two frames, in pixels of the thumbnail: a tenth of
the frame in either direction."""

LEAST_DIFFERENCE = 0.2
"""1 - r of a cut, at least; of 2 at most. Most frames stay below 0.03. See benchmarks/scene_cuts.py
for what this finds, and what it takes for a cut that is none."""

TIMES_USUAL = 3.0
"""How much larger a cut's difference is than the running mean of those before."""

LONGEST_FLASH = 2
"""Frames for which a picture that is suddenly blown out may be a flash. A cut to a scene so bright
is told of that much later."""

_NEWLY_BLOWN_OUT = 0.1  # share of the values
_BLOWN_OUT_LEVEL = 250
_NEWEST_SHARE = 0.2  # of the newest difference in the running mean
_USUAL_OF_A_NEW_SCENE = 0.15  # restless, until it is known: it may begin with a car that passes
_FLAT_LEVELS = 3.0  # contrast of black, white or fog: there is nothing to compare
_ROWS_READ = 5 * HEIGHT_PX  # of the frame, at least: every second one at 320x180 costs half


class CutDetector:
    """Tells of each frame of a stream whether it is the first of another scene.

    Takes 0.05 ms of a frame of 320x180 (median of 1000 on a 2-core CPU). Black and white frames are
    passed over, and so is a flash: the picture after them is compared with that before.
    """

    def __init__(self) -> None:
        """Make the buffers; the first frame is no cut."""
        shape = (HEIGHT_PX, WIDTH_PX, 3)
        self._newest, self._before, self._earlier = (np.zeros(shape, np.uint8) for _ in range(3))
        places = (2 * SHIFT_Y_PX + 1, 2 * SHIFT_X_PX + 1)
        self._scores = np.empty(places, np.float32)
        self._blown_out = np.empty(shape, np.bool_)
        self._seen = 0
        self._waited = 0
        self._usual = _USUAL_OF_A_NEW_SCENE

    def __call__(self, frame_hwc: Bytes) -> bool:
        """Look at the next frame [H,W,3], of any size."""
        _shrink(frame_hwc, self._newest)
        if _contrast_levels(self._newest) < _FLAT_LEVELS:
            return False
        difference = self._difference(self._before) if self._seen else 0.0
        is_cut = self._is_large(difference)
        if is_cut and self._seen > 1:  # back from one odd frame
            is_cut = self._is_large(self._difference(self._earlier))
        if is_cut and self._may_be_a_flash():
            self._waited += 1
            return False
        self._waited = 0
        if is_cut:
            self._usual = _USUAL_OF_A_NEW_SCENE
        else:
            self._usual += _NEWEST_SHARE * (difference - self._usual)
        self._turn()
        return is_cut

    def _is_large(self, difference: float) -> bool:
        return difference > max(LEAST_DIFFERENCE, TIMES_USUAL * self._usual)

    def _difference(self, other_hwc: Bytes) -> float:
        """Return 1 - r of the newest thumbnail and another: 0 the same, 1 nothing in common."""
        middle = self._newest[SHIFT_Y_PX:-SHIFT_Y_PX, SHIFT_X_PX:-SHIFT_X_PX]
        cv2.matchTemplate(other_hwc, middle, cv2.TM_CCOEFF_NORMED, self._scores)
        return 1.0 - float(self._scores.max())

    def _may_be_a_flash(self) -> bool:
        """Return whether much is blown out that was not; a bright scene is still so soon after."""
        if self._waited == LONGEST_FLASH:
            return False
        return self._blown_out_share(self._newest) > _NEWLY_BLOWN_OUT + self._blown_out_share(
            self._before
        )

    def _blown_out_share(self, thumbnail_hwc: Bytes) -> float:
        np.greater_equal(thumbnail_hwc, _BLOWN_OUT_LEVEL, out=self._blown_out)
        return np.count_nonzero(self._blown_out) / self._blown_out.size

    def _turn(self) -> None:
        """Make the newest thumbnail the one before."""
        self._newest, self._before, self._earlier = self._earlier, self._newest, self._before
        self._seen += 1


def _shrink(frame_hwc: Bytes, out_hwc: Bytes) -> None:
    """Put the means of a frame's areas into a thumbnail.

    The last rows and columns that do not fill an area are left out: OpenCV is three times as quick
    where areas are of whole pixels.
    """
    height, width, _ = frame_hwc.shape
    step = max(1, height // _ROWS_READ)
    rows = height // step // HEIGHT_PX * HEIGHT_PX * step or height
    columns = width // WIDTH_PX * WIDTH_PX or width
    area = cv2.INTER_AREA
    cv2.resize(frame_hwc[:rows:step, :columns], (WIDTH_PX, HEIGHT_PX), out_hwc, interpolation=area)


def _contrast_levels(thumbnail_hwc: Bytes) -> float:
    """Return the largest standard deviation within a channel."""
    return float(cv2.meanStdDev(thumbnail_hwc)[1].max())
