"""RRDB-SFT and BlindSR: sizes, the condition, the blocks, and the frozen estimator."""

import pytest
import torch
from torch.nn import functional

from crispstream.core.errors import UsageError
from crispstream.train.models import rrdb_sft
from crispstream.train.models.registry import MODELS
from crispstream.train.models.rrdb_sft import (
    Condition,
    ConditionedBlock,
    DenseBlock,
    Modulation,
    RrdbSft,
    RrdbShape,
)
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

F64 = torch.float64


def maps_for(frame, seed=0):
    """A blur map and a label map for a batch of frames."""
    generator = torch.Generator().manual_seed(seed)
    size = (len(frame), 1, 4 * frame.shape[2], 4 * frame.shape[3])
    sigma = 5 * torch.rand(size, generator=generator)
    labels = torch.randint(0, 19, size, generator=generator)
    return {"sigma": sigma.to(frame.dtype), "labels": labels.to(frame.dtype)}


class FromMaps(torch.nn.Module):
    """The restorer with plain tensors as inputs, as a trace needs them."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.train(network.training)

    def forward(self, frame, sigma, labels):
        return self.network(frame, {"sigma": sigma, "labels": labels}).hr


def test_parameters_are_those_of_the_published_restorer():
    network = on_meta("rrdb-sft")
    assert count(network) == 8_960_592
    assert count(network.blocks) == 8_302_080
    assert count(network.condition.fuse) == 590_816
    assert network.get_submodule(network.output_conv).out_channels == 48


@pytest.mark.parametrize(
    ("name", "parameters"), [("blindsr-nyuv2", 24_936_458), ("blindsr-cityscapes", 24_930_368)]
)
def test_parameters_are_those_of_the_joined_network(name, parameters):
    network = on_meta(name)
    assert count(network) == parameters
    assert network.get_submodule(network.output_conv).out_channels == 48


@pytest.mark.slow
def test_work_is_that_of_the_published_networks():
    frame = torch.empty(1, 3, 180, 320, device="meta")
    hr = torch.empty(1, 1, 720, 1280, device="meta")
    joined = on_meta("blindsr-nyuv2")
    total, products = gmacs(lambda: joined.restorer(frame, {"sigma": hr, "labels": hr}))
    assert total == pytest.approx(1020.3, rel=0.001)
    assert products == pytest.approx(17.7, rel=0.001)
    total, products = gmacs(lambda: joined(frame))
    assert total == pytest.approx(1100.7, rel=0.001)
    assert products == pytest.approx(19.7, rel=0.003)
    features = torch.empty(1, 64, 720, 1280, device="meta")
    fusion, _ = gmacs(lambda: joined.restorer.condition.fuse(features, features))
    assert fusion == pytest.approx(537.6, rel=0.001)


def test_a_dense_block_is_its_formula():
    block = settled(DenseBlock(4, 3).double())
    x = torch.randn(2, 4, 5, 6, dtype=F64)
    grown = [x]
    for layer in block.layers:
        out = functional.conv2d(torch.cat(grown, dim=1), layer.weight, layer.bias, padding=1)
        grown.append(torch.where(out > 0, out, 0.2 * out))
    torch.testing.assert_close(block(x), x + 0.2 * out)


def test_dense_blocks_start_at_a_tenth_of_kaiming_s_spread():
    torch.manual_seed(0)
    for layer in DenseBlock(64, 32).layers:
        expected = 0.1 * (2 / layer.weight[0].numel()) ** 0.5
        assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.02)
        assert layer.bias.abs().max() == 0


def test_modulation_is_its_formula():
    modulate = settled(Modulation(4).double())
    x, condition = torch.randn(2, 2, 4, 5, 6, dtype=F64)
    read = torch.cat([x, condition], dim=1)

    def answer(layers):
        hidden = layers[0](read)
        return layers[2](torch.where(hidden > 0, hidden, 0.2 * hidden))

    scale = 1 / (1 + (-answer(modulate.scale)).exp())
    torch.testing.assert_close(modulate(x, condition), x * scale + answer(modulate.shift))


def test_a_conditioned_block_adds_a_fifth_to_what_came_in():
    block = settled(ConditionedBlock(rrdb_sft.TINY).double())
    x, condition = torch.randn(2, 1, 16, 5, 6, dtype=F64)
    assert len(block.dense) == 3
    expected = x + 0.2 * block.dense(block.modulate(x, condition))
    torch.testing.assert_close(block(x, condition), expected)


def test_the_condition_is_the_nearest_pixel_of_the_summed_fusion():
    condition = settled(Condition(rrdb_sft.TINY).double())
    sigma, labels = maps_for(torch.zeros(2, 3, 6, 8, dtype=F64)).values()
    fused = sum(condition.fuse(condition.sigma(sigma), condition.labels(labels)))
    expected = functional.interpolate(fused, scale_factor=0.25, mode="nearest")
    assert expected.shape == (2, 16, 6, 8)
    assert torch.equal(condition(sigma, labels), expected)


def test_the_restorer_adds_its_first_features_before_the_end():
    network = settled(MODELS.get("rrdb-sft-tiny")())
    network.last.weight.zero_()
    network.last.bias.zero_()
    frame = torch.rand(1, 3, 6, 8)
    expected = functional.pixel_shuffle(network.image(network.head(frame)), 4)
    torch.testing.assert_close(network(frame, maps_for(frame)).hr, expected)


def test_both_maps_change_what_is_restored():
    network = settled(MODELS.get("rrdb-sft-tiny")())
    frame = torch.rand(2, 3, 6, 8)
    maps = maps_for(frame)
    restored = network(frame, maps).hr
    assert restored.shape == (2, 3, 24, 32)
    for name in maps:
        other = network(frame, {**maps, name: maps[name] + 1}).hr
        assert (other - restored).abs().max() > 1e-4


@pytest.mark.parametrize("missing", ["sigma", "labels"])
def test_a_missing_map_is_named(missing):
    frame = torch.rand(1, 3, 6, 8)
    maps = {name: x for name, x in maps_for(frame).items() if name != missing}
    with pytest.raises(UsageError, match=f"needs the map '{missing}' .* got {next(iter(maps))}"):
        RrdbSft(rrdb_sft.TINY)(frame, maps)
    with pytest.raises(UsageError, match="got none; give the maps"):
        RrdbSft(rrdb_sft.TINY)(frame)


def test_the_joined_network_restores_with_the_estimated_maps():
    network = settled(MODELS.get("blindsr-tiny")())
    frame = torch.rand(2, 3, 24, 32)
    outputs = network(frame)
    estimated = network.estimator(frame).maps
    for name in ("sigma", "semantics", "aux_sigma", "aux_semantics"):
        assert torch.equal(outputs.maps[name], estimated[name])
    labels = torch.zeros(2, 1, 96, 128)
    best = torch.full_like(labels, -torch.inf)
    for label in range(19):
        logits = estimated["semantics"][:, label : label + 1]
        labels = torch.where(logits > best, float(label), labels)
        best = torch.maximum(logits, best)
    assert len(labels.unique()) > 2
    told = {"sigma": estimated["sigma"], "labels": labels}
    assert torch.equal(outputs.restored(), network.restorer(frame, told).restored())


def test_training_leaves_the_estimator_as_it_is():
    torch.manual_seed(0)
    network = MODELS.get("blindsr-tiny")().train()
    assert network.restorer.training
    assert not any(module.training for module in network.estimator.modules())
    before = {name: x.clone() for name, x in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.rand(2, 3, 24, 32)).hr.square().mean().backward()
    optimizer.step()
    assert all(p.grad is None for p in network.estimator.parameters())
    assert all(p.grad is not None for p in network.restorer.parameters())
    changed = {name for name, x in network.state_dict().items() if not torch.equal(x, before[name])}
    assert "restorer.image.weight" in changed
    assert not any(name.startswith("estimator.") for name in changed)


def test_the_joined_network_is_made_of_the_two_stages_by_name():
    joined = on_meta("blindsr-tiny").state_dict()
    for prefix, name in [("estimator.", "cmos-tiny"), ("restorer.", "rrdb-sft-tiny")]:
        part = {k.removeprefix(prefix): v.shape for k, v in joined.items() if k.startswith(prefix)}
        assert part == {k: v.shape for k, v in on_meta(name).state_dict().items()}


def test_the_depth_is_that_of_the_shape():
    assert len(RrdbSft(RrdbShape(16, 8, blocks=2, groups=4, window=(3, 4))).blocks) == 2


@pytest.mark.slow
def test_a_trace_and_an_exported_graph_of_the_restorer_compute_the_same():
    network = settled(MODELS.get("rrdb-sft-tiny")(), spread=0.7)
    for name, parameter in network.named_parameters():
        if name.endswith("warp.flow.weight"):
            parameter.mul_(0.1)
    flat = FromMaps(network)
    frame, other = torch.rand(2, 1, 3, 6, 8)
    inputs, others = ([x, *maps_for(x, seed).values()] for seed, x in enumerate([frame, other]))
    ours = run_traced(flat, inputs, others)
    torch.testing.assert_close(ours, flat(*others), rtol=0, atol=0)
    (ours,), expected = run_onnx(onnx_of(flat, inputs), inputs), flat(*inputs)
    assert expected.std() > 0.1
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.slow
def test_a_trace_of_the_joined_network_computes_the_same():
    network = settled(MODELS.get("blindsr-tiny")())
    flat = Flat(network, lambda outputs: outputs.hr)
    frame, other = torch.rand(2, 1, 3, 24, 32)
    ours = run_traced(flat, [frame], [other])
    torch.testing.assert_close(ours, flat(other), rtol=0, atol=0)
