"""The convolution of the search that trains as four branches."""

import pytest
import torch
from torch import nn

from benchmarks.architectures_blocks import RepConv
from benchmarks.architectures_network import Candidate, Shape

SMALL = Shape(8, 8, 8, sharpen=1, encode=1, bottom=1, decode=1, post=1)


def randomised(network: nn.Module) -> nn.Module:
    """Give every branch weight, or the zero-initialised ones would not be tested."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return network


@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(8, 8, 1), (3, 16, 1), (16, 16, 2)])
def test_the_fused_kernel_is_the_sum_of_its_branches(c_in: int, c_out: int, stride: int) -> None:
    block = RepConv(c_in, c_out, stride)
    randomised(block).double()
    x = torch.randn(2, c_in, 12, 16, dtype=torch.float64)
    by_branches = block.branches(x)
    assert by_branches.abs().max() > 0.1
    torch.testing.assert_close(block(x), by_branches, rtol=0, atol=1e-12)
    torch.testing.assert_close(block.fuse().double()(x), by_branches, rtol=0, atol=1e-6)


def test_a_deployed_candidate_has_no_branches_and_equals_the_trained_one() -> None:
    candidate = Candidate(SMALL)
    randomised(candidate)
    deployed = candidate.deployed()
    assert not any(isinstance(module, RepConv) for module in deployed.modules())
    assert any(isinstance(module, RepConv) for module in candidate.modules())
    x = torch.rand(1, 3, 16, 24)
    with torch.inference_mode():
        torch.testing.assert_close(deployed(x), candidate(x), rtol=1e-4, atol=1e-4)
