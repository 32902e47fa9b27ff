"""CMSC: sizes, cross modules, the cascade, luma, and folded norms."""

import warnings

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr, ycbcr2rgb
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from crispstream.core.bicubic import resize_bicubic
from crispstream.train.models.cmsc import (
    PRESET_A,
    PRESET_B,
    PRESET_C,
    Cmsc,
    CmscFast,
    CmscRgb,
    CmscShape,
    CrossModule,
    SubNetwork,
    fold_batch_norm,
    luma,
)
from crispstream.train.models.registry import MODELS

SIZES = {  # parameters, GMAC for 320x180 -> 1280x720
    "cmsc": (1_224_838, 1125.0),
    "cmsc-a": (1_077_382, 989.0),
    "cmsc-c": (1_222_376, 1122.5),
    "cmsc-rgb": (1_224_838 + 2 * 32 * 9 + 3 * 2 * (32 * 9 + 1), 1127.2),
    "cmsc-fast": (1_224_838 + 2 * 32 * 9 + 3 * 47 * (32 * 9 + 1), 72.8),
}
SMALL = CmscShape(6, 2, ((3, 7), (3, 5)))


def lived_in(network, seed=0):
    """Weights and running averages as a training might leave them."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                values.data.uniform_(0.5, 1.5, generator=generator)
            for values in (module.bias, module.running_mean):
                values.data.normal_(0, 0.3, generator=generator)
    for residual in getattr(network, "residuals", ()):
        residual.weight.data.normal_(0, 0.05, generator=generator)
    if hasattr(network, "weights"):
        network.weights.data.uniform_(0.1, 0.9, generator=generator)
    return network.double().eval().requires_grad_(False)


def frame(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


@pytest.mark.parametrize("name", SIZES)
def test_parameters_work_and_contract(name):
    with torch.device("meta"):
        network = MODELS.get(name)()
    parameters, work = SIZES[name]
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert isinstance(network.get_submodule(network.output_conv), nn.Conv2d)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        out = network(torch.empty(1, 3, 180, 320, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(work, rel=0.01)
    assert out.hr.shape == (1, 3, 720, 1280)
    channels = 1 if isinstance(network, Cmsc) else 3
    assert [key for key in out.maps if key != "y"] == [
        f"stage_{index + 1}" for index in range(len(network.subnetworks))
    ]
    assert {value.shape for value in out.maps.values()} == {(1, channels, 720, 1280)}
    assert ("y" in out.maps) == isinstance(network, Cmsc)


def test_the_presets_have_the_published_depth_or_say_otherwise():
    assert PRESET_B.depth() == PRESET_A.depth() == 35
    assert PRESET_C.depth() == 38


def by_hand(unit, x):
    """Convolution, batch norm with running averages and leaky ReLU, written out."""
    conv, norm, _ = unit
    x = functional.conv2d(x, conv.weight, padding=conv.kernel_size[0] // 2)

    def each(values):
        return values[None, :, None, None]

    x = (x - each(norm.running_mean)) / torch.sqrt(each(norm.running_var) + norm.eps)
    x = x * each(norm.weight) + each(norm.bias)
    return torch.where(x > 0, x, 0.2 * x)


def test_a_cross_module_has_two_branches_of_its_kernel_sizes():
    module = lived_in(CrossModule(4, (3, 7)))
    u, v = frame(1, 4, 9, 8), frame(1, 4, 9, 8, seed=1)
    assert [unit[0].kernel_size for unit in (*module.near, *module.far)] == [(3, 3)] * 2 + [
        (7, 7)
    ] * 2
    near, far, mean = module(u, v)
    expected_near = by_hand(module.near[1], by_hand(module.near[0], u))
    expected_far = by_hand(module.far[1], by_hand(module.far[0], v))
    torch.testing.assert_close(near, expected_near, rtol=0, atol=1e-12)
    torch.testing.assert_close(far, expected_far, rtol=0, atol=1e-12)
    torch.testing.assert_close(mean, u / 2 + v / 2, rtol=0, atol=1e-15)


def test_a_sub_network_merges_and_runs():
    network = lived_in(SubNetwork(SMALL))
    x = frame(1, 6, 9, 8)
    u = v = by_hand(network.entry, x)
    for position, module in enumerate(network.cross):
        a = by_hand(module.near[1], by_hand(module.near[0], u))
        b = by_hand(module.far[1], by_hand(module.far[0], v))
        mean = (u + v) / 2
        u, v = a + mean, b + mean
        if position == len(network.cross) - 1:
            expected = x + a + b + mean
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-12)


def test_the_cascade_predicts_after_each_stage_and_weighs_the_predictions():
    network = lived_in(Cmsc(SMALL))
    y = frame(1, 1, 12, 10)
    final, stages = network.refine(y)
    features = network.extract(y)
    expected = torch.zeros_like(y)
    for index in range(2):
        features = network.subnetworks[index](features)
        prediction = y + network.residuals[index](features)
        torch.testing.assert_close(stages[index], prediction, rtol=0, atol=1e-12)
        expected += float(network.weights[index]) * prediction
    torch.testing.assert_close(final, expected, rtol=0, atol=1e-12)
    assert (stages[0] - stages[1]).abs().max() > 0.01


def test_the_assembly_starts_as_a_mean_and_is_trained():
    network = Cmsc(SMALL)
    assert network.weights.tolist() == [0.5, 0.5]
    network.refine(torch.rand(2, 1, 9, 9))[0].sum().backward()
    assert network.weights.grad.abs().min() > 0


@pytest.mark.parametrize("kind", [Cmsc, CmscRgb, CmscFast])
def test_a_new_network_all_but_interpolates(kind):
    torch.manual_seed(0)
    network = kind(PRESET_B)
    x = torch.rand(1, 3, 4, 4)
    with torch.no_grad():
        assert (network(x).hr - network.bicubic(x)).abs().mean() < 0.1


def test_luma_is_matlab_s():
    image = np.random.default_rng(0).random((4, 5, 3))
    rgb = np.ascontiguousarray(image[..., ::-1])
    ours = luma(torch.from_numpy(image).permute(2, 0, 1)[None])[0, 0].numpy()
    assert np.abs(ours - rgb2ycbcr(rgb)[..., 0] / 255).max() < 1e-12


def test_the_luma_is_refined_and_the_colours_stay_bicubic():
    network = lived_in(Cmsc(SMALL))
    image = np.random.default_rng(0).random((5, 6, 3))
    out = network(torch.from_numpy(image).permute(2, 0, 1)[None])
    enlarged = resize_bicubic(image, 4.0)
    ycbcr = rgb2ycbcr(np.ascontiguousarray(enlarged[..., ::-1]))
    final, stages = network.refine(torch.from_numpy(ycbcr[..., 0] / 255)[None, None])
    assert np.abs(final[0, 0].numpy() * 255 - ycbcr[..., 0]).max() > 1
    torch.testing.assert_close(out.maps["y"], final, rtol=0, atol=1e-9)
    torch.testing.assert_close(out.maps["stage_1"], stages[0], rtol=0, atol=1e-9)
    ycbcr[..., 0] = final[0, 0].numpy() * 255
    expected = ycbcr2rgb(ycbcr)[..., ::-1]
    assert np.abs(out.hr[0].permute(1, 2, 0).numpy() - expected).max() < 1e-9


def test_the_fast_one_works_at_lr_size_and_shuffles():
    network = lived_in(CmscFast(SMALL))
    x = frame(1, 3, 5, 6)
    features = network.subnetworks[0](network.extract(x))
    assert features.shape == (1, 6, 5, 6)
    first = functional.pixel_shuffle(network.residuals[0](features), 4) + network.bicubic(x)
    out = network(x)
    torch.testing.assert_close(out.maps["stage_1"], first, rtol=0, atol=1e-12)
    weighed = network.weights[0] * first + network.weights[1] * out.maps["stage_2"]
    torch.testing.assert_close(out.hr, weighed, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Cmsc, CmscRgb, CmscFast])
def test_folded_norms_change_nothing_but_the_work(kind):
    network = lived_in(kind(SMALL))
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    x = frame(1, 3, 6, 5)
    torch.testing.assert_close(folded(x).hr, network(x).hr, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", [Cmsc, CmscRgb, CmscFast])
def test_tracing_meets_no_decision_on_values(kind):
    network = lived_in(kind(SMALL))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of tracing itself
        traced = torch.jit.trace(lambda x: network(x).hr, frame(1, 3, 4, 4), check_trace=False)
    x = frame(1, 3, 6, 5)
    torch.testing.assert_close(traced(x), network(x).hr, rtol=0, atol=1e-12)
