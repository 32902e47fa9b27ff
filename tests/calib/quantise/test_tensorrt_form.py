"""int8.onnx in the form that TensorRT takes, and what it must not be."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.methods import Range
from crispstream.calib.quantise.observe import session_of
from crispstream.calib.quantise.tensorrt_form import half_scale, tensorrt_form
from crispstream.core.errors import UsageError
from crispstream.core.metrics import psnr_db
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture
from tests.helpers.sets import measured_ranges

FP32, FP16 = GraphView(edge_like()), GraphView(edge_like(half=True))
RANGES = measured_ranges(FP32)
USUAL = ("/a/Conv", "/b/Conv", "/c/Conv")
FRAME = soft_picture(20, 32, 40)


def form_of(layers=USUAL, ranges=RANGES, **options):
    return tensorrt_form(FP16, FP32, layers, ranges, **options)


@pytest.fixture(scope="module")
def form():
    return form_of()


@pytest.fixture(scope="module")
def view(form):
    return GraphView(form.onnx_bytes)


def of_kind(view, kind):
    return [node for node in view.nodes if node.op_type == kind]


def node(view, name):
    return next(node for node in view.nodes if node.name == name)


def restored(onnx_bytes):
    return session_of(onnx_bytes, literally=True).run(None, {"frame": FRAME[None]})[0][0]


def with_range(tensor, amax):
    return replace(RANGES, tensors={**RANGES.tensors, tensor: Range(amax, -amax, amax)})


def test_every_planned_layer_is_int8_in_order_of_execution():
    form = form_of(USUAL[::-1])
    assert (form.int8_layers, form.kept) == (USUAL, ())


def test_the_opset_is_the_first_with_fp16_scales_and_the_graph_is_valid(view):
    assert [(one.domain, one.version) for one in view.model.opset_import] == [("", 19)]
    onnx.checker.check_model(view.model, full_check=True)


def test_activations_are_symmetric_int8_with_scalar_fp16_scales(view):
    quantised = of_kind(view, "QuantizeLinear")
    assert [one.input[0] for one in quantised] == ["wide", "a_active", "b_active"]
    for one in quantised:
        scale, zero = (view.constants[name] for name in one.input[1:])
        # With a scale of shape [1] TensorRT-RTX computes in half and says nothing.
        assert (scale.dtype, scale.shape) == (np.float16, ())
        assert (zero.dtype, zero.shape, int(zero)) == (np.int8, (), 0)
        assert scale == np.float16(RANGES.of(one.input[0]).amax / 127)
        (reader,) = view.readers(one.output[0])
        assert reader.op_type == "DequantizeLinear"
        assert list(reader.input[1:]) == list(one.input[1:])


@pytest.mark.parametrize("name", USUAL)
def test_weights_are_int8_with_an_fp16_scale_for_each_channel(view, name):
    made = view.producer(node(view, name).input[1])
    assert made.op_type == "DequantizeLinear"
    assert onnx.helper.get_node_attr_value(made, "axis") == 0
    whole, scales = (view.constants[part] for part in made.input)  # no zero point
    assert (whole.dtype, whole.shape) == (np.int8, (16, 16, 3, 3))
    assert (scales.dtype, scales.shape) == (np.float16, (16,))
    assert (np.abs(whole.astype(int)).reshape(16, -1).max(1) == 127).all()
    exact = FP32.constants[f"{name[1]}_w"]
    steps = scales.astype(np.float32)[:, None, None, None]
    # fp16 rounds the scale itself, at most by 1 in 2048: the largest weights may miss by that too.
    assert (np.abs(whole * steps - exact) <= steps * (0.5 + 127 / 2048)).all()
    assert (np.abs(whole * steps - exact) <= steps * 0.5001).mean() > 0.98


def test_int8_weights_take_at_most_three_tenths_of_fp32(view):
    parts = [p for name in USUAL for p in view.producer(node(view, name).input[1]).input]
    small = sum(view.constants[part].nbytes for part in parts)
    large = sum(FP32.constants[f"{name[1]}_w"].nbytes for name in USUAL)
    assert small <= 0.3 * large
    assert not {"a_w", "b_w", "c_w"} & set(view.constants)  # nor are they stored twice


def test_nothing_comes_between_a_convolution_and_its_activation(view):
    readers = {name: view.readers(node(view, name).output[0]) for name in USUAL}
    kinds = {name: [one.op_type for one in found] for name, found in readers.items()}
    assert kinds == {"/a/Conv": ["Relu"], "/b/Conv": ["LeakyRelu"], "/c/Conv": ["Add"]}


def test_biases_and_layers_not_planned_stay_as_they_were(view):
    for name in USUAL:
        bias = view.constants[node(view, name).input[2]]
        assert bias.dtype == np.float16
        assert np.array_equal(bias, FP16.constants[f"{name[1]}_b"])
    added = ("QuantizeLinear", "DequantizeLinear")
    rest = [one for one in view.nodes if one.op_type not in added and one.name not in USUAL]
    before = [one for one in FP16.nodes if one.name not in USUAL]
    assert {o.name: (o.op_type, list(o.input)) for o in rest} == {
        o.name: (o.op_type, list(o.input)) for o in before
    }
    for name in ("head_w", "gate_w", "tail_w", "base_w"):
        assert np.array_equal(view.constants[name], FP16.constants[name])


def test_a_tensor_that_two_layers_read_is_quantised_once():
    view = GraphView(form_of(("/up/Conv", "/gate/Conv")).onnx_bytes)
    assert [one.input[0] for one in of_kind(view, "QuantizeLinear")] == ["sum"]
    assert node(view, "/up/Conv").input[0] == node(view, "/gate/Conv").input[0] == "sum.dq"


def test_the_skip_side_of_an_add_is_quantised_only_when_asked(view):
    assert list(node(view, "/Add").input) == ["wide", "c"]
    skipping = GraphView(form_of(skip_sides=True).onnx_bytes)
    assert list(node(skipping, "/Add").input) == ["wide.dq", "c"]
    assert list(node(skipping, "/Add_1").input) == ["wide", "gated"]
    assert len(of_kind(skipping, "QuantizeLinear")) == 3  # what the first layer reads already
    assert psnr_db(restored(form_of(skip_sides=True).onnx_bytes), restored(edge_like())) > 50


def test_the_skip_side_of_a_layer_in_floating_point_stays_there():
    view = GraphView(form_of(("/a/Conv",), skip_sides=True).onnx_bytes)
    assert list(node(view, "/Add").input) == ["wide", "c"]


@pytest.mark.parametrize("amax", [7e-3, 9e6])
def test_scales_that_fp16_cannot_hold_keep_the_layer_in_floating_point(amax):
    form = form_of(ranges=with_range("a_active", amax))
    assert (form.int8_layers, form.kept) == (("/a/Conv", "/c/Conv"), ("/b/Conv",))
    view = GraphView(form.onnx_bytes)
    assert list(node(view, "/b/Conv").input) == list(node(FP16, "/b/Conv").input)


def test_weights_that_fp16_cannot_scale_keep_the_layer_too():
    model = onnx.load_model_from_string(edge_like())
    weights = next(one for one in model.graph.initializer if one.name == "b_w")
    values = onnx.numpy_helper.to_array(weights).copy()
    values[3] *= 1e-3
    weights.CopyFrom(onnx.numpy_helper.from_array(values, "b_w"))
    faint = GraphView(model.SerializeToString())
    assert tensorrt_form(FP16, faint, USUAL, RANGES).kept == ("/b/Conv",)


@pytest.mark.parametrize(
    ("amax", "fits"),
    [(127 * 6.2e-5, True), (127 * 6e-5, False), (127 * 6e4, True), (127 * 7e4, False)],
)
def test_where_fp16_scales_begin_and_end(amax, fits):
    scales = half_scale(np.array([1.0, amax]))
    assert (scales is not None) == fits
    if fits:
        assert scales[1] == pytest.approx(amax / 127, rel=1 / 1024)


def test_restored_frames_are_close_to_those_of_fp16(form):
    exact = restored(edge_like(half=True))
    found = restored(form.onnx_bytes)
    assert psnr_db(found, exact) > 50
    assert not np.array_equal(found, exact)  # so INT8 it is


@pytest.mark.parametrize("name", ["/head/Conv", "/up/Conv", "/gate/Conv", "/tail/Conv"])
def test_every_layer_may_be_quantised(name):
    found = form_of((name,))
    assert psnr_db(restored(found.onnx_bytes), restored(edge_like(half=True))) > 50


def test_a_first_layer_of_large_weights_computes_in_the_unit_of_its_graph():
    # 1/255 is folded into the first weights of the fp32 graph, and the fp16 graph multiplies by it.
    fp32, fp16 = (GraphView(loud_head(half=half)) for half in (False, True))
    found = tensorrt_form(fp16, fp32, ("/head/Conv",), measured_ranges(fp32))
    exact = restored(fp16.model.SerializeToString())
    assert psnr_db(restored(found.onnx_bytes), exact) > 55


def loud_head(*, half):
    """The graph with large weights in its first layer, and small ones in all that read it."""
    model = onnx.load_model_from_string(edge_like(half=half))
    gains = {"head_w": 32, "head_b": 32, "a_w": 1 / 32, "up_w": 1 / 32, "gate_w": 1 / 32}
    gains |= {"a_b": 1, "tail_w": 1 / 32}
    for tensor in model.graph.initializer:
        if tensor.name in gains:
            values = onnx.numpy_helper.to_array(tensor)
            values = (values * gains[tensor.name]).astype(values.dtype)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return model.SerializeToString()


def test_a_layer_that_the_fp32_graph_lacks_is_named():
    model = onnx.load_model_from_string(edge_like())
    for one in model.graph.node:
        one.name = one.name.replace("/b/", "/bee/")
    with pytest.raises(UsageError, match="layer '/b/Conv' that the fp32 graph lacks"):
        tensorrt_form(FP16, GraphView(model.SerializeToString()), USUAL, RANGES)


def test_a_missing_range_names_the_tensor():
    fewer = {name: span for name, span in RANGES.tensors.items() if name != "b_active"}
    with pytest.raises(UsageError, match="none for the tensor 'b_active'"):
        form_of(ranges=replace(RANGES, tensors=fewer))
