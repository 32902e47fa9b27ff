"""A network as a frame -> frame callable, bytes in and bytes out.

Shape letters: B batch, C channels, H height, W width of the LR frame.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from crispstream.core.errors import TrainError
from crispstream.core.pixels import SCALE, Bytes, pad_reflect, padded_size, round_to_bytes

from .judging import Answer, Answering, Map
from .models.registry import Outputs
from .models.rrdb_sft import RrdbSft

Levels = npt.NDArray[np.float32]
"""Grey levels [4H,4W,3] that are not rounded and may lie outside 0..255."""

NO_GIVEN: Mapping[str, Map] = MappingProxyType({})


def restoring(network: nn.Module, *, ensemble: bool = False) -> Callable[[Bytes], Bytes]:
    """Return a function from LR [H,W,3] to restored [4H,4W,3], BGR bytes, any size.

    With `ensemble` the restored frame is the mean over the eight ways to turn the frame over.

    Raises:
        TrainError: by the function, if the network makes no restored frame by itself.
    """

    def levels(frame_hwc: Bytes) -> Levels:
        return restored_levels(outputs_of(network, frame_hwc), frame_hwc)

    restore = self_ensemble(levels) if ensemble else levels
    return lambda frame_hwc: round_to_bytes(restore(frame_hwc))


def self_ensemble(restore: Callable[[Bytes], Levels]) -> Callable[[Bytes], Levels]:
    """Return the mean of `restore` over both flips and the transposition, turned back.

    The x8 self-ensemble of EDSR (Lim et al., CVPRW 2017). The mean is of levels before rounding.
    """

    def mean(frame_hwc: Bytes) -> Levels:
        ways = [(up, left, over) for up in (1, -1) for left in (1, -1) for over in (False, True)]
        total = np.zeros((), np.float32)
        for up, left, over in ways:
            flipped = frame_hwc[::up, ::left]
            turned = flipped.swapaxes(0, 1) if over else flipped
            restored = restore(np.ascontiguousarray(turned))
            back = restored.swapaxes(0, 1) if over else restored
            total = total + back[::up, ::left]
        return np.asarray(total / len(ways), np.float32)

    return mean


def answering(network: nn.Module) -> Answering:
    """Return a function that tells all a network says about a frame, restored or estimated.

    The true maps that it takes are read by a network that is conditioned on maps, RRDB-SFT: what
    the paper calls the upper bound. Networks that estimate the maps do not see them.
    """

    def answer(frame_hwc: Bytes, truth: Mapping[str, Map]) -> Answer:
        outputs = outputs_of(network, frame_hwc, truth)
        rows, cols = (side * SCALE for side in frame_hwc.shape[:2])
        sigma, logits = outputs.maps.get("sigma"), outputs.maps.get("semantics")
        return Answer(
            None if outputs.hr is None else round_to_bytes(restored_levels(outputs, frame_hwc)),
            None if sigma is None else sigma[0, 0, :rows, :cols].numpy(),
            None if logits is None else logits[0, :, :rows, :cols].argmax(dim=0).numpy(),
            true_maps=isinstance(network, RrdbSft),
        )

    return answer


@torch.inference_mode()
def outputs_of(
    network: nn.Module, frame_hwc: Bytes, given: Mapping[str, Map] = NO_GIVEN
) -> Outputs:
    """Run the network on one frame, padded by reflection to its size multiple.

    What it returns still has the padding; `given` are maps for networks that read some.
    """
    multiple = int(network.size_multiple)  # type: ignore[arg-type]
    height, width = frame_hwc.shape[:2]
    padded = np.empty((*padded_size(height, width, multiple), 3), np.uint8)
    pad_reflect(frame_hwc, padded)
    x = torch.from_numpy(padded).permute(2, 0, 1)[None].to(torch.float32) / 255
    maps = {name: _padded_map(array, padded.shape[:2]) for name, array in given.items()}
    outputs: Outputs = network(x, maps)
    return outputs


def restored_levels(outputs: Outputs, frame_hwc: Bytes) -> Levels:
    """Return the restored frame of `outputs_of` without its padding.

    Raises:
        TrainError: if there is none.
    """
    if outputs.hr is None:
        raise TrainError(
            "this network makes no restored frame: it deblurs at LR size or estimates maps; "
            "judge the network it was trained for, or an estimator of maps with --protocol cmos"
        )
    levels = outputs.hr[0].permute(1, 2, 0).numpy() * 255
    return np.asarray(levels[: frame_hwc.shape[0] * SCALE, : frame_hwc.shape[1] * SCALE])


def _padded_map(map_hw: Map, lr_size: tuple[int, ...]) -> Tensor:
    """Return a map as [1,1,4H,4W] of the padded frame; the edge is repeated, for labels too."""
    edges = [(0, lr * SCALE - hr) for lr, hr in zip(lr_size, map_hw.shape, strict=True)]
    return torch.from_numpy(np.pad(map_hw, edges, mode="edge").astype(np.float32))[None, None]
