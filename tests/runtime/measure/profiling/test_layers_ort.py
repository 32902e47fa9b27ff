"""Operators of ONNX Runtime: parsed, joined to the shipped graphs, timed in turns."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.errors import EngineError
from crispstream.core.graph_layers import layers_file
from crispstream.core.layers import sized
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.measure.profiling import layers_ort
from crispstream.runtime.measure.profiling.layers_ort import (
    Operator,
    claims_of,
    operators,
    profile_onnxruntime,
)
from crispstream.runtime.measure.profiling.record import LayerProfile
from crispstream.runtime.measure.profiling.turns import Limits
from tests.helpers.bundles import write_recurrent_bundle, write_tiny_bundle
from tests.helpers.graphs import small_net

WIDTH, HEIGHT = 64, 48
ADDED = {"ReorderInput", "ReorderOutput", "Reshape", "Transpose", "QuantizeLinear",
         "DequantizeLinear", "Cast"}  # fmt: skip


def profile(bundle: Bundle, graph: Graph, rounds: int = 2) -> LayerProfile:
    frames = [np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in (30, 200)]
    return profile_onnxruntime(bundle, graph, 1, (WIDTH, HEIGHT), frames, rounds)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-cpu"])
@pytest.mark.parametrize("name", ["edge-n", "edge-s"])
def test_every_node_and_all_work_of_the_shipped_graphs_is_in_one_layer(
    name: str, precision: str
) -> None:
    bundle = find_model(name)
    graph = bundle.graph(precision)
    nodes = bundle.layers_of(graph).layers

    found = profile(bundle, graph)

    joined = [node for layer in found.layers for node in layer.nodes]
    assert sorted(joined) == sorted(node.name for node in nodes)
    assert sum(layer.macs for layer in found.layers) == sum(
        sized(node, WIDTH, HEIGHT).macs for node in nodes
    )
    assert {layer.op for layer in found.layers if not layer.nodes} <= ADDED
    convolutions = [layer for layer in found.layers if "Conv" in layer.op]
    assert all(layer.macs and layer.bytes and layer.shape[0] == 1 for layer in convolutions)
    assert sum(layer.share for layer in found.layers) == pytest.approx(1)


def test_quantised_convolutions_are_told_from_others() -> None:
    bundle = find_model("edge-s")
    found = profile(bundle, bundle.graph("int8-cpu"))
    told = {layer.op: layer.precision for layer in found.layers}
    assert (told["QLinearConv"], told["Resize"], told["DepthToSpace"]) == ("int8", "fp32", "other")
    quantised = next(layer for layer in found.layers if "/down_half/Conv" in layer.nodes)
    assert set(quantised.nodes) >= {"/down_half/Conv", "/Relu_1", "/Relu_1_output_0.uint8"}


def test_each_layer_is_timed_in_each_round() -> None:
    bundle = find_model("edge-n")
    found = profile(bundle, bundle.graph("fp32"), rounds=3)
    assert {layer.spread.count for layer in found.layers} == {found.frames} == {3}
    assert found.engine_ms > 0 < found.plain_ms
    assert found.layers_ms > 0


def test_frames_are_bounded_by_what_the_profiler_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = find_model("edge-n")
    nodes = len(bundle.layers_of(bundle.graph("fp32")).layers)
    monkeypatch.setattr(layers_ort, "MOST_EVENTS", 2 * nodes)
    assert profile(bundle, bundle.graph("fp32"), rounds=50).frames == 2


def test_a_stop_ends_it_with_the_frames_there_are() -> None:
    bundle, stop = find_model("edge-n"), threading.Event()
    frames = [np.full((HEIGHT, WIDTH, 3), 30, np.uint8)]
    limits = Limits(stop, 0.0)  # the first round that counts is made all the same

    found = profile_onnxruntime(
        bundle, bundle.graph("fp32"), 1, (WIDTH, HEIGHT), frames, 50, limits
    )
    assert found.frames == 1

    stop.set()
    with pytest.raises(EngineError, match="stopped before the first frame"):
        profile_onnxruntime(bundle, bundle.graph("fp32"), 1, (WIDTH, HEIGHT), frames, 50, limits)


def test_nothing_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    bundle = find_model("edge-n")
    profile(bundle, bundle.graph("fp32"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("half", [False, True])
def test_nodes_without_names_are_joined_by_their_place(half: bool, tmp_path: Path) -> None:
    bundle = with_layers(write_tiny_bundle(tmp_path / "tiny", {"fp32": small_net(half=half)}))
    found = profile(bundle, bundle.graphs[0])
    by_op = {layer.op: layer.nodes for layer in found.layers if layer.nodes}
    assert by_op["DepthToSpace"] == ("large",)
    assert by_op["Clip"] == ("clipped",)
    joined = [node for layer in found.layers for node in layer.nodes]
    assert len(joined) == len(set(joined)) == len(bundle.layers_of(bundle.graphs[0]).layers)


def test_a_recurrent_network_is_profiled_too(tmp_path: Path) -> None:
    bundle = with_layers(write_recurrent_bundle(tmp_path / "recurrent"))
    found = profile(bundle, bundle.graphs[0])
    assert "Resize" in {layer.op for layer in found.layers}


def with_layers(bundle: Bundle) -> Any:
    """Return a bundle that has its layers read, whatever it was written with."""
    layers = layers_file(
        [bundle.graph_bytes(graph) for graph in bundle.graphs],
        onnx.load_model_from_string,
        onnx.shape_inference.infer_shapes,
    )
    return WithLayers(bundle, layers)


class WithLayers:
    """A bundle with layers at hand."""

    def __init__(self, bundle: Bundle, layers: bytes) -> None:
        from crispstream.core.layers import parse_layers

        self._bundle, self._layers = bundle, parse_layers(layers)

    def layers_of(self, graph: Graph) -> Any:
        return self._layers[graph.sha256]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bundle, name)


def event(name: str, op: str, dur: int, **args: Any) -> dict[str, Any]:
    told = {"op_name": op, "provider": "CPUExecutionProvider", **args}
    return {"cat": "Node", "ph": "X", "name": f"{name}_kernel_time", "dur": dur, "args": told}


FRAME = {"cat": "Session", "ph": "X", "name": "model_run", "dur": 99, "args": {}}
LOADING = {"cat": "Session", "ph": "X", "name": "session_initialization", "dur": 5, "args": {}}


def test_events_are_read_frame_by_frame() -> None:
    told = {
        "input_type_shape": [{"uint8": [1, 6, 8, 4]}, {"float": []}],
        "output_type_shape": [{"uint8": [1, 6, 8, 16]}],
        "activation_size": "192",
        "output_size": "768",
    }
    conv = event("up", "QLinearConv", 12, **told)
    frames = list(operators([LOADING, conv, FRAME, conv, event("add", "Add", 3), FRAME]))
    assert frames[0] == [Operator("up", "QLinearConv", "int8", (1, 6, 8, 16), 960, 12_000)]
    assert [one.name for one in frames[1]] == ["up", "add"]


def test_a_reshape_moves_nothing() -> None:
    view = event("Reshape_token_3", "Reshape", 2, activation_size="99", output_size="99")
    (frame,) = operators([view, FRAME])
    assert frame[0].moved_bytes == 0


def test_names_tell_what_was_added_and_what_is_a_node() -> None:
    layers = find_model("edge-s").layers_of(find_model("edge-s").graph("fp32")).layers
    names = {
        "/Cast": "Cast",
        "Transpose": "Transpose",
        "ReorderOutput_token_3": "ReorderOutput",
        "InsertedPrecisionFreeCast_/Relu_output_0": "Cast",
        "/Relu_output_0_nchwc": "Conv",
        "/up/Conv_token_42": "QLinearConv",
    }
    claims = claims_of([Operator(name, op, "", (), 0, 0) for name, op in names.items()], layers)
    assert [claim.is_added for claim in claims] == [False, True, True, True, False, False]
    assert [claim.sure + claim.likely for claim in claims] == [
        ("/Cast",), (), (), (), ("/Relu",), ("/up/Conv",)
    ]  # fmt: skip
