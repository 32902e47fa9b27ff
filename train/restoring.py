"""A network as a frame -> frame callable, bytes in and bytes out."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from crispstream.core.pixels import SCALE, Bytes, pad_reflect, padded_size, round_to_bytes


def restoring(network: nn.Module) -> Callable[[Bytes], Bytes]:
    """Return a function from LR [H,W,3] to restored [4H,4W,3], BGR bytes, any size."""
    multiple = int(network.size_multiple)  # type: ignore[arg-type]

    @torch.inference_mode()
    def restore(frame_hwc: Bytes) -> Bytes:
        height, width = frame_hwc.shape[:2]
        padded = np.empty((*padded_size(height, width, multiple), 3), np.uint8)
        pad_reflect(frame_hwc, padded)
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].to(torch.float32) / 255
        levels = network(x).restored()[0].permute(1, 2, 0).numpy() * 255
        return round_to_bytes(levels[: height * SCALE, : width * SCALE])

    return restore
