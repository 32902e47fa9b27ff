"""A sink that keeps nothing: for measuring, and for trying a source."""

import numpy as np
import numpy.typing as npt

from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.sink import Sink


class NullSink(Sink):
    """Counts frames and lets them go."""

    def __init__(self) -> None:
        """Start at none."""
        self.frames = 0

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Count one frame."""
        self.frames += 1

    def close(self, *, complete: bool = True) -> None:
        """Nothing to finish."""
