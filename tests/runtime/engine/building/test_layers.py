"""The table of an engine's layers, as TensorRT-RTX 1.7 writes it into its log."""

import pytest

from crispstream.runtime.engine.building.layers import EngineLayer, convolution_types, layers_of

SHAPE = "Dimensions: [1,16,48,64], Strides: [49152,1,1024,16], StrideOrder: [3,0,2,1]"
HALF, INT8, FLOAT = (
    f"{SHAPE}, Datatype: {kind}, Format: (NHWC) Channel major format"
    for kind in ("Half", "Int8", "Float")
)
INTEGER = (
    f"Name: /a/Conv_myl0_3, LayerType: correlation, Inputs: [ {{ Name: __mye848a, {INT8} }}], "
    f"Constants: [ {{ Name: __mye1006, {FLOAT} }}], Outputs: [ {{ Name: __myln_k, {FLOAT} }}], "
    "TacticName: __myelin_CASK_STUB, StreamId: 0, "
    "Metadata: [ONNX Layer: /a/Conv][ONNX Layer: wide.dq][ONNX Layer: /a/Conv.weight]"
)
FUSED = (
    f"Name: __myl_CorrMulMax_myl0_5, LayerType: runtime_fusion, Inputs: [ {{ Name: x, {HALF} }}], "
    f"Constants: [ {{ Name: __mye1016, {HALF} }}], Outputs: [ {{ Name: sum.1_8, {HALF} }}], "
    "TacticName: , StreamId: 0, Metadata: [ONNX Layer: /b/LeakyRelu][ONNX Layer: /b/Conv]"
)
KERNEL = (
    f"Name: __myl_MulCastAddRelu_myl0_4, LayerType: kgen, Inputs: [ {{ Name: __myln, {FLOAT} }}], "
    f"Constants: [], Outputs: [ {{ Name: y, {INT8} }}], TacticName: __myl_MulCastAddRelu_0x4d, "
    "StreamId: 0, Metadata: [ONNX Layer: /a/Relu]"
)
NOTHING_READ = (
    "Name: zero, LayerType: constant, Inputs: [], Constants: [], "
    f"Outputs: [ {{ Name: y, {FLOAT} }}], Metadata: "
)


def test_rows_of_the_table_are_read():
    integer, fused, kernel, constant = layers_of([INTEGER, FUSED, KERNEL, NOTHING_READ])
    nodes = ("/a/Conv", "wide.dq", "/a/Conv.weight")
    assert integer == EngineLayer("/a/Conv_myl0_3", "correlation", "Int8", nodes)
    assert (fused.name, fused.kind) == ("__myl_CorrMulMax_myl0_5", "runtime_fusion")
    assert (fused.data_type, fused.onnx_nodes) == ("Half", ("/b/LeakyRelu", "/b/Conv"))
    assert (kernel.kind, kernel.data_type, kernel.onnx_nodes) == ("kgen", "Float", ("/a/Relu",))
    assert (constant.data_type, constant.onnx_nodes) == ("", ())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Layers:",
        "Name: x",
        "Bindings: frame restored",
        "[MemUsageChange] Name: no LayerType here",
        "prefix Name: x, LayerType: kgen, Inputs: []",
    ],
)
def test_other_lines_of_a_log_are_passed_over(line):
    assert layers_of([line, KERNEL, line]) == layers_of([KERNEL])


def test_a_log_without_a_table_has_no_layers():
    assert layers_of([]) == ()
    assert convolution_types(()) == {}


def test_convolutions_are_told_from_kernels_and_counted_by_what_they_read():
    layers = layers_of([FUSED, INTEGER, INTEGER, KERNEL, NOTHING_READ])
    assert [layer.is_convolution for layer in layers] == [True, True, True, False, False]
    counts = convolution_types(layers)
    assert counts == {"Int8": 2, "Half": 1}
    assert list(counts) == ["Int8", "Half"]


def test_of_several_profiles_the_convolutions_of_the_first_are_counted():
    rows = [row.replace("_myl0_", "_myl1_") for row in (INTEGER, FUSED, KERNEL)]
    second = [row.replace("/Conv_myl1", "/Conv [profile 1]_myl1") for row in rows]
    layers = layers_of([INTEGER, FUSED, KERNEL, *second])
    assert len(layers) == 6
    assert convolution_types(layers) == {"Int8": 1, "Half": 1}
