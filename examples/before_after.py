"""The picture of a restoration: one frame, before and after, with two zooms and the truth.

Drawn at twice the size and reduced, so that OpenCV's line font looks smooth.

Shape letters: H height, W width, 3 channels in BGR order.
"""

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.metrics import psnr_db
from crispstream.core.pixels import Bytes

_FINE = 2
"""Everything is drawn this many times larger."""
_MARGIN, _GAP, _HEAD, _CAPTION = 40, 16, 92, 42
_TAG = 28
_ZOOM = 3
_CROP_HW = (100, 136)
_PAGE, _INK, _SOFT, _MARK = (250, 248, 246), (48, 37, 27), (111, 99, 86), (64, 190, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX

Floats = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Top, left, bottom, right; pixels of the restored frame."""


def compose(bicubic_hwc: Bytes, restored_hwc: Bytes, truth_hwc: Bytes, model: str) -> Bytes:
    """Return the picture [H,W,3]: the frame cut in two on top, two rows of zooms below.

    The zooms show where the truth has most edges, not where the model did best.
    """
    height, width = truth_hwc.shape[:2]
    rows, cols = _CROP_HW[0] * _ZOOM, _CROP_HW[1] * _ZOOM
    total = _HEAD + height + 2 * (_CAPTION + rows) + _GAP + _MARGIN
    page = _Page(total, width + 2 * _MARGIN)
    page.write("From a blurred 320x180 clip to 1280x720", _MARGIN, 44, 0.92, thick=2)
    scores = [psnr_db(image, truth_hwc) for image in (bicubic_hwc, restored_hwc)]
    page.write(
        f"left: bicubic, {scores[0]:.2f} dB PSNR   |   right: {model}, {scores[1]:.2f} dB",
        _MARGIN,
        76,
        0.6,
        _SOFT,
    )
    edges = _edges(truth_hwc)
    boxes = busiest_boxes(edges)
    page.paste(_halves(bicubic_hwc, restored_hwc, _middle_of(edges)), _HEAD, _MARGIN)
    _mark(page, boxes)
    top = _HEAD + height + _CAPTION
    step = (width - cols) // 2
    for row, box in enumerate(boxes):
        for column, (image, name) in enumerate(
            ((bicubic_hwc, "bicubic"), (restored_hwc, model), (truth_hwc, "truth"))
        ):
            left = _MARGIN + column * step
            page.write(f"{row + 1}  {name}", left, top - 12, 0.6)
            page.paste(_zoomed(image, box), top, left)
        top += rows + _GAP + _CAPTION
    return page.finished()


def _edges(image_hwc: Bytes) -> Floats:
    grey = cv2.cvtColor(image_hwc, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.asarray(np.abs(cv2.Sobel(grey, -1, 1, 0)) + np.abs(cv2.Sobel(grey, -1, 0, 1)))


def busiest_boxes(edges: Floats, count: int = 2) -> list[Box]:
    """Return the boxes with the most edges that do not touch one another, left to right."""
    rows, cols = _CROP_HW
    total = cv2.integral(edges)
    score = (
        total[rows:, cols:] - total[:-rows, cols:] - total[rows:, :-cols] + total[:-rows, :-cols]
    )
    boxes: list[Box] = []
    for _ in range(count):
        top, left = (int(i) for i in np.unravel_index(int(score.argmax()), score.shape))
        boxes.append((top, left, top + rows, left + cols))
        score[max(0, top - rows) : top + rows, max(0, left - cols) : left + cols] = -1
    return sorted(boxes, key=lambda box: box[1])


def _halves(left_hwc: Bytes, right_hwc: Bytes, column: int) -> Bytes:
    """Return one frame, left of `column` from one image and right of it from the other."""
    joined = right_hwc.copy()
    joined[:, :column] = left_hwc[:, :column]
    joined[:, column - 1 : column + 1] = 255
    return joined


def _middle_of(edges: Floats) -> int:
    """Return the column with half of the edges on each side, not too near the border."""
    share = np.cumsum(edges.sum(axis=0)) / edges.sum()
    width = edges.shape[1]
    return int(np.clip(np.searchsorted(share, 0.5), width // 4, 3 * width // 4))


def _zoomed(image_hwc: Bytes, box: Box) -> Bytes:
    top, left, bottom, right = box
    piece = image_hwc[top:bottom, left:right]
    larger = cv2.resize(piece, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_NEAREST)
    return np.asarray(larger, np.uint8)


def _mark(page: "_Page", boxes: list[Box]) -> None:
    """Outline the zoomed places in the frame, each with a numbered tag."""
    for number, (top, left, bottom, right) in enumerate(boxes, start=1):
        y, x = _HEAD + top, _MARGIN + left
        page.outline(y, x, _HEAD + bottom, _MARGIN + right, 2)
        page.outline(y, x, y + _TAG, x + _TAG, -1)
        page.write(f"{number}", x + 8, y + 20, 0.6, thick=2)


class _Page:
    """A canvas measured in pixels of the finished picture."""

    def __init__(self, height: int, width: int) -> None:
        self._canvas = np.full((height * _FINE, width * _FINE, 3), _PAGE, np.uint8)

    def paste(self, image_hwc: Bytes, top: int, left: int) -> None:
        height, width = image_hwc.shape[:2]
        doubled = image_hwc.repeat(_FINE, axis=0).repeat(_FINE, axis=1)
        self._canvas[
            top * _FINE : (top + height) * _FINE, left * _FINE : (left + width) * _FINE
        ] = doubled

    def write(
        self,
        text: str,
        left: int,
        baseline: int,
        size: float,
        colour: tuple[int, int, int] = _INK,
        thick: int = 1,
    ) -> None:
        at = (left * _FINE, baseline * _FINE)
        cv2.putText(self._canvas, text, at, _FONT, size * _FINE, colour, thick * _FINE, cv2.LINE_AA)

    def outline(self, top: int, left: int, bottom: int, right: int, thick: int) -> None:
        """Draw a frame of `thick` pixels; a negative thickness fills it."""
        begin, end = (left * _FINE, top * _FINE), (right * _FINE, bottom * _FINE)
        cv2.rectangle(self._canvas, begin, end, _MARK, thick * _FINE, cv2.LINE_AA)

    def finished(self) -> Bytes:
        height, width = self._canvas.shape[:2]
        size = (width // _FINE, height // _FINE)
        small = cv2.resize(self._canvas, size, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)
