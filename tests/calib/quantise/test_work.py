"""Predicted work, on graphs whose work is known by hand."""

import numpy as np
import onnx
import pytest

from crispstream.calib.quantise.cpu_form import cpu_form
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.tensorrt_form import tensorrt_form
from crispstream.calib.quantise.work import (
    CONVERSION_WORK,
    INT8_WORK,
    converted_values,
    macs_of,
    relative_work,
)
from tests.helpers.graphs import edge_like
from tests.helpers.sets import measured_ranges

PIXELS = 48 * 64
FP32, FP16 = (GraphView(edge_like(48, 64, half=half)) for half in (False, True))
RANGES = measured_ranges(GraphView(edge_like()))


def cpu(*layers, **options):
    return GraphView(cpu_form(FP32, layers, RANGES, **options).onnx_bytes)


def test_multiply_accumulates_of_known_convolutions():
    free = macs_of(GraphView(edge_like(channels=8)))
    assert free["/head/Conv"] == 320 * 180 * 8 * 3 * 9
    assert free["/a/Conv"] == 320 * 180 * 8 * 8 * 9
    assert free["/base/Conv"] == 320 * 180 * 48 * 3
    static = macs_of(GraphView(edge_like(48, 64, channels=8)))
    assert static["/tail/Conv"] == 48 * 64 * 48 * 8 * 9


def test_strides_and_groups_count():
    model = onnx.load_model_from_string(edge_like(48, 64, channels=8))
    layer = next(node for node in model.graph.node if node.name == "/gate/Conv")
    layer.attribute.append(onnx.helper.make_attribute("strides", [2, 2]))
    layer.attribute.append(onnx.helper.make_attribute("group", 8))
    model.graph.node.remove(next(node for node in model.graph.node if node.name == "/Mul_1"))
    up = next(node for node in model.graph.node if node.name == "/up/Conv")
    up.output[0] = "gated"
    weights = next(one for one in model.graph.initializer if one.name == "gate_w")
    depthwise = np.ones((8, 1, 3, 3), np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(depthwise, "gate_w"))
    assert macs_of(GraphView(model.SerializeToString()))["/gate/Conv"] == 24 * 32 * 8 * 9


def test_without_int8_the_work_is_whole():
    for flavour, view in (("int8", FP16), ("int8-cpu", FP32)):
        assert relative_work(flavour, macs_of(FP32), view) == 1


def test_tensorrt_does_twice_as_many_and_converts_for_nothing():
    macs = macs_of(FP32)
    form = tensorrt_form(FP16, FP32, ["/a/Conv", "/tail/Conv"], RANGES)
    saved = (macs["/a/Conv"] + macs["/tail/Conv"]) / 2
    work = relative_work("int8", macs, GraphView(form.onnx_bytes))
    assert work == pytest.approx(1 - saved / sum(macs.values()))


def test_a_frames_three_channels_are_padded():
    macs = macs_of(FP32)
    work = relative_work("int8-cpu", macs, cpu("/head/Conv"))
    padded = macs["/head/Conv"] * INT8_WORK["int8-cpu"] * 16 / 3
    converted = CONVERSION_WORK["int8-cpu"] * converted_values(cpu("/head/Conv"))
    rest = sum(macs.values()) - macs["/head/Conv"]
    assert work == pytest.approx((rest + padded + converted) / sum(macs.values()))


@pytest.mark.parametrize(
    ("layers", "channels"),
    [
        # a reads `wide` (16), which is converted, and so is what its ReLU gives to b.
        (["/a/Conv"], 16 + 16),
        # Between a and b nothing is, nor by LeakyReLU, which is an operator on bytes.
        (["/a/Conv", "/b/Conv"], 16 + 16),
        # The add behind c reads floats.
        (["/a/Conv", "/b/Conv", "/c/Conv"], 16 + 16),
        (["/a/Conv", "/c/Conv"], 16 + 16 + 16 + 16),
        # Both read `sum`, which is converted once, and both results are converted back.
        (["/up/Conv", "/gate/Conv"], 16 + 16 + 16),
        (["/head/Conv"], 3 + 16),
        ([], 0),
    ],
)
def test_values_are_converted_where_int8_begins_and_ends(layers, channels):
    assert converted_values(cpu(*layers)) == channels * PIXELS


def test_converting_costs_on_the_cpu():
    macs = macs_of(FP32)
    saved = macs["/a/Conv"] * (1 - INT8_WORK["int8-cpu"])
    costs = CONVERSION_WORK["int8-cpu"] * 32 * PIXELS
    work = relative_work("int8-cpu", macs, cpu("/a/Conv"))
    assert work == pytest.approx(1 - (saved - costs) / sum(macs.values()))
