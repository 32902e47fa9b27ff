"""The edge networks: what they start as, how far they see, and what serves training alone."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from crispstream.core.errors import UsageError
from crispstream.train.models.base import base_kernel, base_subpixels
from crispstream.train.models.registry import build_network


def randomised(network, seed=0):
    """Give every layer weight, or the zero-initialised ones would not be tested."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return network


def test_the_head_for_the_sharp_lr_frame_serves_training_alone():
    network = randomised(build_network("edge-n"))
    x = torch.rand(2, 3, 16, 20)
    with torch.no_grad():
        trained, deployed = network.train()(x), network.eval()(x)
    assert trained.lr.shape == x.shape
    assert (trained.lr - x).abs().max() > 1e-3
    assert deployed.lr is None
    torch.testing.assert_close(trained.hr, deployed.hr, rtol=0, atol=0)


def test_a_new_network_is_all_but_bilinear_interpolation():
    torch.manual_seed(0)
    network = build_network("edge-n").eval()
    x = torch.rand(1, 3, 16, 20)
    with torch.inference_mode():
        difference = network(x).hr - functional.interpolate(x, scale_factor=4.0, mode="bilinear")
    assert difference.abs().max() < 0.5
    assert difference.abs().mean() < 0.1


def test_the_base_is_exactly_bilinear():
    x = torch.rand(1, 3, 9, 7, dtype=torch.float64)
    ours = functional.pixel_shuffle(base_subpixels(x, base_kernel().double()), 4)
    theirs = functional.interpolate(x, scale_factor=4.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["edge-n", "edge-s", pytest.param("edge-m", marks=pytest.mark.slow)]
)
def test_no_pixel_further_than_the_halo_is_felt(name):
    """The gradient of one output pixel's block reaches `halo_px`, and nothing beyond."""
    network = randomised(build_network(name)).double()
    with torch.no_grad():
        for module in network.modules():  # no ReLU may be shut, or the reach would look smaller
            if isinstance(module, nn.Conv2d):
                module.weight.abs_()
                module.bias.fill_(0.1)
    halo = network.halo_px
    side = (2 * halo + 16) // 4 * 4
    x = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    centre = side // 2
    reach = 0
    for at in range(centre, centre + 4):  # every phase against the strided grids
        restored = network.residual(x)[..., at, at].sum()
        (gradient,) = torch.autograd.grad(restored, x)
        touched = np.nonzero(gradient.abs().sum(dim=(0, 1, 2)).numpy())[0]
        reach = max(reach, at - touched.min(), touched.max() - at)
    assert reach <= halo
    assert reach >= halo - 6


def test_an_unknown_network_is_named():
    with pytest.raises(UsageError, match="did you mean 'edge-s'"):
        build_network("edge-x")
