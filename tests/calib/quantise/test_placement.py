"""Which convolutions may be INT8, which are, and the plan as a file."""

import json

import onnx
import pytest

from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.placement import (
    default_plan,
    layers_of,
    plan_as_json,
    plan_of,
    read_plan,
)
from crispstream.core.errors import UsageError
from crispstream.runtime.engine.models import find_model
from tests.helpers.graphs import edge_like, float_contract, small_net

VIEW = GraphView(edge_like())


def named(onnx_bytes):
    """The graph with a name for each node."""
    model = onnx.load_model_from_string(onnx_bytes)
    for number, node in enumerate(model.graph.node):
        node.name = f"/{number}/{node.op_type}"
    return model.SerializeToString()


def test_roles_in_order_of_execution():
    assert [(layer.name, layer.role) for layer in layers_of(VIEW)] == [
        ("/head/Conv", "first"),
        ("/a/Conv", "usual"),
        ("/b/Conv", "usual"),
        ("/c/Conv", "usual"),
        ("/up/Conv", "gate"),
        ("/gate/Conv", "gate"),
        ("/tail/Conv", "last"),
    ]


def test_fp16_graphs_have_the_same_layers():
    half = layers_of(GraphView(edge_like(half=True)))
    assert [(one.name, one.role) for one in half] == [(o.name, o.role) for o in layers_of(VIEW)]


def test_inputs_are_tensors_of_the_graph():
    assert {layer.name: layer.input for layer in layers_of(VIEW)} == {
        "/head/Conv": "levels",
        "/a/Conv": "wide",
        "/b/Conv": "a_active",
        "/c/Conv": "b_active",
        "/up/Conv": "sum",
        "/gate/Conv": "sum",
        "/tail/Conv": "whole",
    }


def test_the_shipped_network_keeps_its_ends_and_gates_in_floating_point():
    bundle = find_model("edge-n")
    layers = layers_of(GraphView(bundle.graph_bytes(bundle.graph("fp32"))))
    kept = {layer.name: layer.role for layer in layers if layer.role != "usual"}
    assert kept == {
        "/head/Conv": "first",
        "/up/Conv": "gate",
        "/gate/Conv": "gate",
        "/tail/Conv": "last",
    }
    assert len(layers) == 10  # without the interpolated base


def test_the_default_quantises_the_usual_ones_in_both_flavours():
    plan = default_plan(VIEW)
    usual = ("/a/Conv", "/b/Conv", "/c/Conv")
    assert plan.chosen == {"int8": usual, "int8-cpu": usual}
    assert len(plan.layers) == 7


def test_a_graph_without_a_usual_layer_is_refused():
    with pytest.raises(UsageError, match="no convolution between its first and its last"):
        default_plan(GraphView(named(small_net())))


def test_nodes_without_names_are_not_mixed_up():
    with pytest.raises(UsageError):  # a first, a last and a base, whatever they are called
        default_plan(GraphView(small_net()))


def with_frames_of(shape):
    model = onnx.load_model_from_string(edge_like())
    dims = model.graph.input[0].type.tensor_type.shape.dim
    del dims[:]
    for side in shape:
        dims.add(**{"dim_value" if isinstance(side, int) else "dim_param": side})
    return model.SerializeToString()


@pytest.mark.parametrize("shape", [(2, "h", "w", 3), ("n", "h", "w", 3), ("h", "w", 3)])
def test_other_batches_than_one_are_refused(shape):
    with pytest.raises(UsageError, match=r"takes frames of shape .* expected \[1, H, W, 3\]"):
        GraphView(with_frames_of(shape))


def test_other_inputs_than_the_frame_are_refused():
    with pytest.raises(UsageError, match=r"inputs are \['x'\], expected 'frame' and"):
        GraphView(float_contract())


def write_plan(folder, **flavours):
    content = plan_as_json(default_plan(VIEW))
    content["graphs"] = {name.replace("_", "-"): {"layers": n} for name, n in flavours.items()}
    (folder / "plan.json").write_text(json.dumps(content))
    return folder / "plan.json"


def test_the_file_brings_the_plan_back(tmp_path):
    chosen = {"int8": ["/tail/Conv", "/a/Conv"], "int8-cpu": ["/b/Conv"]}
    plan = plan_of(layers_of(VIEW), chosen)
    assert plan.chosen == {"int8": ("/a/Conv", "/tail/Conv"), "int8-cpu": ("/b/Conv",)}
    (tmp_path / "plan.json").write_text(json.dumps(plan_as_json(plan)))
    assert read_plan(tmp_path / "plan.json", VIEW) == plan


def test_the_file_lists_layers_with_their_inputs():
    content = plan_as_json(default_plan(VIEW))
    assert (content["schema"], content["kind"]) == (1, "quantisation plan")
    assert content["graphs"]["int8"]["layers"] == ["/a/Conv", "/b/Conv", "/c/Conv"]
    assert content["layers"]["/tail/Conv"] == {"input": "whole"}


@pytest.mark.parametrize(
    "graphs", [{}, {"int8": ["/a/Conv"]}, {"int8": [], "int8_cpu": ["/a/Conv"]}]
)
def test_a_graph_without_any_layer_is_refused(tmp_path, graphs):
    with pytest.raises(UsageError, match=r"has no layer for int8"):
        read_plan(write_plan(tmp_path, **graphs), VIEW)


def test_the_plan_of_another_network_is_refused(tmp_path):
    content = plan_as_json(default_plan(VIEW))
    content["layers"]["/more/Conv"] = {"input": "x"}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="is the plan of another network"):
        read_plan(tmp_path / "plan.json", VIEW)


def test_unknown_layers_name_the_closest(tmp_path):
    with pytest.raises(UsageError) as caught:
        read_plan(write_plan(tmp_path, int8=["/a/Conv"], int8_cpu=["/gat/Conv"]), VIEW)
    text = str(caught.value)
    assert "names a layer '/gat/Conv' that the graph does not have" in text
    assert "did you mean '/gate/Conv'?" in text
    assert "its layers are /head/Conv, /a/Conv" in text


def test_the_interpolated_base_cannot_be_planned(tmp_path):
    with pytest.raises(UsageError, match="'/base/Conv' that the graph does not have"):
        read_plan(write_plan(tmp_path, int8=["/base/Conv"]), VIEW)


def test_unknown_flavours_are_refused(tmp_path):
    with pytest.raises(UsageError, match="plans a graph 'int4'; expected int8 and int8-cpu"):
        read_plan(write_plan(tmp_path, int4=["/a/Conv"]), VIEW)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ('{"kind": "ranges", "schema": 1}', "is not a file of the kind 'quantisation plan'"),
        ('{"kind": "quantisation plan", "schema": 9}', "has schema 9"),
        ('{"kind": "quantisation plan", "schema": 1}', "is no quantisation plan"),
        ('{"kind": "quantisation plan", "schema": 1, "graphs": []}', "is no quantisation plan"),
        (
            '{"kind": "quantisation plan", "schema": 1, "graphs": {"int8": []}}',
            "is no quantisation plan",
        ),
    ],
)
def test_files_that_are_no_plan(tmp_path, text, words):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UsageError, match=words):
        read_plan(tmp_path / "plan.json", VIEW)


def test_a_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be read .*calibration/plan\.json"):
        read_plan(tmp_path / "plan.json", VIEW)
