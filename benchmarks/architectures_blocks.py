"""A 3x3 convolution that trains as four branches, for the architecture search to compare.

No shipped network has one: docs/experiments.md says what branches and plain kernels learnt.

Shape letters: B batch, C channels, H height, W width, K kernel side.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class RepConv(nn.Module):
    """A 3x3 convolution that trains as four branches and deploys as one kernel.

    The branches (3x3, 1x1, identity, and 3x3 expanding to twice the channels then 1x1) are
    linear, so their sum is one 3x3 kernel. It is formed at every step and applied once, which
    costs a training step next to nothing: collapsible linear blocks, Bhardwaj et al.,
    "Collapsible Linear Blocks for Super-Efficient Super Resolution", MLSys 2022; the branches
    are those of RepVGG (Ding et al., CVPR 2021) without normalisation.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        """The identity branch exists where shapes allow it: equal channels and stride 1."""
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels_in, channels_out, 3, stride, 1)
        self.point = nn.Parameter(torch.zeros(channels_out, channels_in))
        self.expand = nn.Parameter(torch.empty(2 * channels_in, channels_in, 3, 3))
        self.squeeze = nn.Parameter(torch.zeros(channels_out, 2 * channels_in))
        self.identity = channels_in == channels_out and stride == 1
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(_bias(self.conv))
        nn.init.kaiming_normal_(self.expand, nonlinearity="linear")
        if self.identity:  # start near the identity: half of the signal through, half learnt
            with torch.no_grad():
                self.conv.weight.mul_(0.5)

    def kernel(self) -> Tensor:
        """Return the sum of the branches, [C_out, C_in, 3, 3]."""
        wide = torch.einsum("om,mikl->oikl", self.squeeze, self.expand)
        point: Tensor = self.point
        if self.identity:
            point = point + torch.eye(len(point), dtype=point.dtype, device=point.device)
        return self.conv.weight + wide + functional.pad(point[:, :, None, None], (1, 1, 1, 1))

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Convolve [B,C_in,H,W] to [B,C_out,H/stride,W/stride]."""
        return functional.conv2d(x_bchw, self.kernel(), self.conv.bias, self.stride, 1)

    def branches(self, x_bchw: Tensor) -> Tensor:
        """Compute the same by running every branch: the definition that `kernel` sums up."""
        wide = functional.conv2d(x_bchw, self.expand, None, self.stride, 1)
        out: Tensor = self.conv(x_bchw) + functional.conv2d(wide, self.squeeze[:, :, None, None])
        out = out + functional.conv2d(x_bchw, self.point[:, :, None, None], None, self.stride)
        return out + x_bchw if self.identity else out

    def fuse(self) -> nn.Conv2d:
        """Return the plain convolution that computes the same."""
        size_out, size_in = self.conv.weight.shape[:2]
        plain = nn.Conv2d(size_in, size_out, 3, self.stride, 1)
        with torch.no_grad():
            plain.weight.copy_(self.kernel())
            _bias(plain).copy_(_bias(self.conv))
        return plain


def fuse_convolutions(network: nn.Module) -> nn.Module:
    """Replace every `RepConv` inside `network` by its plain convolution, in place."""
    for name, child in network.named_children():
        if isinstance(child, RepConv):
            setattr(network, name, child.fuse())
        else:
            fuse_convolutions(child)
    return network


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None  # built with a bias above
    return conv.bias
