"""CMOS: sizes of the estimator and its backbone, its wiring, what it accepts and returns."""

import pytest
import torch
from torch.nn import functional

from crispstream.core.errors import FrameError
from crispstream.train.models import cmos, hrnet
from crispstream.train.models.cmos import Cmos, CmosShape, Prediction
from crispstream.train.models.hrnet import Exchange, Hrnet, HrnetShape, basic_block
from crispstream.train.models.registry import MODELS
from tests.helpers.networks import (
    Flat,
    count,
    gmacs,
    on_meta,
    onnx_of,
    run_onnx,
    run_traced,
    settled,
)

NAMES = ["sigma", "semantics", "aux_sigma", "aux_semantics"]


def all_maps(outputs):
    return tuple(outputs.maps[name] for name in NAMES)


def tiny(seed=0):
    return settled(MODELS.get("cmos-tiny")(), seed)


def empty(*size):
    return torch.empty(1, 3, *size, device="meta")


@pytest.mark.parametrize(
    ("name", "parameters"), [("cmos-nyuv2", 15_975_866), ("cmos-cityscapes", 15_969_776)]
)
def test_parameters_are_those_of_the_published_network(name, parameters):
    network = on_meta(name)
    assert count(network) == parameters
    assert count(network.backbone) == 3_860_720


def test_parts_have_the_published_sizes():
    network = on_meta("cmos-nyuv2")
    tasks = (network.sigma, network.semantics)
    heads = sum(count(task.heads) + count(task.aux) for task in tasks)
    found = [
        heads,
        count(network.between),
        count(network.sigma.refine),
        count(network.semantics.refine),
        count(network.before_answer),
        sum(count(task.predict) for task in tasks),
    ]
    assert [round(each / 1e6, 2) for each in found] == [1.99, 3.91, 1.05, 1.05, 3.96, 0.16]


@pytest.mark.slow
def test_work_is_that_of_the_published_network():
    network = on_meta("cmos-nyuv2")
    total, products = gmacs(lambda: network(empty(180, 320)))
    assert total == pytest.approx(80.4, rel=0.001)
    assert products == pytest.approx(2.0, rel=0.03)
    assert gmacs(lambda: network.backbone(empty(180, 320)))[0] == pytest.approx(29.0, rel=0.002)


def test_scales_begin_at_the_size_of_the_frame():
    sizes = [tuple(x.shape[1:]) for x in on_meta("cmos-nyuv2").backbone(empty(180, 320))]
    assert sizes == [(18, 180, 320), (36, 90, 160), (72, 45, 80), (144, 23, 40)]


def test_a_block_is_its_formula():
    block = settled(basic_block(4).double())
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    first, norm, _, second, last_norm = block.layers

    def normalised(values, layer):
        mean, variance = layer.running_mean, layer.running_var
        scaled = (values - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        return scaled * layer.weight[:, None, None] + layer.bias[:, None, None]

    inner = normalised(functional.conv2d(x, first.weight, padding=1), norm).clamp(min=0)
    out = normalised(functional.conv2d(inner, second.weight, padding=1), last_norm)
    torch.testing.assert_close(block(x), (out + x).clamp(min=0))


def test_every_scale_of_the_backbone_hears_all_others():
    exchange = settled(Exchange((4, 6, 8)).double())
    sizes = [(9, 14), (5, 7), (3, 4)]
    maps = [
        torch.randn(2, c, *s, dtype=torch.float64) for c, s in zip((4, 6, 8), sizes, strict=True)
    ]
    fine, middle, coarse = (b(x) for b, x in zip(exchange.branches, maps, strict=True))
    to_fine, to_middle, to_coarse = exchange.paths

    def enlarged(x, size):
        return functional.interpolate(x, size, mode="bilinear", align_corners=False)

    expected = [
        fine + enlarged(to_fine[1](middle), (9, 14)) + enlarged(to_fine[2](coarse), (9, 14)),
        to_middle[0](fine) + middle + enlarged(to_middle[2](coarse), (5, 7)),
        to_coarse[0](fine) + to_coarse[1](middle) + coarse,
    ]
    for ours, wanted in zip(exchange(maps), expected, strict=True):
        torch.testing.assert_close(ours, wanted.clamp(min=0))


def test_the_backbone_hands_the_coarsest_map_on():
    backbone = settled(Hrnet(HrnetShape(channels=(4, 6, 8, 10), stem=4, modules=(1, 1, 1))))
    x = torch.rand(1, 3, 16, 24)
    seen = backbone.first_layer(backbone.stem(x))
    maps = backbone.stages[0][0]([backbone.enter(seen), backbone.halve[0](seen)])
    maps = backbone.stages[1][0]([*maps, backbone.halve[1](maps[-1])])
    maps = backbone.stages[2][0]([*maps, backbone.halve[2](maps[-1])])
    assert [tuple(each.shape[2:]) for each in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    torch.testing.assert_close(backbone(x), maps)


def test_the_backbone_averages_its_norms_ten_times_slower_than_the_rest():
    network = on_meta("cmos-tiny")
    momenta = {
        name.split(".")[0]: module.momentum
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    }
    assert momenta.pop("backbone") == hrnet.MOMENTUM == 0.01
    assert set(momenta.values()) == {0.1}


def test_a_frame_of_imagenet_s_mean_colour_is_zero_to_the_backbone():
    network = tiny()
    seen = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    blue, green, red = 0.406, 0.456, 0.485
    mean = torch.tensor([blue, green, red])[:, None, None].expand(3, 24, 32)
    one_deviation = mean + torch.tensor([0.225, 0.224, 0.229])[:, None, None]
    network(torch.stack([mean, one_deviation]))
    torch.testing.assert_close(seen[0][0], torch.zeros(3, 24, 32), rtol=0, atol=1e-6)
    torch.testing.assert_close(seen[0][1], torch.ones(3, 24, 32))


def test_tasks_are_wired_coarse_to_fine():
    network = tiny().double()
    features = network.backbone(torch.rand(1, 3, 24, 32, dtype=torch.float64))
    sigmas, semantics = network.by_scale(features)
    sigma, semantic = network.sigma.heads[3](features[3]), network.semantics.heads[3](features[3])
    torch.testing.assert_close((sigmas[3], semantics[3]), (sigma, semantic))
    for scale in (2, 1, 0):
        told = network.between[scale](sigma, semantic)
        first, second = network.sigma.refine[scale](told[0], features[scale])
        sigma = network.sigma.heads[scale](first + second)
        first, second = network.semantics.refine[scale](told[1], features[scale])
        semantic = network.semantics.heads[scale](first + second)
        torch.testing.assert_close((sigmas[scale], semantics[scale]), (sigma, semantic))


def test_answers_read_what_the_heads_say_at_all_scales():
    network = tiny().double()
    frame = torch.rand(1, 3, 24, 32, dtype=torch.float64)
    normal = (frame - network.mean) / network.deviation
    sigmas, semantics = network.by_scale(network.backbone(normal))
    pairs = [gia(*x) for gia, *x in zip(network.before_answer, sigmas, semantics, strict=True)]
    expected = {
        "sigma": network.sigma.predict([pair[0] for pair in pairs]),
        "semantics": network.semantics.predict([pair[1] for pair in pairs]),
        "aux_sigma": network.sigma.aux(sigmas[0]),
        "aux_semantics": network.semantics.aux(semantics[0]),
    }
    maps = network(frame).maps
    for name, at_lr in expected.items():
        wanted = functional.interpolate(at_lr, (96, 128), mode="bilinear", align_corners=False)
        torch.testing.assert_close(maps[name], wanted)


def test_an_answer_reads_every_scale_at_the_finest_size():
    predict = settled(Prediction((2, 3), 5).double())
    fine = torch.randn(1, 2, 7, 10, dtype=torch.float64)
    coarse = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    enlarged = functional.interpolate(coarse, (7, 10), mode="bilinear", align_corners=False)
    expected = predict.answer(predict.mix(torch.cat([fine, enlarged], dim=1)))
    torch.testing.assert_close(predict([fine, coarse]), expected)


@pytest.mark.parametrize("size", [(24, 32), (9, 17), (25, 35)])
def test_maps_have_four_times_the_size_of_the_frame(size):
    outputs = tiny()(torch.rand(2, 3, *size))
    height, width = 4 * size[0], 4 * size[1]
    assert (outputs.hr, outputs.lr) == (None, None)
    assert {name: tuple(x.shape) for name, x in outputs.maps.items()} == {
        "sigma": (2, 1, height, width),
        "semantics": (2, 19, height, width),
        "aux_sigma": (2, 1, height, width),
        "aux_semantics": (2, 19, height, width),
    }


@pytest.mark.slow
def test_the_smallest_frame_is_the_one_that_is_documented():
    network = on_meta("cmos-cityscapes")
    assert network(empty(57, 81)).maps["sigma"].shape[2:] == (228, 324)
    for size in [(56, 81), (57, 80)]:
        with pytest.raises(FrameError, match="give a larger frame"):
            network(empty(*size))


def test_a_training_step_changes_every_parameter_but_the_shut_ones():
    """Shares begin at 0, so that what they would let in has no gradient yet."""
    torch.manual_seed(0)  # with some starts a ReLU is shut by chance
    network = Cmos(cmos.TINY).train()
    maps = network(torch.rand(2, 3, 24, 32)).maps
    sum(maps[name].square().mean() for name in NAMES).backward()
    still = [name for name, p in network.named_parameters() if p.grad.abs().sum() == 0]
    assert still
    assert all("from_affinity" in name or "compared" in name for name in still)


def test_classes_are_counted_as_asked():
    network = Cmos(CmosShape(7, cmos.TINY.backbone, cmos.TINY.groups, cmos.TINY.window)).eval()
    assert network(torch.rand(1, 3, 24, 32)).maps["semantics"].shape[1] == 7


@pytest.mark.slow
def test_a_trace_and_an_exported_graph_compute_the_same():
    """With small flows: large random ones amplify the rounding of either side."""
    network = tiny()
    for name, parameter in network.named_parameters():
        if name.endswith("warp.flow.weight"):
            parameter.mul_(0.1)
    flat = Flat(network, all_maps)
    frame, other = torch.rand(2, 1, 3, 24, 32)
    for ours, expected in zip(run_traced(flat, [frame], [other]), flat(other), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)
    model, flat32 = onnx_of(flat, [frame]), flat(frame)
    assert [node.op_type for node in model.graph.node].count("GridSample") == 13
    exact = flat.double()(frame.double())
    for ours, single, expected in zip(run_onnx(model, [frame]), flat32, exact, strict=True):
        assert expected.std() > 0.02
        rounding = float((single - expected).abs().max())
        assert rounding < 1e-3
        torch.testing.assert_close(ours.double(), expected, rtol=0, atol=10 * rounding)
