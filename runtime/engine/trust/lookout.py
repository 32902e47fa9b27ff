"""Looks at restored frames at start and now and then, and stops at the first that is broken.

Shape letters: H height, W width, 3 channels in BGR order, bytes.
"""

from crispstream.core.errors import EngineError
from crispstream.core.pixels import Bytes

from .guard import FrameGuard


class Lookout:
    """Counts the frames of a stream and sends those that are due to the guard."""

    def __init__(self, what_runs: str) -> None:
        """`what_runs` is named in the error: "edge-n in fp16 on tensorrt"."""
        self._what_runs = what_runs
        self._guard = FrameGuard()
        self._seen = 0

    def look(self, frame_hwc: Bytes, restored_hwc: Bytes) -> None:
        """Look at a frame [H,W,3] and its result [4H,4W,3], if it is their turn.

        Raises:
            EngineError: if that is no picture of the frame.
        """
        number, self._seen = self._seen, self._seen + 1
        if not self._guard.due(number):
            return
        if fault := self._guard.check(frame_hwc, restored_hwc):
            raise EngineError(
                f"{fault}. {self._what_runs} is not to be trusted; compare with "
                "--backend onnxruntime --precision fp32"
            )
