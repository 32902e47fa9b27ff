"""The pairs of buffers that frames lie in."""

import numpy as np

from crispstream.core.errors import FrameError
from crispstream.core.pixels import SCALE, Bytes


def frame_buffers(height: int, width: int, slots: int) -> tuple[list[Bytes], list[Bytes]]:
    """Return `slots` buffers for frames [H,W,3] and as many for their results [4H,4W,3], zeros.

    Raises:
        FrameError: if there is not so much memory.
    """
    large = (SCALE * height, SCALE * width, 3)
    try:
        frames = [np.zeros((height, width, 3), np.uint8) for _ in range(slots)]
        return frames, [np.zeros(large, np.uint8) for _ in range(slots)]
    except MemoryError as error:
        needed_mib = slots * (1 + SCALE * SCALE) * height * width * 3 >> 20
        raise FrameError(
            f"{slots} frames of {width}x{height} px and their results need {needed_mib} MiB, "
            "more than there is; send smaller frames"
        ) from error
