"""CNLRN's non-local block: attention between all 4x4 patches of an image, then a feed-forward.

A token is one patch of one head: its channels x 4 x 4 values, channel first, then row, then
column. That order is pixel-unshuffle's, so patches are cut and put back by one shuffle each.

Shape letters: B batch, C channels, H height, W width, D values of a token, N = H/4 x W/4 tokens.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .exportable import plain_size
from .gfn import convolution

PATCH_PX = 4
"""Side of a patch; H and W divide by it."""


def tokens(x_bchw: Tensor, channels: int) -> Tensor:
    """Cut [B,C,H,W] into the tokens of its patches, [B,D,N] with D = 16 C; `channels` is C."""
    height, width = plain_size(x_bchw)
    count = (height // PATCH_PX) * (width // PATCH_PX)
    unshuffled = functional.pixel_unshuffle(x_bchw, PATCH_PX)
    return unshuffled.reshape(-1, channels * PATCH_PX**2, count)


def untokened(x_bdn: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Put tokens [B,D,N] back to their places, [B,C,H,W]: undoes `tokens`."""
    rows, columns = height // PATCH_PX, width // PATCH_PX
    folded = x_bdn.reshape(-1, channels * PATCH_PX**2, rows, columns)
    return functional.pixel_shuffle(folded, PATCH_PX)


class PatchAttention(nn.Module):
    """Multi-head attention over patches, [B,C,H,W] -> [B,C,H,W].

    One head after the other: the scores of a head are N x N numbers, at twice the size of a
    180x320 frame 829 MB in fp32, and nothing is gained by holding four of them at once. The query
    is scaled and not the scores, which costs less and is what TensorRT can fuse.
    """

    def __init__(self, channels: int, heads: int) -> None:
        """`channels` divides by `heads`."""
        super().__init__()
        self.heads = heads
        self.head_channels = channels // heads
        self.scale = 1 / math.sqrt(self.head_channels * PATCH_PX**2)
        self.query = convolution(channels, channels, 1)
        self.key = convolution(channels, channels, 1)
        self.value = convolution(channels, channels, 1)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return for each patch the values it attends to."""
        parts = (self.query(x_bchw) * self.scale, self.key(x_bchw), self.value(x_bchw))
        by_head = zip(*(part.split(self.head_channels, dim=1) for part in parts), strict=True)
        return torch.cat([self.head(*of_head) for of_head in by_head], dim=1)

    def head(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return one head's values from its scaled query, key and value, [B,C/heads,H,W] all."""
        height, width = plain_size(query)
        q_bdn, k_bdn, v_bdn = (tokens(x, self.head_channels) for x in (query, key, value))
        weights_bnn = torch.matmul(q_bdn.transpose(1, 2), k_bdn).softmax(dim=-1)
        attended_bnd = torch.matmul(weights_bnn, v_bdn.transpose(1, 2))
        return untokened(attended_bnd.transpose(1, 2), self.head_channels, height, width)


class NonLocalBlock(nn.Module):
    """Attention and feed-forward, each added to its input; no normalisation. [B,C,H,W] kept."""

    def __init__(self, channels: int, heads: int) -> None:
        """`channels` divides by `heads`."""
        super().__init__()
        self.attend = PatchAttention(channels, heads)
        self.mix = nn.Sequential(convolution(channels, channels), _leaky())
        self.feed = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            _leaky(),
            convolution(channels, channels),
            _leaky(),
        )

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the same shape."""
        attended: Tensor = x_bchw + self.mix(self.attend(x_bchw))
        out: Tensor = attended + self.feed(attended)
        return out


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)
