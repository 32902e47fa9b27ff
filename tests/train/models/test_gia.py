"""Grouping interactive attention: windows, the warp, both streams, fp32 where it must stay."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from crispstream.core.errors import FrameError
from crispstream.train.models.gia import (
    WINDOW_PX,
    Align,
    ChannelStream,
    Gia,
    SpatialStream,
    Warp,
    base_grid,
    conv_norm_leaky,
)
from crispstream.train.models.windows import WindowGrid
from tests.helpers.networks import count, gmacs, onnx_of, run_onnx, run_traced, settled

F64 = torch.float64

UNWANTED = {"Cast", "Expand", "Mod", "Pad", "Range", "Tile"}
"""Operators of a graph that works out at run time what is known when it is made.

All but `Shape`, which torch puts before every `Resize`.
"""


class ConstantFlow(nn.Module):
    """Stands for the flow's convolution."""

    def __init__(self, x, y):
        super().__init__()
        self.flow = torch.tensor([x, y], dtype=F64)[None, :, None, None]

    def forward(self, x_bchw):
        return self.flow.expand(len(x_bchw), 2, *x_bchw.shape[2:])


def flowing(warp, x, y):
    warp = settled(warp.double())
    warp.flow = ConstantFlow(x, y)
    return warp


def sigmoid(x):
    return 1 / (1 + (-x).exp())


# windows


@pytest.mark.parametrize("size", [(30, 40), (23, 40), (30, 33), (16, 25), (15, 20), (9, 12)])
def test_windows_go_back_to_their_places(size):
    grid = WindowGrid(*size, *WINDOW_PX)
    x = torch.randn(2, 3, *size)
    windows = grid.cut(x, 3)
    assert windows.shape == (2 * grid.rows * grid.columns, 3, 15, 20)
    assert torch.equal(grid.put_back(windows, 3), x)


def test_windows_lie_row_by_row_and_mirror_what_hangs_over():
    x = torch.arange(2 * 2 * 23 * 36, dtype=F64).reshape(2, 2, 23, 36)
    grid = WindowGrid(23, 36, 15, 20)
    assert (grid.rows, grid.columns, grid.pad_bottom, grid.pad_right) == (2, 2, 7, 4)
    windows = grid.cut(x, 2).reshape(2, 2, 2, 2, 15, 20)
    assert torch.equal(windows[1, 0, 0], x[1, :, :15, :20])
    assert torch.equal(windows[1, 0, 1, :, :, :16], x[1, :, :15, 20:])
    assert torch.equal(windows[0, 1, 0, :, :8], x[0, :, 15:, :20])
    assert torch.equal(windows[0, 1, 0, :, 8], x[0, :, 21, :20])  # 22 is the last row
    assert torch.equal(windows[0, 0, 1, :, :, 16], x[0, :, :15, 34])


def test_the_mirror_is_torch_s():
    x = torch.randn(2, 3, 8, 11)
    padded = functional.pad(x, (0, 9, 0, 7), mode="reflect")
    assert torch.equal(WindowGrid(8, 11, 15, 20).cut(x, 3), padded)


def test_windows_that_a_mirror_cannot_fill_are_refused():
    WindowGrid(8, 11, 15, 20)
    for size in [(7, 11), (8, 10)]:
        with pytest.raises(FrameError, match=r"15x20 .* larger frame"):
            WindowGrid(*size, 15, 20)


# the warp


def test_no_flow_at_equal_size_is_the_identity():
    x, reference = torch.randn(2, 3, 9, 14, dtype=F64), torch.randn(2, 5, 9, 14, dtype=F64)
    warped = flowing(Warp(3, 5), 0, 0)(x, reference)
    torch.testing.assert_close(warped, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(10, 14), (9, 13), (1, 1)])
def test_no_flow_to_a_larger_size_is_bilinear_with_corners_on_corners(size):
    x = torch.randn(2, 3, -(-size[0] // 2), -(-size[1] // 2), dtype=F64)
    warped = flowing(Warp(3, 5), 0, 0)(x, torch.randn(2, 5, *size, dtype=F64))
    expected = functional.interpolate(x, size, mode="bilinear", align_corners=True)
    torch.testing.assert_close(warped, expected, rtol=0, atol=1e-12)


def test_one_unit_of_flow_is_half_a_pixel_and_outside_is_zero():
    ramp = torch.arange(16, dtype=F64).expand(1, 1, 8, 16) + 1
    reference = torch.zeros(1, 1, 8, 16, dtype=F64)
    by_x = flowing(Warp(1, 1), 2, 0)(ramp, reference)
    torch.testing.assert_close(by_x[..., :14], ramp[..., :14] + 15 / 16)
    by_y = flowing(Warp(1, 1), 0, 16)(ramp, reference)  # 7 of 8 rows down
    torch.testing.assert_close(by_y[..., 0, :], ramp[..., 0, :])
    assert by_y[..., 1:, :].abs().max() == 0


def test_the_flow_is_read_from_both_inputs():
    warp = settled(Warp(3, 5).double())
    low, reference = torch.randn(1, 3, 4, 6, dtype=F64), torch.randn(1, 5, 8, 12, dtype=F64)
    enlarged = functional.interpolate(
        warp.from_low(low), (8, 12), mode="bilinear", align_corners=True
    )
    flow = warp.flow(torch.cat([enlarged, warp.from_reference(reference)], dim=1))
    x = torch.linspace(-1, 1, 12, dtype=F64)[None, :] + flow[0, 0] / 12
    y = torch.linspace(-1, 1, 8, dtype=F64)[:, None] + flow[0, 1] / 8
    torch.testing.assert_close(warp.places(low, reference)[0], torch.stack([x, y], dim=-1))
    assert flow.abs().mean() > 0.1


def test_alignment_ends_in_a_convolution_of_the_samples():
    align = settled(Align(3, 5).double())
    low, reference = torch.randn(1, 3, 4, 6, dtype=F64), torch.randn(1, 5, 8, 12, dtype=F64)
    sampled = align.warp(low, reference)
    assert sampled.shape == (1, 3, 8, 12)
    torch.testing.assert_close(
        align(low, reference), functional.conv2d(sampled, align.last.weight, padding=1)
    )


def test_the_base_grid_is_the_centres_of_the_pixels():
    grid = base_grid(3, 5)
    assert grid.shape == (1, 3, 5, 2)
    np.testing.assert_allclose(grid[0, 2, 1], [-0.5, 1.0])


# the streams


def test_the_channel_stream_is_its_formula():
    stream = settled(ChannelStream(6, 3).double())
    inputs = torch.randn(2, 2, 6, 5, 7, dtype=F64)
    sides = (stream.first, stream.second)
    features = [side.features(x) for side, x in zip(sides, inputs, strict=True)]
    summaries = [
        side.summarise(f.flatten(2).mean(2)[:, :, None, None])[:, :, 0, 0]
        for side, f in zip(sides, features, strict=True)
    ]
    for image in range(2):
        grouped = [s[image].reshape(3, 2) for s in summaries]
        affinity = (grouped[1] @ grouped[0].T).flatten()
        for index, side in enumerate(sides):
            a, b = side.from_affinity[0], side.from_affinity[2]
            told = (b.weight @ (a.weight @ affinity + a.bias).clamp(min=0) + b.bias).clamp(min=0)
            weights = sigmoid(summaries[index][image] + side.share * told)
            expected = side.last((features[index][image] * weights[:, None, None])[None])
            actual = stream(*inputs)[index][image]
            torch.testing.assert_close(actual, expected[0], rtol=0, atol=1e-12)


def test_the_spatial_stream_is_its_formula():
    stream = settled(SpatialStream(4, (3, 4)).double())
    inputs = torch.randn(2, 1, 4, 6, 8, dtype=F64)
    sides = (stream.first, stream.second)
    expected = [torch.zeros(1, 4, 6, 8, dtype=F64) for _ in sides]
    features = [side.features(x) for side, x in zip(sides, inputs, strict=True)]
    for row, column in [(0, 0), (0, 4), (3, 0), (3, 4)]:
        place = (..., slice(row, row + 3), slice(column, column + 4))
        pixels = [
            s.compared(f[place])[0].flatten(1).T for s, f in zip(sides, features, strict=True)
        ]
        affinity = torch.tensor([[float(p @ q) for q in pixels[1]] for p in pixels[0]], dtype=F64)
        for index, (side, seen) in enumerate(zip(sides, (affinity, affinity.T), strict=True)):
            read = side.from_affinity
            told = torch.stack([read.weight[0] @ line + read.bias[0] for line in seen])
            own = side.own(features[index][place])[0, 0]
            weights = sigmoid(own + side.share * told.reshape(3, 4))
            expected[index][place] = features[index][place] * weights
    for index, (side, actual) in enumerate(zip(sides, stream(*inputs), strict=True)):
        wanted = side.last(expected[index])
        torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-12)


def test_a_new_module_weighs_by_what_each_input_shows_itself():
    torch.manual_seed(0)
    gia = Gia(6, 6, 3, (3, 4)).double().eval()
    low, reference = torch.randn(2, 2, 6, 7, 10, dtype=F64)
    seen = (gia.align(low, reference), reference)
    merges = (gia.merge_first, gia.merge_second)
    for index, name in enumerate(["first", "second"]):
        by_channel, by_place = getattr(gia.by_channel, name), getattr(gia.by_place, name)
        features = by_channel.features(seen[index])
        means = features.mean(dim=(2, 3), keepdim=True)
        channel = by_channel.last(features * sigmoid(by_channel.summarise(means)))
        places = by_place.features(seen[index])
        place = by_place.last(places * sigmoid(by_place.own(places)))
        expected = merges[index](torch.cat([channel, place], dim=1))
        torch.testing.assert_close(gia(low, reference)[index], expected, rtol=0, atol=1e-12)


def test_convolutions_of_a_window_end_at_its_border():
    stream = settled(SpatialStream(4, (3, 4)))
    x = torch.rand(1, 4, 3, 8)
    grid = WindowGrid(3, 8, 3, 4)
    changed = x.clone()
    changed[..., 4:] += 1
    before, after = (stream.first.pixels(grid.cut(each, 4)) for each in (x, changed))
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


# sizes and precision


def test_parameters_and_work_at_the_published_size():
    with torch.device("meta"):
        gia = Gia(64, 64, 8).eval()
        x = torch.empty(1, 64, 720, 1280)
    assert count(gia) == 590_816
    _, affinity = gmacs(lambda: gia(x, x))
    assert affinity == pytest.approx(17.7, rel=0.001)


def test_the_warp_stays_in_fp32_when_the_network_turns_half():
    gia = settled(Gia(4, 8, 4, (3, 4)))
    low, reference = torch.rand(1, 4, 6, 8), torch.rand(1, 8, 12, 16)
    places = gia.align.warp.places(low, reference)
    expected = gia(low, reference)[0]
    gia = gia.half()
    assert {p.dtype for p in gia.align.warp.parameters()} == {torch.float32}
    assert gia.align.last.weight.dtype == gia.merge_first[0].weight.dtype == torch.float16
    assert torch.equal(gia.align.warp.places(low, reference), places)
    actual = gia(low.half(), reference.half())[0]
    assert actual.dtype == torch.float16
    torch.testing.assert_close(actual.float(), expected, rtol=0, atol=0.02)


def test_the_warp_follows_to_float64_and_to_other_devices():
    warp = Warp(2, 2)
    assert {p.dtype for p in warp.to(torch.bfloat16).parameters()} == {torch.float32}
    assert {p.dtype for p in warp.double().parameters()} == {F64}
    meta = warp.to("meta", torch.float16)
    assert {(p.device.type, p.dtype) for p in meta.parameters()} == {("meta", F64)}


# traces and graphs


def parts():
    """Every part of a module with the sizes of its inputs; 7 rows and 10 columns need pads."""
    small, large = (1, 4, 4, 5), (1, 6, 7, 10)
    return {
        "align": (Align(4, 6), [small, large]),
        "channel stream": (ChannelStream(6, 3), [large, large]),
        "spatial stream": (SpatialStream(6, (3, 4)), [large, large]),
        "convolution": (conv_norm_leaky(6), [large]),
        "whole": (Gia(4, 6, 3, (3, 4)), [small, large]),
    }


@pytest.mark.parametrize("name", parts())
def test_a_trace_and_an_exported_graph_compute_the_same(name):
    module, sizes = parts()[name]
    settled(module, spread=0.7)
    inputs = [torch.randn(size) for size in sizes]
    expected = module(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    again = run_traced(module, [torch.randn(size) for size in sizes], inputs)
    model = onnx_of(module, inputs)
    assert not {n.op_type for n in model.graph.node} & UNWANTED
    for index, value in enumerate(run_onnx(model, inputs)):
        assert expected[index].std() > 0.1
        torch.testing.assert_close(value, expected[index], rtol=0, atol=1e-5)
        traced_value = again[index] if isinstance(again, tuple) else again
        torch.testing.assert_close(traced_value, expected[index], rtol=0, atol=1e-6)


def test_a_graph_of_a_map_that_windows_fit_has_no_pads():
    stream = settled(SpatialStream(6, (3, 4)))
    operators = {n.op_type for n in onnx_of(stream, [torch.rand(1, 6, 6, 8)] * 2).graph.node}
    assert not operators & {"Gather", "Shape", "Slice"}
