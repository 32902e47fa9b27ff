"""The fake backend: plain bicubic enlargement, no model, no library.

It is the baseline every model is compared with, and what tests run on.
"""

import numpy as np

from crispstream.core.bicubic import upscale_x4
from crispstream.core.pixels import SCALE, Bytes


class BicubicBackend:
    """Enlarges with the kit's one bicubic (float64, exact, not fast)."""

    name = "bicubic"
    precision = "fp64"
    device_latencies = None

    def __init__(self) -> None:
        """Hold no buffers until `allocate`."""
        self._frames: list[Bytes] = []
        self._restored: list[Bytes] = []

    def allocate(self, height: int, width: int, slots: int) -> None:
        """Make `slots` pairs of buffers; any size will do."""
        self._frames = [np.empty((height, width, 3), np.uint8) for _ in range(slots)]
        large = (SCALE * height, SCALE * width, 3)
        self._restored = [np.empty(large, np.uint8) for _ in range(slots)]

    def frame(self, slot: int) -> Bytes:
        """Return the input buffer of a slot."""
        return self._frames[slot]

    def restored(self, slot: int) -> Bytes:
        """Return the output buffer of a slot."""
        return self._restored[slot]

    def submit(self, slot: int) -> None:
        """Enlarge the slot's frame; done on return."""
        np.copyto(self._restored[slot], upscale_x4(self._frames[slot]))

    def wait(self, slot: int) -> None:
        """Return at once: `submit` has done the work."""

    def reset(self) -> None:
        """Do nothing: no frame depends on another."""

    def twin(self) -> "BicubicBackend":
        """Return another one."""
        return BicubicBackend()

    def close(self) -> None:
        """Let go of the buffers."""
        self._frames, self._restored = [], []
