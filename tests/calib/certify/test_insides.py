"""What bytes cannot show: NaN, infinity, saturation and large values inside."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from crispstream.calib.certify.insides import look_inside, quantised_ranges, tensors_in_halves
from crispstream.calib.quantise.cpu_form import cpu_form
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.tensorrt_form import tensorrt_form
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture
from tests.helpers.sets import measured_ranges

ENDS = [("frame", "height", "width"), ("restored", "height", "width")]


def graph_of(steps, **constants):
    """A graph that casts the frame to `x`, takes these steps to `y`, and casts to bytes."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["x"], to=TensorProto.FLOAT, name="in"),
        *(helper.make_node(kind, reads, [makes], name=makes) for kind, reads, makes in steps),
        helper.make_node("Cast", ["y"], ["restored"], to=TensorProto.UINT8, name="out"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, *sides, 3])
        for name, *sides in ENDS
    ]
    values = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "tiny", ends[:1], ends[1:], values)
    opsets = [helper.make_opsetid("", 17)]
    return GraphView(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )


def quantised_by(scale, zero):
    return graph_of(
        [("QuantizeLinear", ["x", "s", "z"], "q"), ("DequantizeLinear", ["q", "s", "z"], "y")],
        s=np.float32(scale),
        z=zero,
    )


def frame_of(*rows):
    """A frame of rows of these grey levels."""
    return np.array(rows, np.uint8)[:, None, None].repeat(4, 1).repeat(3, 2)


def look(view, *frames, tensors=None):
    return look_inside(view, tensors or view.float_tensors(), frames, literally=True)


def test_nan_and_infinity_are_counted():
    view = graph_of([("Div", ["x", "zero"], "y")], zero=np.float32(0))
    found = look(view, frame_of(0, 5, 0), frame_of(7, 7, 7))
    # 0/0 is NaN and 5/0 infinite: 12 values a row, in `y` alone.
    assert found.not_finite == 6 * 12
    assert found.tensors == 2
    assert (found.largest, found.largest_tensor) == (7, "x")


def test_a_sound_graph_has_none():
    assert look(GraphView(edge_like()), soft_picture(0, 8, 12)).not_finite == 0


def test_the_largest_magnitude_of_all_frames_is_kept_with_its_tensor():
    view = graph_of([("Mul", ["x", "by"], "y")], by=np.float32(-3))
    found = look(view, frame_of(1, 200), frame_of(9, 50))
    assert (found.largest, found.largest_tensor) == (600, "y")
    assert look(view, frame_of(1, 200), tensors=["x"]).largest_tensor == "x"


def test_where_nothing_is_quantised_nothing_saturates():
    found = look(GraphView(edge_like()), soft_picture(0, 8, 12))
    assert (found.saturated_share, found.saturated_tensor) == (0, "")


def test_values_beyond_the_bytes_are_saturated():
    view = quantised_by(1, np.int8(0))
    found = look(view, frame_of(0, 100, 127, 128), frame_of(200, 255, 128, 127))
    assert found.saturated_share == pytest.approx(4 / 8)
    assert found.saturated_tensor == "x"


def test_half_a_step_beyond_still_rounds_to_the_outermost_value():
    view = quantised_by(2, np.int8(0))  # -256 .. 254, and up to 255 rounds to 254
    assert look(view, frame_of(255)).saturated_share == 0
    assert quantised_ranges(view) == {"x": (-257.0, 255.0)}


def test_a_zero_point_shifts_what_bytes_stand_for():
    view = quantised_by(0.5, np.uint8(55))
    assert quantised_ranges(view) == {"x": (-27.75, 100.25)}
    assert look(view, frame_of(100, 101)).saturated_share == pytest.approx(1 / 2)


def test_weights_have_no_such_range():
    view = GraphView(edge_like())
    ranges = measured_ranges(view)
    form = cpu_form(view, ["/a/Conv"], ranges)
    limits = quantised_ranges(GraphView(form.onnx_bytes))
    assert set(limits) == {"wide", "a_active"}
    low, high = limits["wide"]
    step = ranges.of("wide").high / 255
    assert (low, high) == pytest.approx((-step / 2, 255.5 * step))


def test_a_range_too_narrow_shows_in_the_worst_tensor():
    fp32, fp16 = (GraphView(edge_like(half=half)) for half in (False, True))
    ranges = measured_ranges(fp32)
    wide = ranges.tensors["wide"]
    narrow = {**ranges.tensors, "wide": type(wide)(wide.amax / 8, 0.0, wide.high / 8)}
    ranges = type(ranges)(None, "", "max", 2, narrow)
    form = tensorrt_form(fp16, fp32, ["/a/Conv", "/c/Conv"], ranges)
    found = look(GraphView(form.onnx_bytes), soft_picture(20, 32, 40))
    assert found.saturated_tensor == "wide"
    assert found.saturated_share > 0.1


def test_tensors_in_halves_are_those_that_fp16_holds():
    fp32, fp16 = (GraphView(edge_like(half=half)) for half in (False, True))
    names = tensors_in_halves(fp32, fp16)
    assert {"head", "wide", "a", "sum", "gated", "tail"} <= set(names)
    assert not {"base_bhwc", "levels", "base", "subpixels", "clipped", "large"} & set(names)
    assert tensors_in_halves(fp32, fp32) == []


def test_a_tensor_without_a_namesake_counts_as_one_of_them():
    fp32 = graph_of([("Neg", ["x"], "other"), ("Neg", ["other"], "y")])
    fp16 = graph_of([("Neg", ["x"], "thing"), ("Neg", ["thing"], "y")])
    assert tensors_in_halves(fp32, fp16) == ["other"]
