"""Changing a graph: order of execution, and nothing left over."""

import numpy as np
import onnx
import onnxruntime
import pytest

from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.rewrite import Rewriter
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture


@pytest.fixture
def rewriter():
    return Rewriter(GraphView(edge_like()))


def finished(rewriter):
    return GraphView(rewriter.finish())


def restored(onnx_bytes):
    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    return session.run(["restored"], {"frame": soft_picture(0, 8, 12)[None]})[0]


def test_without_changes_nothing_changes(rewriter):
    before = GraphView(edge_like())
    after = finished(rewriter)
    assert [node.name for node in after.nodes] == [node.name for node in before.nodes]
    assert set(after.constants) <= set(before.constants)
    assert np.array_equal(restored(rewriter.finish()), restored(edge_like()))


def test_a_new_node_comes_before_its_reader_and_after_its_maker(rewriter):
    rewriter.node("/b/Conv").input[0] = rewriter.add("Neg", ["a_active"], "turned")
    names = [node.name for node in finished(rewriter).nodes]
    assert names.index("/a/Relu") < names.index("turned") < names.index("/b/Conv")
    assert rewriter.made == {"turned"}


def test_the_original_is_left_alone():
    view = GraphView(edge_like())
    rewriter = Rewriter(view)
    rewriter.node("/b/Conv").input[0] = rewriter.add("Neg", ["a_active"], "turned")
    rewriter.finish()
    assert view.model.SerializeToString() == edge_like()


def test_what_is_no_longer_read_is_dropped(rewriter):
    rewriter.node("/Add_1").input[1] = "wide"  # the gate's product has no reader now
    after = finished(rewriter)
    names = {node.name for node in after.nodes}
    assert not names & {"/up/Conv", "/gate/Conv", "/Sigmoid", "/Mul_1", "/Add", "/a/Conv"}
    assert {"/head/Conv", "/tail/Conv"} <= names
    assert not {"gate_w", "a_b", "one_over_255"} & set(after.constants)


def test_a_new_node_that_nothing_reads_is_dropped(rewriter):
    rewriter.constant("unread", np.ones(3, np.float32))
    rewriter.add("Neg", ["wide"], "turned")
    after = finished(rewriter)
    assert "turned" not in {node.name for node in after.nodes}
    assert "unread" not in after.constants


def test_a_constant_is_added_once(rewriter):
    for _ in range(2):
        assert rewriter.constant("two", np.array(2, np.float32)) == "two"
    rewriter.node("/b/Conv").input[0] = rewriter.add("Mul", ["a_active", "two"], "twice")
    initializers = [tensor.name for tensor in finished(rewriter).model.graph.initializer]
    assert initializers.count("two") == 1


def test_scalars_stay_scalars_and_axes_are_kept(rewriter):
    parts = [
        rewriter.constant("w_int8", np.ones((16, 16, 3, 3), np.int8)),
        rewriter.constant("w_scale", np.ones(16, np.float32)),
    ]
    rewriter.node("/b/Conv").input[1] = rewriter.add("DequantizeLinear", parts, "w", axis=0)
    two = rewriter.constant("two", np.array(2, np.float32))
    rewriter.node("/b/Conv").input[0] = rewriter.add("Mul", ["a_active", two], "twice")
    after = finished(rewriter)
    assert after.constants["two"].shape == ()
    assert onnx.helper.get_node_attr_value(after.producer("w"), "axis") == 0


def test_loops_are_named(rewriter):
    rewriter.node("/a/Conv").input[0] = "sum"
    with pytest.raises(ValueError, match="loop at /a/Conv"):
        rewriter.finish()


def test_invalid_graphs_are_not_given_out(rewriter):
    rewriter.node("/b/Conv").input[0] = "frame"  # bytes, where weights are floats
    with pytest.raises(onnx.shape_inference.InferenceError):
        rewriter.finish()
