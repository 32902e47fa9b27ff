"""A recurrent network as a restorer that remembers the frames before, bytes in and bytes out.

Shape letters: H height, W width of the LR frame.
"""

import numpy as np
import torch
from torch import Tensor

from crispstream.core.pixels import SCALE, Bytes, pad_reflect, padded_size, round_to_bytes
from crispstream.train.models.edge_recurrent import RecurrentEdge


class Stateful:
    """Restores frames in their order; `reset` before each new sequence."""

    def __init__(self, network: RecurrentEdge) -> None:
        """Take a network; nothing is remembered yet."""
        self._network = network
        self._memory: Tensor | None = None
        self._padded: tuple[int, int] | None = None

    def reset(self) -> None:
        """Forget the frames before."""
        self._memory = None

    @torch.inference_mode()
    def restore(self, frame_hwc: Bytes) -> Bytes:
        """Return LR [H,W,3] restored, [4H,4W,3]; a frame of a new size starts anew."""
        height, width = frame_hwc.shape[:2]
        size = padded_size(height, width, self._network.size_multiple)
        padded = np.empty((*size, 3), np.uint8)
        pad_reflect(frame_hwc, padded)
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].to(torch.float32) / 255
        if self._memory is None or size != self._padded:
            self._memory, self._padded = self._network.forgotten(x), size
        hr, self._memory = self._network.restored(x, self._memory)
        levels = hr[0].permute(1, 2, 0).numpy() * 255
        return round_to_bytes(levels[: height * SCALE, : width * SCALE])
