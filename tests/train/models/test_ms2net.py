"""MS2Net-style networks: sizes, the two fusion modules and their ablations."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from crispstream.train.models import ms2net
from crispstream.train.models.gfn import Deblurred
from crispstream.train.models.ms2net import Ms2Net, Ms2Shape, Msff1, Msff2
from crispstream.train.models.registry import MODELS

FUSING = 49_959  # parameters of one MSFF2
SIZES = {
    "ms2net": 12_511_218,
    "ms2net-no-msff1": 12_511_218 - 180_624,
    "ms2net-local-msff1": 12_511_218 - (192 * 16 + 16) - (16 * 64 + 64),
    "ms2net-no-msff2": 12_511_218 - 4 * FUSING,
    "ms2net-k1": 12_511_218 - 3 * FUSING,
    "ms2net-k2": 12_511_218 - 2 * FUSING,
}


def on_meta(name):
    with torch.device("meta"):
        return MODELS.get(name)()


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture
def network(monkeypatch):
    """The whole network at a quarter of its width."""
    monkeypatch.setattr(ms2net, "WIDTH", 16)
    torch.manual_seed(0)
    return Ms2Net(Ms2Shape()).requires_grad_(False)


@pytest.mark.parametrize("name", SIZES)
def test_every_ablation_lacks_its_own_part_only(name):
    network = on_meta(name)
    assert count(network) == SIZES[name]
    assert len([m for m in network.stages.modules() if isinstance(m, nn.LeakyReLU)]) == 16
    assert isinstance(network.get_submodule(network.output_conv), nn.Conv2d)
    out = network(torch.empty(2, 3, 12, 8, device="meta"))
    assert out.hr.shape == (2, 3, 48, 32)
    assert out.lr.shape == (2, 3, 12, 8)


def test_the_fusion_modules_have_their_sizes():
    network = on_meta("ms2net")
    assert count(network.msff1) == 180_624
    assert [count(module) for module in network.msff2] == [FUSING] * 4


def test_the_work_of_a_frame():
    network = on_meta("ms2net")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, 180, 320, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(265.6, rel=0.01)


def test_msff1_weighs_a_local_fusion_of_three_sizes_by_a_global_one():
    module = Msff1(global_path=True).double()
    x = torch.randn(1, 64, 8, 8, dtype=torch.float64)
    half, quarter = (torch.randn(1, c, s, s, dtype=torch.float64) for c, s in ((128, 4), (256, 2)))
    sizes = [
        module.from_full(x),
        functional.interpolate(module.from_half(half), size=(8, 8), mode="bilinear"),
        functional.interpolate(module.from_quarter(quarter), size=(8, 8), mode="bilinear"),
    ]
    together = torch.cat(sizes, dim=1)
    local = functional.leaky_relu(module.local[0](together), 0.2)
    hidden = functional.relu(module.whole.squeeze[0](functional.adaptive_avg_pool2d(together, 1)))
    weights = torch.sigmoid(module.whole.logits(hidden))
    assert weights.shape == (1, 64, 1, 1)
    expected = module.last(local * weights)
    fused = module(Deblurred(x, half, quarter, None))
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-12)


def test_msff2_weighs_channels_then_places():
    module = Msff2().double()
    stage, z, before = (torch.randn(1, 64, 5, 6, dtype=torch.float64) for _ in range(3))
    mixed = functional.leaky_relu(module.mix[0](torch.cat([stage, z, before], dim=1)), 0.2)
    fused = module.fuse(mixed)
    pooled = functional.adaptive_avg_pool2d(fused, 1)
    hidden = functional.relu(module.channels.squeeze[0](pooled))
    fused = fused * torch.sigmoid(module.channels.logits(hidden))
    seen = torch.cat([fused.mean(1, keepdim=True), fused.max(1, keepdim=True).values], dim=1)
    expected = fused * torch.sigmoid(module.places.logits(seen))
    torch.testing.assert_close(module(stage, z, before), expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_each_stage_reads_z_and_the_stage_before(network):
    x = torch.rand(1, 3, 8, 8)
    z = network.msff1(network.deblur(x))
    first = network.head(x)
    features, before = first, z
    for blocks, fusing in zip(network.stages, network.msff2, strict=True):
        stage = blocks(features)
        features = stage + fusing(stage, z, before)
        before = features
    expected = network.enlarge(first + network.last(features))
    torch.testing.assert_close(network(x).hr, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_without_its_modules_the_last_deblurring_feature_is_added_to_each_stage(monkeypatch):
    monkeypatch.setattr(ms2net, "WIDTH", 16)
    plain = Ms2Net(Ms2Shape(stages=2, msff1=False, msff2=False))
    x = torch.rand(1, 3, 8, 8)
    z, first = plain.deblur(x).features, plain.head(x)
    features = plain.stages[1](plain.stages[0](first) + z) + z
    expected = plain.enlarge(first + plain.last(features))
    torch.testing.assert_close(plain(x).hr, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_new_network_s_attention_is_not_saturated():
    torch.manual_seed(0)
    network, weights = Ms2Net(Ms2Shape()), []
    for name, module in network.named_modules():
        if name.endswith("logits"):
            module.register_forward_hook(lambda *call: weights.append(call[2].sigmoid()))
    network(torch.rand(1, 3, 8, 8))
    assert len(weights) == 9
    for weight in weights:
        assert ((weight > 0.02) & (weight < 0.98)).float().mean() > 0.9


@torch.no_grad()
def test_leaving_out_the_lr_head_changes_nothing_else(network):
    x = torch.rand(1, 3, 8, 8)
    deployed = network.without_lr_head()
    assert deployed(x).lr is None
    assert count(network) - count(deployed) == 16 * 16 * 9 + 16 + 3 * 16 * 9 + 3
    assert torch.equal(deployed(x).hr, network(x).hr)


@torch.no_grad()
def test_tracing_meets_no_decision_on_values(network):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of tracing itself
        traced = torch.jit.trace(lambda x: network(x).hr, torch.rand(1, 3, 4, 4), check_trace=False)
    x = torch.rand(1, 3, 8, 4)
    torch.testing.assert_close(traced(x), network(x).hr, rtol=1e-5, atol=1e-5)
