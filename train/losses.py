"""Training losses: two tensors and one number."""

import torch
from torch import Tensor
from torch.nn import functional

IGNORED_LABEL = 255


def charbonnier(restored: Tensor, truth: Tensor, epsilon: float = 1e-2) -> Tensor:
    """Return the mean of sqrt(difference^2 + epsilon^2): L1, squared below `epsilon`.

    Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution",
    CVPR 2017. Both tensors [B,C,H,W] in 0..1.
    """
    return torch.sqrt((restored - truth).square() + epsilon * epsilon).mean()


def gradient_loss(restored: Tensor, truth: Tensor) -> Tensor:
    """Return the mean L1 of the differences of Sobel gradients, x and y added.

    CNLRN, Bai et al., CVPRW 2021: each channel by itself, a
    border of zeros. Both tensors [B,C,H,W] in 0..1.
    """
    sobel = restored.new_tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    kernels = torch.stack([sobel, sobel.T])[:, None]
    # The filter is linear: the gradient of the difference is the difference of the gradients.
    planes = (restored - truth).flatten(0, 1)[:, None]
    across, down = functional.conv2d(planes, kernels, padding=1).unbind(1)
    return across.abs().mean() + down.abs().mean()


def labels_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of [B,C,H,W] logits and [B,1,H,W] labels; 255 does not count.

    Zero where no pixel is labelled, for which the mean is not defined.
    """
    labels = labels[:, 0].long()
    total = functional.cross_entropy(logits, labels, ignore_index=IGNORED_LABEL, reduction="sum")
    return total / (labels != IGNORED_LABEL).sum().clamp(min=1)
