"""Training losses."""

import torch
from torch import Tensor


def charbonnier(restored: Tensor, truth: Tensor, epsilon: float = 1e-2) -> Tensor:
    """Return the mean of sqrt(difference^2 + epsilon^2): L1, squared below `epsilon`.

    Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution",
    CVPR 2017. Both tensors [B,C,H,W] in 0..1.
    """
    return torch.sqrt((restored - truth).square() + epsilon * epsilon).mean()
