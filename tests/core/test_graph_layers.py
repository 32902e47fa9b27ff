"""Layers from ONNX files: those that ship, and small ones whose work is counted by hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from crispstream.core.bundle import Bundle
from crispstream.core.errors import BundleError
from crispstream.core.graph_layers import graph_layers, layers_file
from crispstream.core.layers import LAYERS, parse_layers, side, sized
from crispstream.runtime.engine.models import find_model
from tests.helpers.graphs import edge_like, float_contract, nearest_x4, with_the_frame_before

SHIPPED = ("edge-n", "edge-s")
INFER = onnx.shape_inference.infer_shapes
HALF, FULL = TensorProto.FLOAT16, TensorProto.FLOAT


def read(onnx_bytes, **words):
    return graph_layers(onnx_bytes, onnx.load_model_from_string, INFER, **words).layers


def file_of(*graphs):
    return layers_file(graphs, onnx.load_model_from_string, INFER)


def graph_of(nodes, constants, shape=(1, 3, 8, 12), kind=FULL):
    """ONNX bytes of nodes from `x` to `y`."""
    ends = [
        helper.make_tensor_value_info("x", kind, shape),
        helper.make_tensor_value_info("y", kind, None),
    ]
    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)]).SerializeToString()


def run_everything(onnx_bytes, frame_hwc):
    """Run a graph and return every tensor of it by name."""
    model = INFER(onnx.load_model_from_string(onnx_bytes))
    there = {output.name for output in model.graph.output}
    model.graph.output.extend(v for v in model.graph.value_info if v.name not in there)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # nothing of what shapes were called in the file
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"frame": frame_hwc[None]}), strict=True))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_layers_are_those_of_the_shipped_graphs(name):
    bundle = find_model(name)
    assert file_of(*map(bundle.graph_bytes, bundle.graphs)) == bundle.file_bytes(LAYERS)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-cpu"])
def test_the_macs_of_the_shipped_layers_are_those_of_the_contract(name, precision):
    bundle = find_model(name)
    graph = bundle.graph(precision)
    layers = bundle.layers_of(graph).layers
    for width, height in ((320, 180), (44, 28)):
        macs = sum(sized(layer, width, height).macs for layer in layers)
        assert macs == graph.macs_per_lr_pixel * width * height


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-cpu"])
def test_tensors_have_the_shapes_and_types_that_a_run_shows(precision):
    bundle = find_model("edge-n")
    graph = bundle.graph(precision)
    tensors = run_everything(bundle.graph_bytes(graph), np.zeros((28, 44, 3), np.uint8))
    layers = bundle.layers_of(graph).layers
    for tensor in (one for layer in layers for one in (*layer.writes, *layer.reads)):
        if tensor.name != "frame":
            seen = tensors[tensor.name]
            assert tuple(side(dim, 44, 28) for dim in tensor.shape) == seen.shape, tensor.name
            assert tensor.type == seen.dtype.name


def test_int8_convolutions_are_told_and_their_weights_count_a_byte_each():
    bundle = find_model("edge-n")
    by_name = {layer.name: layer for layer in bundle.layers_of(bundle.graph("int8")).layers}
    down = by_name["/down_half/Conv"]
    assert down.precision == "int8"
    assert down.weight_bytes == 32 * 16 * 9 + 32 * 2 + 32 * 2  # weights, fp16 biases and scales
    assert by_name["/head/Conv"].precision == "fp16"
    assert by_name["/head/Conv"].weight_bytes == (16 * 3 * 9 + 16) * 2
    assert by_name["/Relu_output_0.int8"].op == "QuantizeLinear"
    assert by_name["/Relu_output_0.int8"].writes[0].type == "int8"
    assert "/down_half/Conv.weight" not in by_name  # done once, before any frame


def test_precision_is_that_of_what_is_written():
    told = Counter(layer.precision for layer in read(edge_like(half=True)))
    assert set(told) == {"fp16", "fp32"}
    assert [layer.precision for layer in read(nearest_x4())][-1] == "fp32"
    shuffled = find_model("edge-n").layers_of(find_model("edge-n").graph("int8-cpu")).layers[-1]
    assert (shuffled.op, shuffled.precision) == ("Transpose", "other")


def test_a_graph_of_one_size_has_numbers():
    dims = [dim for layer in read(edge_like(24, 32)) for one in layer.writes for dim in one.shape]
    assert all(isinstance(dim, int) for dim in dims)
    assert read(edge_like(24, 32))[-1].writes[0].shape == (1, 96, 128, 3)


def test_at_a_size_a_graph_of_free_size_has_numbers_too():
    assert read(edge_like(), size=(32, 24)) == read(edge_like(24, 32))


def test_a_state_has_the_sides_of_the_frame():
    before = read(with_the_frame_before())
    add = next(layer for layer in before if layer.op == "Add")
    assert [one.shape for one in add.reads] == [(1, 3, "H", "W")] * 2


def test_a_transposed_convolution_counts_its_taps_for_each_input():
    """5x5 taps at stride 2 make 6.25 multiply-accumulates an output and channel."""
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[2] * 4)
    (layer,) = read(graph_of([node], {"w": np.zeros((3, 7, 5, 5), np.float32)}))
    assert (layer.macs_per_output, layer.macs_per_input) == (0, 7 * 25)
    assert sized(layer, 1, 1).macs == 3 * 8 * 12 * 7 * 25
    assert layer.name == "y"  # of a node without a name


def test_groups_divide_the_work():
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=3)
    (layer,) = read(graph_of([node], {"w": np.zeros((6, 1, 3, 3), np.float16)}, kind=HALF))
    assert sized(layer, 1, 1).macs == 6 * 6 * 10 * 9
    assert (layer.precision, layer.weight_bytes) == ("fp16", 6 * 9 * 2)


@pytest.mark.parametrize(("turned", "depth"), [(0, 12), (1, 8)])
def test_a_matrix_product_counts_its_depth(turned, depth):
    node = helper.make_node("Gemm", ["x", "b"], ["y"], transA=turned)
    (layer,) = read(graph_of([node], {"b": np.zeros((depth, 5), np.float32)}, (8, 12)))
    assert layer.macs_per_output == depth
    product = helper.make_node("MatMul", ["x", "b"], ["y"])
    (layer,) = read(graph_of([product], {"b": np.zeros((12, 5), np.float32)}))
    assert sized(layer, 1, 1).macs == 3 * 8 * 12 * 5


def test_what_does_not_change_with_the_frame_is_no_layer():
    nodes = [
        helper.make_node("Shape", ["x"], ["sides"]),
        helper.make_node("Gather", ["sides", "third"], ["rows"]),
        helper.make_node("Add", ["a", "a"], ["twice"]),
        helper.make_node("Mul", ["x", "twice"], ["product"]),
        helper.make_node("Concat", ["product", "product"], ["wide"], axis=1),
        helper.make_node("Identity", ["wide"], ["y"]),
    ]
    constants = {"third": np.array(2), "a": np.zeros((3, 1, 1), np.float32)}
    layers = read(graph_of(nodes, constants))
    assert [layer.op for layer in layers] == ["Mul", "Concat", "Identity"]
    assert layers[0].weight_bytes == 3 * 4  # as it is read, not as it was made
    assert len(layers[1].reads) == 1  # read once, wherever it goes


def test_shapes_that_cannot_be_found_are_said():
    with pytest.raises(BundleError, match="the shape of 'y' in the graph cannot be found"):
        read(float_contract())


def test_a_side_that_depends_on_both_of_the_frame_is_said():
    flat = helper.make_node("Flatten", ["x"], ["y"])
    content = graph_of([flat], {}, (1, "rows", "columns", 3))
    with pytest.raises(BundleError, match="a side of 'y' in the graph is 946176, 798720, 3969024"):
        read(content)


def test_a_type_that_has_no_size_here_is_said():
    narrow = helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.BFLOAT16)
    back = helper.make_node("Cast", ["narrow"], ["y"], to=FULL)
    with pytest.raises(BundleError, match="'narrow' in the graph is of ONNX type 16"):
        read(graph_of([narrow, back], {}))


def test_a_graph_that_cannot_be_read_is_left_out():
    assert len(parse_layers(file_of(edge_like(), float_contract()))) == 1


def test_a_bundle_ships_its_layers():
    for name in SHIPPED:
        bundle = Bundle.load(Path(find_model(name).path))
        assert all(bundle.certified(graph) for graph in bundle.graphs)
        assert all(bundle.layers_of(graph).layers for graph in bundle.graphs)
