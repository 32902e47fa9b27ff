"""The objective of recurrent networks: a clip, restored frame after frame.

Gradients go back through a few frames at a time (truncated back-propagation through time,
Williams and Peng, Neural Computation 1990): the memory that is handed on from one such run to
the next is taken as given. Chains of many frames would teach little of what lies far back, and
now and then explode.

Shape letters: B clips, T frames.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from .losses import charbonnier, frequency_loss
from .models.edge_recurrent import RecurrentEdge

Batch = Mapping[str, Tensor]
Weights = Mapping[str, float]


def clip_loss(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """Return the mean loss of a clip's frames; `lr` is [B,3T,h,w] and `hr` [B,3T,4h,4w].

    `weights` holds `first`, what the first frame counts among others of 1, and `truncate`, the
    frames that a gradient goes back through; `frequency` if the spectrum counts too.
    """
    recurrent = cast(RecurrentEdge, network)
    total = batch["hr"].new_zeros(())
    lr, hr = (torch.unflatten(batch[name], 1, (-1, 3)) for name in ("lr", "hr"))
    memory = recurrent.forgotten(lr[:, 0])
    for frame in range(lr.shape[1]):
        if frame and frame % int(weights["truncate"]) == 0:
            memory = memory.detach()
        restored, memory = recurrent.restored(lr[:, frame], memory)
        weight = 1.0 if frame else weights["first"]
        total = total + weight * _frame_loss(restored.float(), hr[:, frame], weights)
    return total / (lr.shape[1] - 1 + weights["first"])


def _frame_loss(restored: Tensor, truth: Tensor, weights: Weights) -> Tensor:
    loss = charbonnier(restored, truth)
    if frequency := weights.get("frequency"):
        loss = loss + frequency * frequency_loss(restored, truth)
    return loss
