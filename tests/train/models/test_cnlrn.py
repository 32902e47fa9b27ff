"""CNLRN: sizes, the non-local block against its definition, one head at a time, export."""

import onnx
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crispstream.train.models import cnlrn
from crispstream.train.models.cnlrn import ChannelAttentionBlock, Cnlrn, PreDeblur, Residual
from crispstream.train.models.nonlocal_block import (
    NonLocalBlock,
    PatchAttention,
    tokens,
    untokened,
)
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


class Sizes(TorchDispatchMode):
    """Keeps the size of the largest tensor, and how many tensors of one size lived at once."""

    def __init__(self, watched=0):
        super().__init__()
        self.largest = 0
        self.watched = watched
        self.alive = []
        self.most_alive = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            self.largest = max(self.largest, tensor.untyped_storage().nbytes() // 4)
            if tensor.numel() == self.watched:
                self.alive.append(StorageWeakRef(tensor.untyped_storage()))
        living = {ref.cdata for ref in self.alive if not ref.expired()}
        self.most_alive = max(self.most_alive, len(living))
        return result


def patches_by_definition(x_bchw, heads):
    """Tokens [B,heads,N,D] by one reshape of rank 7: channel first, then row, then column."""
    b, c, h, w = x_bchw.shape
    cut = x_bchw.reshape(b, heads, c // heads, h // 4, 4, w // 4, 4)
    return cut.permute(0, 1, 3, 5, 2, 4, 6).reshape(b, heads, h * w // 16, c // heads * 16)


def attention_by_definition(attend, x_bchw):
    """Loop over images, heads and tokens."""
    query, key, value = (
        patches_by_definition(conv(x_bchw), attend.heads)
        for conv in (attend.query, attend.key, attend.value)
    )
    out = torch.zeros_like(x_bchw)
    columns = x_bchw.shape[-1] // 4
    for b in range(len(x_bchw)):
        for head in range(attend.heads):
            own = slice(head * attend.head_channels, (head + 1) * attend.head_channels)
            for n, q in enumerate(query[b, head]):
                scores = torch.stack([(q * k).sum() for k in key[b, head]]) / len(q) ** 0.5
                weights = scores.exp() / scores.exp().sum()
                token = sum(w * v for w, v in zip(weights, value[b, head], strict=True))
                row, column = 4 * (n // columns), 4 * (n % columns)
                patch = token.reshape(attend.head_channels, 4, 4)
                out[b, own, row : row + 4, column : column + 4] = patch
    return out


def test_parameters_are_those_of_the_published_network():
    network, first_stage = on_meta("cnlrn"), on_meta("predeblur")
    assert count(network) == 83_063_491
    assert count(first_stage) == 73_095_427
    assert count(network.deblur) == 73_090_624
    assert count(network.restore) == 9_972_867
    group = network.restore.body.layers[0]
    subgroup = group.layers[0]
    assert (count(group), count(subgroup)) == (952_800, 457_936)
    assert isinstance(subgroup.layers[0], NonLocalBlock)
    assert count(subgroup.layers[0]) == 123_264
    assert isinstance(subgroup.layers[1], ChannelAttentionBlock)
    assert count(subgroup.layers[1]) == 74_436
    blocks = [module for module in network.modules() if isinstance(module, NonLocalBlock)]
    assert len(blocks) == 20


def test_work_is_that_of_the_published_network():
    network = on_meta("cnlrn")
    frame = torch.empty(1, 3, 180, 320, device="meta")
    total, attention = gmacs(lambda: network(frame))
    assert total == pytest.approx(3471.9, rel=0.001)
    assert attention == pytest.approx(2123.4, rel=0.001)
    deblurring, _ = gmacs(lambda: network.deblur(frame))
    assert deblurring == pytest.approx(385.8, rel=0.001)
    up_again, attention_twice_lr = gmacs(
        lambda: network.restore.up_again(torch.empty(1, 64, 360, 640, device="meta"))
    )
    assert attention_twice_lr == pytest.approx(1698.7, rel=0.001)
    doubling = 64 * 256 * 9 * 360 * 640 / 1e9
    assert up_again - attention_twice_lr == pytest.approx(444.5 + doubling, rel=0.001)


def test_tokens_are_the_patches_in_the_published_order():
    x = torch.arange(2 * 6 * 8 * 12).reshape(2, 6, 8, 12)
    ours = tokens(x, 6)
    assert torch.equal(ours.transpose(1, 2), patches_by_definition(x, 1)[:, 0])
    assert ours[1, :, 4].tolist() == x[1, :, 4:8, 4:8].flatten().tolist()
    assert torch.equal(untokened(ours, 6, 8, 12), x)


def test_attention_is_its_definition():
    attend = settled(PatchAttention(8, 4).double(), spread=2.0)
    x = torch.randn(2, 8, 8, 12, dtype=torch.float64)
    expected = attention_by_definition(attend, x)
    uniform = attend.value(x).mean()
    assert (expected - uniform).abs().max() > 0.1
    torch.testing.assert_close(attend(x), expected, rtol=0, atol=1e-12)


def test_the_query_is_scaled_by_a_sixteenth():
    attend = on_meta("cnlrn").restore.body.layers[0].layers[0].layers[0].attend
    assert (attend.heads, attend.scale) == (4, 1 / 16)


def test_scores_exist_for_one_head_at_a_time():
    attend = settled(PatchAttention(8, 4))
    score_count = (96 // 4 * 96 // 4) ** 2
    assert 4 * score_count > 8 * 8 * 96 * 96  # else the features could hide all heads' scores
    with Sizes(watched=score_count) as sizes, torch.inference_mode():
        attend(torch.rand(1, 8, 96, 96))
    assert sizes.largest == score_count
    assert 1 <= sizes.most_alive <= 2  # before and after the softmax


def test_no_tensor_of_a_full_frame_holds_the_scores_of_two_heads():
    network = on_meta("cnlrn")
    with Sizes() as sizes, torch.inference_mode():
        network.restore.up_again(torch.empty(1, 64, 360, 640, device="meta"))
    assert sizes.largest == 14_400**2


def test_no_tensor_of_an_exported_graph_holds_the_scores_of_two_heads():
    attend = settled(PatchAttention(8, 4))
    model = onnx_of(attend, [torch.rand(1, 8, 96, 96)])
    assert [node.op_type for node in model.graph.node].count("Softmax") == 4
    shaped = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    counts = []
    for info in shaped.graph.value_info:
        dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        counts.append(torch.Size(dims).numel())
    assert max(counts) == (24 * 24) ** 2


def test_channel_attention_is_its_formula():
    block = settled(ChannelAttentionBlock(16).double())
    x = torch.randn(2, 16, 5, 6, dtype=torch.float64)
    features = block.body(x)
    means = features.flatten(2).mean(dim=2)
    squeeze, weigh = block.squeeze[0], block.weigh
    hidden = (means @ squeeze.weight[:, :, 0, 0].T + squeeze.bias).clamp(min=0)
    scale = 1 / (1 + (-(hidden @ weigh.weight[:, :, 0, 0].T + weigh.bias)).exp())
    torch.testing.assert_close(block(x), x + features * scale[:, :, None, None])


def test_bodies_add_their_input():
    body = settled(Residual(16, [ChannelAttentionBlock(16)]))
    body.layers[-1].weight.zero_()
    body.layers[-1].bias.fill_(0.25)
    x = torch.rand(1, 16, 4, 4)
    torch.testing.assert_close(body(x), x + 0.25)


def test_the_deblurring_half_adds_what_it_saw_on_the_way_down():
    deblur = settled(PreDeblur(cnlrn.TINY)).deblur
    x = torch.rand(1, 3, 8, 12)
    full = deblur.at_full(x)
    half = deblur.at_half(full)
    assert (full.shape, half.shape) == ((1, 16, 8, 12), (1, 32, 4, 6))
    deblur.up_half[0].weight.zero_()  # shut the way through the bottom
    deblur.up_half[0].bias.zero_()
    torch.testing.assert_close(deblur(x), deblur.last(deblur.up(half) + full))


def test_the_first_stage_is_carried_on_by_name():
    first, joint = PreDeblur(cnlrn.TINY), Cnlrn(cnlrn.TINY)
    carried = {k: v for k, v in first.state_dict().items() if k.startswith("deblur.")}
    missing, unexpected = joint.load_state_dict(carried, strict=False)
    assert not unexpected
    assert len(carried) > 30
    assert all(name.startswith("restore.") for name in missing)


@pytest.mark.parametrize("size", ["", "-tiny"])
def test_stages_of_one_size_share_their_deblurring_half(size):
    first, joint = on_meta("predeblur" + size).deblur, on_meta("cnlrn" + size).deblur
    shapes = [{k: v.shape for k, v in part.state_dict().items()} for part in (first, joint)]
    assert shapes[0] == shapes[1]


def test_what_the_networks_return():
    frame = torch.rand(2, 3, 12, 16)
    with torch.inference_mode():
        first, joint = (MODELS.get(n)()(frame) for n in ("predeblur-tiny", "cnlrn-tiny"))
    assert first.hr is None
    assert first.lr.shape == frame.shape
    assert (joint.restored().shape, joint.lr) == ((2, 3, 48, 64), None)


@pytest.mark.parametrize("name", ["cnlrn", "cnlrn-tiny"])
def test_the_output_convolution_makes_the_image(name):
    network = on_meta(name)
    assert network.get_submodule(network.output_conv).out_channels == 3


@pytest.mark.slow
def test_a_trace_computes_the_same():
    network = Flat(settled(MODELS.get("cnlrn-tiny")()), lambda outputs: outputs.hr)
    frame, other = torch.rand(2, 1, 3, 12, 16)
    ours = run_traced(network, [frame], [other])
    torch.testing.assert_close(ours, network(other), rtol=0, atol=0)


@pytest.mark.slow
def test_an_exported_graph_computes_the_same():
    network = Flat(settled(MODELS.get("cnlrn-tiny")(), spread=0.7), lambda outputs: outputs.hr)
    frame = torch.rand(1, 3, 12, 16)
    model = onnx_of(network, [frame])
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Shape", "Gather", "Range", "Expand", "Cast"}
    (ours,), expected = run_onnx(model, [frame]), network(frame)
    assert expected.std() > 0.05
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_every_parameter_takes_part():
    network = MODELS.get("cnlrn-tiny")()
    network(torch.rand(1, 3, 8, 8)).hr.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
