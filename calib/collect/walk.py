"""One walk over one source: every n-th frame becomes a candidate.

Shape letters: H height, W width, C channels in BGR order. Sizes are in pixels.
"""

from collections.abc import Callable
from contextlib import closing

import cv2
import numpy as np

from crispstream.core.figures import FrameMeter
from crispstream.core.files import sha256_of
from crispstream.core.pixels import Bytes, middle
from crispstream.runtime.stream.source import open_source

from . import coverage
from .candidates import Candidate, CandidateStore, Progress

_DIGITS = 4

OnFrame = Callable[[str, int, int | None], None]
"""Called with a source, the frames seen of it and the frames it says that it has."""


def is_synthetic(uri: str) -> bool:
    """Tell whether a source's pictures are drawn by a program.

    >>> is_synthetic("synth://pattern"), is_synthetic("walk.mp4")
    (True, False)
    """
    return uri.startswith("synth://")


class Walk:
    """Takes candidates from one source at an even stride.

    The stride doubles whenever there are more candidates than `most`, so that a source without
    an end takes no more disk than a short one.
    """

    def __init__(
        self,
        store: CandidateStore,
        index: int,
        uri: str,
        *,
        size: tuple[int, int] | None,
        most: int,
    ) -> None:
        """Prepare to walk; `index` is that of the source in the store."""
        self._store, self._index, self._uri = store, index, uri
        self._size, self._most = size, most
        self._meter = FrameMeter()
        self._first: Bytes | None = None
        self._before: Bytes | None = None

    def run(self, on_frame: OnFrame) -> None:
        """Walk to the end.

        Raises:
            SourceError: if the source breaks; what was taken before stays in the store.
            OSError: if the store cannot be written.
        """
        seen = 0
        with closing(open_source(self._uri)) as source:
            total = source.info.frame_count
            self._start(total)
            for seen, frame in enumerate(source, 1):
                self._look(seen - 1, frame.pixels_hwc)
                on_frame(self._uri, seen, total)
            damaged = source.damaged
        if self._first is not None:
            self._take(0, self._first, motion=0.0)
        self._store.finish(self._index, seen, damaged)

    def _start(self, total: int | None) -> None:
        """Begin with the stride that the source's own count asks for."""
        needed = -(-total // self._most) if total else 1
        if needed > self._progress.stride:
            self._store.thin(self._index, needed)

    @property
    def _progress(self) -> Progress:
        return self._store.sources[self._index]

    def _look(self, serial: int, frame_hwc: Bytes) -> None:
        """Take a frame as a candidate if it is its turn; remember how the one before it looked."""
        stride = self._progress.stride
        is_turn, is_before_turn = serial % stride == 0, (serial + 1) % stride == 0
        if not (is_turn or is_before_turn or serial == 1):
            return
        frame_hwc = np.ascontiguousarray(
            frame_hwc if self._size is None else middle(frame_hwc, *self._size)
        )
        looks = coverage.thumbnail(frame_hwc)
        motion = 0.0 if self._before is None else coverage.change(looks, self._before)
        self._before = looks
        if serial == 0:
            self._first = frame_hwc.copy()  # how far it moves shows with the second
            return
        if self._first is not None:
            first, self._first = self._first, None
            self._take(0, first, motion)
        if is_turn:
            self._take(serial, frame_hwc, motion)

    def _take(self, serial: int, frame_hwc: Bytes, motion: float) -> None:
        if serial in self._progress.candidates:  # from before an interruption
            return
        self._store.add(*self._candidate(serial, frame_hwc, motion))
        if len(self._progress.candidates) > self._most:
            self._store.thin(self._index, 2 * self._progress.stride)

    def _candidate(self, serial: int, frame_hwc: Bytes, motion: float) -> tuple[Candidate, bytes]:
        figures = self._meter.measure(frame_hwc)
        values = {**figures._asdict(), "motion": motion}
        png = cv2.imencode(".png", frame_hwc)[1].tobytes()
        candidate = Candidate(
            source=self._index,
            serial=serial,
            sha256=sha256_of(png),
            width=frame_hwc.shape[1],
            height=frame_hwc.shape[0],
            synthetic=is_synthetic(self._uri) or coverage.like_noise(figures),
            # OpenCV's sums differ in the tenth digit from run to run; the choice must not.
            figures={name: round(value, _DIGITS) for name, value in values.items()},
            thumbnail=coverage.thumbnail(frame_hwc).tobytes().hex(),
        )
        return candidate, png
