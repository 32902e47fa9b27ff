"""Recurrent networks as graphs: states in and out, and parity on sequences."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import ExportError
from crispstream.core.sequences import FRAMES
from crispstream.export.graph import ByteGraph, macs_per_lr_pixel, onnx_from_network, states_of
from crispstream.export.parity import check_parity, same_bytes, same_outputs, sequences_of
from crispstream.train.models.edge import Edge
from crispstream.train.models.registry import build_network
from tests.helpers.pictures import soft_picture
from tests.helpers.recurrent import SHAPE, clip, stepped, tiny_recurrent

IMAGES = [soft_picture(3, 16, 24), soft_picture(4, 16, 24), soft_picture(5, 12, 12)]


@pytest.fixture(scope="module")
def network():
    return tiny_recurrent()


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def exported(request, network):
    return request.param, onnx_from_network(network, request.param)


def session(onnx_bytes):
    return onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])


def test_states_are_named_typed_and_shares_of_a_free_frame(exported):
    precision, data = exported
    kind = {"fp32": "tensor(float)", "fp16": "tensor(float16)"}[precision]
    graph = session(data)
    frame, state = graph.get_inputs()
    assert (frame.name, frame.shape) == ("frame", [1, "height", "width", 3])
    assert (state.name, state.type) == ("state_in_memory", kind)
    assert state.shape == [1, 8, "height_div2", "width_div2"]
    names = [output.name for output in graph.get_outputs()]
    assert names == ["restored", "state_out_memory", "subpixels"]


def test_a_graph_matches_pytorch_over_sequences_and_the_gap_does_not_grow(exported, network):
    precision, data = exported
    parity = check_parity(network, data, precision, IMAGES)
    assert parity.passed
    assert parity.frames == FRAMES * len(IMAGES)
    by_place = parity.float_largest_by_place
    assert len(by_place) == FRAMES
    assert max(by_place) == parity.float_largest < {"fp32": 1e-2, "fp16": 1.0}[precision]
    assert max(by_place[-2:]) < 5 * max(by_place[:2]) + 1e-4
    assert 0 < parity.state_largest < {"fp32": 1e-4, "fp16": 0.05}[precision]
    assert parity.as_certificate()["float_largest_by_place"] == by_place


def test_the_byte_graph_gives_the_bytes_of_the_networks_own_steps(network):
    graph = ByteGraph(network, "fp32")
    states = graph.zeros(32, 24)
    alone = stepped(network, clip()[1:2])[0]
    for place, (frame, expected) in enumerate(zip(clip(), stepped(network, clip()), strict=True)):
        restored, *states, _ = graph(torch.from_numpy(frame[None]), *states)
        gap = np.abs(restored[0].numpy().astype(int) - expected)
        assert gap.max() <= 1
        assert np.mean(gap != 0) < 1e-2
        if place == 1:  # what is remembered moves the picture
            assert np.abs(expected.astype(int) - alone).mean() > 1


def test_what_a_network_is_compared_on_is_each_frame_moving_on_to_the_next(network):
    sequences = sequences_of(network, IMAGES)
    assert [len(sequence) for sequence in sequences] == [FRAMES] * 3
    np.testing.assert_array_equal(sequences[0][0], IMAGES[0])
    np.testing.assert_array_equal(sequences[0][-1], IMAGES[1])
    assert sequences[1][-1].shape == IMAGES[1].shape  # the next is of another size
    plain = Edge(SHAPE)
    assert [len(sequence) for sequence in sequences_of(plain, IMAGES)] == [1, 1, 1]


def test_a_graph_that_remembers_something_else_is_refused(network):
    other = tiny_recurrent()
    with torch.no_grad():
        other.remember.bias.add_(0.3)
    data = onnx_from_network(other, "fp32")
    with pytest.raises(ExportError, match="do not ship it"):
        check_parity(network, data, "fp32", IMAGES[:1])
    ours, shown = onnx_from_network(network, "fp32"), sequences_of(network, IMAGES[:2], 2)
    assert not same_outputs(ours, data, shown)
    assert not same_bytes(ours, data, shown)
    assert same_bytes(ours, ours, shown)
    # First frames are the same, whatever is remembered after them.
    assert same_outputs(ours, data, [[image] for image in IMAGES])


def test_the_networks_that_people_train_are_exported_alike():
    network = build_network("edge-s-r").eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():  # a new one passes its memory by
            parameter.add_(0.02 * torch.randn(parameter.shape))
    (state,) = states_of(network)
    parity = check_parity(network, onnx_from_network(network, "fp32"), "fp32", IMAGES[2:])
    assert (state.divisor, parity.frames) == (2, FRAMES)
    assert parity.state_largest > 0


def test_the_memory_counts_as_work(network):
    plain = Edge(SHAPE)
    half = 9 * (16 * 8 + 8 * 16)  # recall and remember, at half of LR size
    assert macs_per_lr_pixel(network) == macs_per_lr_pixel(plain) + half // 4


def test_a_state_that_frames_need_not_fit_is_refused(network):
    odd = tiny_recurrent()
    odd.states = (StateTensor("memory", 8, 3),)
    with pytest.raises(ExportError, match=r"1/3 of the frame's sides, which divide by 4 only"):
        states_of(odd)


def test_parts_that_serve_training_alone_reach_no_graph():
    model = onnx.load_model_from_string(onnx_from_network(Edge(SHAPE).eval(), "fp32"))
    named = {tensor.name for tensor in model.graph.initializer}
    assert any("tail" in name for name in named)
    assert not any("deblur" in name for name in named)
