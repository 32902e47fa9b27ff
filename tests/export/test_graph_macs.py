"""The work that layers.json tells of is what PyTorch's own counter finds in the network."""

import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from crispstream.core.graph_layers import graph_layers
from crispstream.core.layers import sized
from crispstream.export.graph import ByteGraph
from crispstream.export.static import (
    deployed,
    macs,
    macs_that_count,
    onnx_from_static,
    shape_of,
    static_graph,
)
from crispstream.runtime.engine.models import find_model
from crispstream.train.models.registry import Outputs, build_network

WIDTH, HEIGHT = 32, 16


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def macs_of(onnx_bytes, width, height):
    """Multiply-accumulates of an ONNX file's layers for a frame."""
    infer = onnx.shape_inference.infer_shapes
    layers = graph_layers(onnx_bytes, onnx.load_model_from_string, infer).layers
    return sum(sized(layer, width, height).macs for layer in layers)


def macs_of_graph(network, width, height, precision="fp32"):
    """The same of the graph of a network for one frame size."""
    shape = shape_of(network, width, height)
    inputs = [torch.zeros(1, 3, height, width)]
    inputs += [torch.zeros(1, 1, 4 * height, 4 * width) for _ in shape.maps]
    if shape.restores:
        inputs = [torch.zeros(1, height, width, 3, dtype=torch.uint8)]
    return macs_of(onnx_from_static(static_graph(network, shape, precision), inputs), width, height)


@pytest.mark.parametrize(
    "name",
    ["cmsc-fast", "gfn-ijcv", "gfn-w16", "gfn-w16-ungated", "ms2net", "predeblur-tiny", "srresnet"],
)
def test_a_published_network_has_the_work_that_pytorch_counts(name):
    network = deployed(build_network(name).eval())
    assert macs_of_graph(network, WIDTH, HEIGHT) == macs(network, WIDTH, HEIGHT)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnlrn-tiny", "rrdb-sft-tiny"])
def test_so_have_attention_and_windows(name):
    network = deployed(build_network(name).eval())
    assert macs_of_graph(network, WIDTH, HEIGHT) == macs(network, WIDTH, HEIGHT)


class WithIdleHead(nn.Module):
    """A network with a head that no graph holds, since it makes nothing but a map beside `hr`."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 48, 3, padding=1)
        self.idle = nn.Conv2d(3, 5, 1)

    def forward(self, x_bchw, _maps):
        hr = functional.pixel_shuffle(self.body(x_bchw), 4)
        return Outputs(hr, maps={"idle": self.idle(x_bchw)})


def test_heads_that_serve_training_do_not_count():
    network = WithIdleHead()
    pixels = WIDTH * HEIGHT
    assert macs(network, WIDTH, HEIGHT) == pixels * (9 * 3 * 48 + 3 * 5)
    assert macs_that_count(network, WIDTH, HEIGHT) == pixels * 9 * 3 * 48
    assert macs_of_graph(network, WIDTH, HEIGHT) == pixels * 9 * 3 * 48


def test_half_precision_changes_no_work():
    network = build_network("srresnet-w16").eval()
    assert macs_of_graph(network, 8, 8, "fp16") == macs(network, 8, 8)


@pytest.mark.parametrize("name", ["edge-n", "edge-s"])
def test_the_shipped_layers_have_the_work_that_pytorch_counts_at_any_size(name):
    bundle = find_model(name)
    graph = ByteGraph(build_network(name), "fp32")
    for width, height in ((WIDTH, HEIGHT), (20, 36)):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            graph(torch.zeros(1, height, width, 3, dtype=torch.uint8))
        for one in bundle.graphs:
            layers = [sized(layer, width, height) for layer in bundle.layers_of(one).layers]
            assert sum(layer.macs for layer in layers) == counter.get_total_flops() // 2
