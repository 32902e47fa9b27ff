"""GFN, its ablations and its baseline: sizes, wiring, the gate, and what deployment needs."""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from crispstream.core.bicubic import resize_bicubic
from crispstream.train.models import gfn, gfn_ablations
from crispstream.train.models.gfn import Enlargement, Gfn, ResidualBlock, SrResNet
from crispstream.train.models.registry import MODELS

SIZES = {  # parameters, GMAC for 320x180 -> 1280x720
    "gfn": (12_210_438, 249.9),
    "gfn-ungated": (12_130_758, 245.3),
    "gfn-ijcv": (12_210_438, 259.1),
    "gfn-model-1": (12_130_758, 245.3),
    "gfn-model-2": (12_130_758, 1695.3),
    "gfn-model-3": (12_136_009, 250.0),
    "gfn-model-4": (12_130_758, 245.3),
    "gfn-model-5": (12_130_758, 245.3),
    "srresnet": (1_562_179, 148.6),
    "gfn-w16": (769_350, 16.16),
    "gfn-w16-ungated": (764_022, 15.85),
    "srresnet-w16": (100_243, 9.69),
}


def on_meta(name):
    with torch.device("meta"):
        return MODELS.get(name)()


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def gmacs(network):
    """Multiply-accumulates of a 320x180 frame, in thousand millions; nothing is computed."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, 180, 320, device="meta"))
    return counter.get_total_flops() / 2e9


def moderate(network, seed=0):
    """Small weights instead of the published start, whose outputs are in the millions."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            spread = 0.7 / math.sqrt(max(1, parameter[0].numel()))
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return network


@pytest.mark.parametrize("name", SIZES)
def test_parameters_and_work_are_the_published_networks(name):
    network = on_meta(name)
    parameters, work = SIZES[name]
    assert count(network) == parameters
    assert gmacs(network) == pytest.approx(work, rel=0.01)


def test_the_modules_have_the_sizes_of_the_released_code():
    network = on_meta("gfn")
    sizes = {name: count(module) for name, module in network.named_children()}
    assert sizes == {
        "deblur": 10_568_579,
        "features": 637_248,
        "gate": 79_680,
        "reconstruct": 924_931,
    }


def test_the_activations_are_those_of_the_released_code():
    network = on_meta("gfn")
    leaky = [module for module in network.modules() if isinstance(module, nn.LeakyReLU)]
    slopes = sorted(module.negative_slope for module in leaky)
    assert slopes == [0.1] + [0.2] * 13
    assert sum(isinstance(module, nn.ReLU) for module in network.modules()) == 31


def test_a_residual_block_adds_two_convolutions_and_nothing_after():
    block = ResidualBlock(4, slope=0.2).double()
    x = torch.randn(1, 4, 6, 7, dtype=torch.float64)
    inner = functional.conv2d(x, block.first.weight, block.first.bias, padding=1)
    inner = torch.where(inner > 0, inner, 0.2 * inner)
    expected = x + functional.conv2d(inner, block.second.weight, block.second.bias, padding=1)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_the_first_enlarging_step_has_another_slope():
    tail = moderate(Enlargement(4)).double()
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64)

    def convolved(conv, image):
        return functional.conv2d(image, conv.weight, conv.bias, padding=1)

    step = functional.leaky_relu(functional.pixel_shuffle(convolved(tail.up[0], x), 2), 0.1)
    step = functional.pixel_shuffle(convolved(tail.up_again[0], step), 2)
    step = functional.leaky_relu(step, 0.2)
    step = functional.leaky_relu(convolved(tail.sharpen[0], step), 0.2)
    torch.testing.assert_close(tail(x), convolved(tail.image, step), rtol=0, atol=1e-12)


def test_the_deblurring_branch_hands_over_features_without_its_first_ones():
    """D is the 7x7 convolution's output; only the LR image is made from D plus the first."""
    branch = moderate(gfn.Deblurring(4)).double()
    x = torch.rand(1, 3, 8, 12, dtype=torch.float64)
    first = branch.head(x)
    half = branch.down_half(branch.blocks(first) + first)
    quarter = branch.down_quarter(branch.blocks_half(half) + half)
    bottom = branch.blocks_quarter(quarter) + quarter
    features = branch.features(branch.up(branch.up_half(bottom)))
    seen = branch(x)
    torch.testing.assert_close(seen.features, features, rtol=0, atol=1e-12)
    torch.testing.assert_close(seen.quarter, bottom, rtol=0, atol=1e-12)
    torch.testing.assert_close(seen.sharp(), branch.image(features + first), rtol=0, atol=1e-12)
    assert seen.half.shape == (1, 8, 4, 6)


def test_the_gate_reads_deblurred_frame_and_features_in_this_order():
    network = moderate(Gfn(width=4)).double()
    x = torch.rand(1, 3, 8, 12, dtype=torch.float64)
    d, s = network.deblur(x).features, network.features(x)
    weights = network.gate.weigh(network.gate.mix(torch.cat([d, x, s], dim=1)))
    expected = network.reconstruct(s + weights * d)
    torch.testing.assert_close(network(x).hr, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_gate_of_one_is_the_ungated_network(steps):
    ungated = moderate(Gfn(width=4, gate_steps=0)).double()
    gated = Gfn(width=4, gate_steps=steps).double()
    missing, unexpected = gated.load_state_dict(ungated.state_dict(), strict=False)
    assert {name.split(".")[0] for name in missing} == {"gate"}
    assert not unexpected
    with torch.no_grad():
        gated.gate.weigh.weight.zero_()
        gated.gate.weigh.bias.fill_(1 / steps)
    x = torch.rand(1, 3, 8, 12, dtype=torch.float64)
    torch.testing.assert_close(gated(x).hr, ungated(x).hr, rtol=0, atol=1e-10)
    with torch.no_grad():
        gated.gate.weigh.bias.fill_(-1)
    assert (gated(x).hr - ungated(x).hr).abs().max() > 1e-3


def test_the_successor_applies_one_gate_three_times():
    network = moderate(Gfn(width=4, gate_steps=3)).double()
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    d = network.deblur(x).features
    f1 = network.features(x) + network.gate(d, x, network.features(x)) * d
    f2 = f1 + network.gate(d, x, f1) * d
    f3 = f2 + network.gate(d, x, f2) * d
    torch.testing.assert_close(network(x).hr, network.reconstruct(f3), rtol=0, atol=1e-12)


def test_weights_carry_over_from_the_ungated_stage_by_name_and_shape():
    gated = {name: value.shape for name, value in on_meta("gfn").state_dict().items()}
    for name in ("gfn-ungated", "gfn-model-5", "srresnet"):
        part = {name: value.shape for name, value in on_meta(name).state_dict().items()}
        assert part.items() <= gated.items()


def test_convolutions_start_at_fan_out_and_zero_bias():
    torch.manual_seed(0)
    network = Gfn(width=16)
    conv = network.deblur.blocks_quarter[0].first
    assert float(conv.weight.detach().std()) == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    head = network.features.head[0]
    assert float(head.weight.detach().std()) == pytest.approx(math.sqrt(2 / (49 * 16)), rel=0.05)
    assert not conv.bias.any()
    enlarging = network.deblur.up[0]
    assert enlarging.bias.any()  # torch's own start
    assert enlarging.weight.abs().max() <= 1 / math.sqrt(16 * 16)  # fan-in by torch's counting


def test_leaving_out_the_lr_head_saves_two_convolutions_and_changes_nothing():
    deployed = on_meta("gfn").without_lr_head()
    assert gmacs(deployed) == pytest.approx(247.7, rel=0.001)
    network = moderate(Gfn(width=4))
    x = torch.rand(1, 3, 8, 12)
    deployed = network.without_lr_head()
    assert deployed(x).lr is None
    assert torch.equal(deployed(x).hr, network(x).hr)
    assert network(x).lr.shape == (1, 3, 8, 12)
    with pytest.raises(TypeError, match="head was dropped"):
        deployed.deblur(x).sharp()


@pytest.mark.parametrize("name", SIZES)
def test_every_network_keeps_the_contract(name):
    network = on_meta(name)
    assert network.size_multiple in (1, 4)
    conv = network.get_submodule(network.output_conv)
    assert isinstance(conv, nn.Conv2d)
    assert conv.out_channels == 3
    size = (5 * network.size_multiple, 3 * network.size_multiple)
    out = network(torch.empty(2, 3, *size, device="meta"))
    assert out.hr.shape == (2, 3, 4 * size[0], 4 * size[1])
    if out.lr is not None:
        assert out.lr.shape == (2, 3, *size)
    assert (out.lr is None) == (name in ("srresnet", "srresnet-w16", "gfn-model-2"))


KINDS = [
    lambda: Gfn(width=4),
    lambda: SrResNet(4),
    gfn_ablations.DeblurFirst,
    gfn_ablations.EnlargeFirst,
    gfn_ablations.FusedImages,
]


@pytest.fixture(params=KINDS, ids=["gfn", "srresnet", "model-1", "model-2", "model-3"])
def narrow(request, monkeypatch):
    """Each kind of network, narrow, with weights that keep values moderate."""
    monkeypatch.setattr(gfn_ablations, "WIDTH", 4)
    return moderate(request.param()).double().requires_grad_(False)


def test_the_named_convolution_scales_the_image(narrow):
    x = torch.rand(1, 3, 4, 8, dtype=torch.float64)
    before = narrow(x).hr
    for parameter in narrow.get_submodule(narrow.output_conv).parameters():
        parameter.mul_(0.5)
    torch.testing.assert_close(narrow(x).hr, before * 0.5, rtol=0, atol=1e-12)


def test_tracing_meets_no_decision_on_values(narrow):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of tracing itself
        small = torch.rand(1, 3, 4, 4, dtype=torch.float64)
        traced = torch.jit.trace(lambda x: narrow(x).hr, small, check_trace=False)
    x = torch.rand(1, 3, 12, 8, dtype=torch.float64)
    torch.testing.assert_close(traced(x), narrow(x).hr, rtol=0, atol=1e-10)


@pytest.mark.parametrize("narrow", [KINDS[2]], indirect=True)
def test_model_1_enlarges_its_sharp_frame(narrow):
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    out = narrow(x)
    assert torch.equal(out.lr, narrow.deblur(x).sharp())
    assert torch.equal(out.hr, narrow.enlarge(out.lr).hr)


@pytest.mark.parametrize("narrow", [KINDS[3]], indirect=True)
def test_model_2_deblurs_its_enlarged_frame(narrow):
    x = torch.rand(1, 3, 3, 5, dtype=torch.float64)
    out = narrow(x)
    assert out.maps["sr"].shape == (1, 3, 12, 20)
    assert torch.equal(out.maps["sr"], narrow.enlarge(x).hr)
    assert torch.equal(out.hr, narrow.deblur(out.maps["sr"]).sharp())


@pytest.mark.parametrize("narrow", [KINDS[4]], indirect=True)
def test_model_3_joins_the_bicubic_sharp_frame_with_the_enlarged_one(narrow):
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    out = narrow(x)
    sharp = resize_bicubic(out.lr[0].permute(1, 2, 0).numpy(), 4.0)
    sharp = torch.from_numpy(sharp).permute(2, 0, 1)[None]
    both = torch.cat([sharp, narrow.enlarge(x).hr], dim=1)
    torch.testing.assert_close(out.hr, narrow.fuse(both), rtol=0, atol=1e-9)
