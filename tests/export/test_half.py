"""Half precision computed in fp32: the same numbers and the same graph as torch's own."""

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from crispstream.export.half import HalfArithmetic, first_overflow


class Mixed(nn.Module):
    """Every operator that the mode takes over, and some that it does not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1, dilation=1)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, (1, 3), padding=(0, 1), groups=4, bias=False)
        self.up = nn.ConvTranspose2d(8, 4, 3, 2, 1, output_padding=1)
        self.wide = nn.Linear(8, 8)

    def forward(self, x_bchw):
        y = torch.relu(self.grouped(torch.relu(self.norm(self.down(x_bchw)))))
        y = self.up(y)
        return self.wide(torch.matmul(y, y.transpose(2, 3)))


@pytest.fixture(scope="module")
def network():
    return Mixed().half().eval().requires_grad_(False)


def exported(network, x):
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(network, (x,), file, dynamo=False, opset_version=17)
    return onnx.load_from_string(file.getvalue())


class InMode(nn.Module):
    def __init__(self, network) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, x_bchw):
        with HalfArithmetic():
            return self.network(x_bchw)


def test_the_mode_computes_what_torch_does_in_half_precision(network):
    x = torch.rand(1, 3, 8, 8).half()
    ours, theirs = InMode(network)(x), network(x)
    assert ours.dtype == torch.float16
    assert torch.allclose(ours.float(), theirs.float(), rtol=2e-3, atol=2e-3)
    exact = Mixed().eval()
    exact.load_state_dict(network.state_dict())
    assert not torch.equal(ours.float(), exact(x.float()))  # it does round


def test_fp32_is_left_alone(network):
    conv = nn.Conv2d(3, 4, 3)
    x = torch.rand(1, 3, 5, 5)
    with HalfArithmetic():
        assert torch.equal(conv(x), nn.functional.conv2d(x, conv.weight, conv.bias))


def test_the_graph_is_the_one_that_torch_traces(network):
    """Operators, their settings, and the weights, which are named by modules."""
    x = torch.rand(1, 3, 8, 8).half()
    ours, theirs = exported(InMode(network), x), exported(network, x)
    for mine, its in zip(ours.graph.node, theirs.graph.node, strict=True):
        assert mine.op_type == its.op_type
        settings = [
            {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute} for n in (mine, its)
        ]
        assert settings[0] == settings[1]
    values = [
        [onnx.numpy_helper.to_array(one) for one in model.graph.initializer]
        for model in (ours, theirs)
    ]
    assert all(np.array_equal(a, b) for a, b in zip(*values, strict=True))


def test_the_first_layer_beyond_fp16_is_named():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1))
    for layer in network.parameters():
        nn.init.constant_(layer, 1.0)
    network = network.half().requires_grad_(False)
    x = torch.ones(1, 1, 2, 2).half()
    assert first_overflow(network, lambda: {"y": network(x).numpy()}) is None
    nn.init.constant_(network[2].weight, 6e4)
    assert first_overflow(network, lambda: {"y": network(x).numpy()}) == "2"
    nn.init.constant_(network[2].weight, 2e4)
    assert first_overflow(network, lambda: {"y": (network(x) * 100).numpy()}) == "y"
