"""int8-cpu.onnx in the form that ONNX Runtime fuses, shown by what it makes of it."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from crispstream.calib.quantise.cpu_form import cpu_form, tensors_to_measure
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.methods import Range
from crispstream.calib.quantise.observe import session_of
from crispstream.core.errors import UsageError
from crispstream.core.metrics import psnr_db
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture
from tests.helpers.sets import measured_ranges

FP32 = GraphView(edge_like())
RANGES = measured_ranges(FP32)
USUAL = ("/a/Conv", "/b/Conv", "/c/Conv")
ALL = ("/head/Conv", *USUAL, "/up/Conv", "/gate/Conv", "/tail/Conv")
FRAME = soft_picture(20, 32, 40)


@pytest.fixture(scope="module")
def view():
    return GraphView(cpu_form(FP32, USUAL, RANGES).onnx_bytes)


def node(view, name):
    return next(node for node in view.nodes if node.name == name)


def restored(onnx_bytes, frame=FRAME):
    return session_of(onnx_bytes).run(None, {"frame": frame[None]})[0][0]


def fused_kinds(onnx_bytes, folder):
    """The kinds of nodes that ONNX Runtime runs in the end."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3  # it warns that the file suits this machine only
    onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]


@pytest.mark.parametrize("layers", [USUAL, ("/b/Conv",), ("/up/Conv", "/gate/Conv"), ALL])
def test_onnx_runtime_computes_every_planned_layer_in_integers(tmp_path, layers):
    form = cpu_form(FP32, layers, RANGES)
    kinds = fused_kinds(form.onnx_bytes, tmp_path)
    assert (form.int8_layers, form.kept) == (layers, ())
    assert kinds.count("QLinearConv") == len(layers)


def test_leaky_relu_becomes_an_integer_operator_and_relu_none(tmp_path):
    kinds = fused_kinds(cpu_form(FP32, USUAL, RANGES).onnx_bytes, tmp_path)
    assert kinds.count("QLinearLeakyRelu") == 1
    assert kinds.count("LeakyRelu") == 0
    assert kinds.count("Relu") == 0


def test_the_graph_is_valid_and_keeps_its_opset(view):
    onnx.checker.check_model(view.model, full_check=True)
    assert view.model.opset_import[0].version == FP32.model.opset_import[0].version


def test_activations_are_unsigned_bytes_and_zero_is_one_of_them(view):
    quantised = [one for one in view.nodes if one.op_type == "QuantizeLinear"]
    tensors = ["wide", "a_active", "b", "b_active", "c"]
    assert sorted(one.input[0] for one in quantised) == sorted(tensors)
    for one in quantised:
        scale, zero = (view.constants[name] for name in one.input[1:])
        span = RANGES.of(one.input[0])
        assert (scale.dtype, scale.shape, zero.dtype, zero.shape) == ("f4", (), "u1", ())
        assert scale == pytest.approx((span.high - span.low) / 255, rel=1e-6)
        ends = np.array([0 - int(zero), 255 - int(zero)]) * scale
        assert np.allclose(ends, [span.low, span.high], atol=0.5001 * scale)


@pytest.mark.parametrize("name", USUAL)
def test_weights_use_seven_bits(view, name):
    made = view.producer(node(view, name).input[1])
    assert onnx.helper.get_node_attr_value(made, "axis") == 0
    whole, scales = (view.constants[part] for part in made.input)
    assert (whole.dtype, scales.dtype, scales.shape) == (np.int8, np.float32, (16,))
    assert whole.min() >= -64
    assert whole.max() <= 64
    assert (np.abs(whole.astype(int)).reshape(16, -1).max(1) == 64).all()
    steps = scales[:, None, None, None]
    assert (np.abs(whole * steps - FP32.constants[f"{name[1]}_w"]) <= 0.5001 * steps).all()


@pytest.mark.parametrize("name", USUAL)
def test_biases_are_whole_numbers_of_both_scales(view, name):
    layer = node(view, name)
    whole, steps = (view.constants[part] for part in view.producer(layer.input[2]).input)
    weight_steps = view.constants[view.producer(layer.input[1]).input[1]]
    step = view.constants[view.producer(layer.input[0]).input[1]]
    assert whole.dtype == np.int32
    assert np.allclose(steps, weight_steps * step, rtol=1e-6)
    assert (np.abs(whole * steps - FP32.constants[f"{name[1]}_b"]) <= 0.5001 * steps).all()


def test_a_bias_beyond_32_bits_is_clipped_instead_of_turned_over():
    tiny = {**RANGES.tensors, "wide": Range(1e-9, 0.0, 1e-9)}
    view = GraphView(cpu_form(FP32, ("/a/Conv",), replace(RANGES, tensors=tiny)).onnx_bytes)
    whole = view.constants[view.producer(node(view, "/a/Conv").input[2]).input[0]]
    assert (np.sign(whole) == np.sign(FP32.constants["a_b"])).all()


def test_layers_not_planned_are_left_alone(view):
    for name in ("/head/Conv", "/up/Conv", "/gate/Conv", "/tail/Conv", "/base/Conv"):
        assert list(node(view, name).input) == list(node(FP32, name).input)


def test_skip_sides_are_quantised_only_when_asked(view):
    assert list(node(view, "/Add").input) == ["wide", "c.dq"]
    skipping = GraphView(cpu_form(FP32, USUAL, RANGES, skip_sides=True).onnx_bytes)
    assert list(node(skipping, "/Add").input) == ["wide.dq", "c.dq"]


def test_the_cast_moves_before_the_shuffle_and_the_bytes_are_the_same():
    moved = cpu_form(FP32, (), RANGES).onnx_bytes
    view = GraphView(moved)
    kinds = [one.op_type for one in view.nodes[-4:]]
    assert kinds == ["Clip", "Cast", "DepthToSpace", "Transpose"]
    assert view.nodes[-1].output[0] == "restored"
    for seed in range(3):
        frame = soft_picture(seed, 20, 28)
        assert np.array_equal(restored(moved, frame), restored(edge_like(), frame))


def test_restored_frames_are_close_to_those_of_fp32():
    exact = restored(edge_like())
    found = restored(cpu_form(FP32, USUAL, RANGES).onnx_bytes)
    assert psnr_db(found, exact) > 50
    assert not np.array_equal(found, exact)


@pytest.mark.parametrize("name", ALL)
def test_every_layer_may_be_quantised(name):
    found = cpu_form(FP32, (name,), RANGES)
    assert psnr_db(restored(found.onnx_bytes), restored(edge_like())) > 50


def test_what_is_measured_is_enough_for_every_choice_and_not_more_than_all_need():
    measured = tensors_to_measure(FP32, ALL)
    for layers in (ALL, USUAL, ("/c/Conv",), ("/head/Conv", "/tail/Conv")):
        for skip_sides in (False, True):
            assert cpu_form(FP32, layers, RANGES, skip_sides=skip_sides).int8_layers == layers
    assert len(measured) == len(set(measured))
    assert set(measured) == set(RANGES.tensors)
    assert "base" in measured  # the other side of the last layer's add
    assert not {"frame", "clipped", "large", "gated"} & set(measured)


def test_a_missing_range_names_the_tensor():
    fewer = {name: span for name, span in RANGES.tensors.items() if name != "b"}
    with pytest.raises(UsageError, match="none for the tensor 'b'"):
        cpu_form(FP32, USUAL, replace(RANGES, tensors=fewer))
