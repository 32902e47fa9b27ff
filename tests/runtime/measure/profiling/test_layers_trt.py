"""Layers of TensorRT: what names and the inspector tell, and times on a fake GPU."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from crispstream.core.clock import monotonic_ns
from crispstream.core.errors import EngineError
from crispstream.core.layers import GraphLayers, Layer, Tensor
from crispstream.core.sizes import SizeRange
from crispstream.runtime.measure.profiling.layers_trt import (
    NAMES_ONLY,
    claim_of,
    infos_of,
    profile_backends,
)
from crispstream.runtime.measure.profiling.record import LayerProfile
from tests.helpers.fakes.fake_context import LAYER_MS
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import plan_of
from tests.helpers.fakes.rig import HEIGHT, STATES, WIDTH, Rig, frames_of

NODES = ("/Cast", "/a/Conv", "/a/Relu", "/x/Sigmoid", "/y/Mul", "/b/Conv")


def node(name: str, reads: str, writes: str, macs: int) -> Layer:
    tensors = [Tensor(each, (1, 8, "H", "W"), "float16") for each in (reads, writes)]
    return Layer(name, name.split("/")[-1], "fp16", macs, (tensors[0],), (tensors[1],), 100)


GRAPH = GraphLayers(
    "", tuple(node(n, f"t{i}", f"t{i + 1}", 9 * n.endswith("Conv")) for i, n in enumerate(NODES))
)


def tensor(name: str, sides: list[int], kind: str = "Half") -> dict[str, Any]:
    return {"Name": name, "Dimensions": sides, "Format/Datatype": kind}


SIDES = [1, 8, HEIGHT, WIDTH]
LAYERS = (
    {
        "Name": "Reformatting CopyNode for Input Tensor 0 to /a/Conv + /a/Relu",
        "LayerType": "Reformat",
        "Inputs": [tensor("frame", SIDES, "Row major linear UInt8 format")],
        "Outputs": [tensor("t", SIDES, "Channel major FP16 format where channel % 8 == 0")],
        "Metadata": "[ONNX Layer: /a/Conv]",
    },
    {
        "Name": "/a/Conv + /a/Relu",
        "LayerType": "CaskConvolution",
        "Inputs": [tensor("t", SIDES)],
        "Outputs": [tensor("u", SIDES)],
        "Metadata": "[ONNX Layer: /Cast]\x1e[ONNX Layer: /a/Conv]\x1f[ONNX Layer: /a/Relu]",
    },
    {
        "Name": "__myl_SigMul_myl0_1",
        "LayerType": "kgen",
        "Inputs": [tensor("u", SIDES)],
        "Outputs": [tensor("v", SIDES, "Int8")],
        "Metadata": "[ONNX Layer: /x/Sigmoid][ONNX Layer: /y/Mul]",
    },
    {
        "Name": "/b/Conv_myl0_2",
        "LayerType": "correlation",
        "Inputs": [{"Name": "v", "Dimensions": SIDES, "Datatype": "Int8", "Format": "NHWC"}],
        "Outputs": [tensor("w", [1, 48, HEIGHT, WIDTH])],
        "Metadata": "[ONNX Layer: /b/Conv]",
    },
)


@pytest.fixture
def gpu() -> Iterator[FakeGpu]:
    gpu = FakeGpu()
    yield gpu
    gpu.check_clean()


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu) -> Rig:
    return Rig(monkeypatch, gpu, flavour=request.param)


def profile(rig: Rig, layers: tuple[Any, ...], states: tuple[Any, ...] = ()) -> LayerProfile:
    plan = plan_of(SizeRange.only((WIDTH, HEIGHT)), states=states, flavour=rig.flavour)
    rig.plan = replace(plan, layers=layers)
    backend = rig.backend(states=states, cuda_graph=False)
    with closing(backend) as plain, closing(plain.twin()) as timed:
        return profile_backends(plain, timed, GRAPH, (WIDTH, HEIGHT), frames_of(2), 5, monotonic_ns)


def test_layers_are_timed_and_joined_by_their_metadata(rig: Rig) -> None:
    found = profile(rig, LAYERS)
    reformat, first, pointwise, last = found.layers
    assert reformat.nodes == ()
    assert first.nodes == ("/Cast", "/a/Conv", "/a/Relu")
    assert (pointwise.nodes, last.nodes) == (("/x/Sigmoid", "/y/Mul"), ("/b/Conv",))
    assert [layer.precision for layer in found.layers] == ["other", "fp16", "fp16", "int8"]
    assert last.shape == (1, 48, HEIGHT, WIDTH)
    assert last.bytes == (8 + 2 * 48) * HEIGHT * WIDTH + 100
    assert sum(layer.macs for layer in found.layers) == 2 * 9 * 8 * HEIGHT * WIDTH
    assert {layer.spread.count for layer in found.layers} == {found.frames} == {5}
    assert found.layers_ms == pytest.approx(4 * LAYER_MS)
    assert found.how == f"{rig.flavour}'s IProfiler, without CUDA graphs"
    assert found.engine_ms > 0 < found.plain_ms
    assert len(rig.asked_for) == 1  # the engine is there once


def test_an_engine_that_tells_names_only_is_joined_by_them_and_says_so(rig: Rig) -> None:
    found = profile(rig, tuple(layer["Name"] for layer in LAYERS))
    assert found.how.endswith(NAMES_ONLY)
    assert "/a/Conv" in found.layers[1].nodes
    assert found.layers[2].nodes == ("/x/Sigmoid", "/y/Mul")
    assert (found.layers[3].precision, found.layers[3].shape) == ("", ())
    assert found.layers[3].bytes == 2 * 2 * 8 * HEIGHT * WIDTH + 100


def test_the_layers_of_a_recurrent_network_are_timed(rig: Rig) -> None:
    assert len(profile(rig, LAYERS, STATES).layers) == len(LAYERS)


def test_an_engine_that_reports_nothing_is_an_error(rig: Rig) -> None:
    with pytest.raises(EngineError, match="timed no layers; build the engine again"):
        profile(rig, ())


def test_layers_of_one_name_are_added_up(rig: Rig) -> None:
    found = profile(rig, (*LAYERS, LAYERS[3]))
    assert len(found.layers) == len(LAYERS)
    assert found.layers[3].spread.mean_ms == pytest.approx(2 * LAYER_MS)


@pytest.mark.parametrize(
    ("name", "sure"),
    [
        ("/a/Conv + /a/Relu", ("/a/Conv", "/a/Relu")),
        ("/a/Conv\x1e/a/Relu", ("/a/Conv", "/a/Relu")),
        ("a.weight + /a/Conv + PWN(/a/Relu)", ("/a/Conv", "/a/Relu")),
        ("PWN(PWN(/x/Sigmoid), /y/Mul)", ("/x/Sigmoid", "/y/Mul")),
        ("/b/Conv [profile 1]_myl1_11", ("/b/Conv",)),
        ("/b/Conv_myl0_4", ("/b/Conv",)),
        ("/Cast_clone_1", ("/Cast",)),
        ("__myl_ResiAdd_myl0_12", ()),
    ],
)
def test_nodes_are_found_in_names(name: str, sure: tuple[str, ...]) -> None:
    claim = claim_of(name, {}, NODES)
    assert (claim.sure, claim.likely, claim.is_added) == (sure, (), False)


@pytest.mark.parametrize(
    "name",
    [
        "Reformatting CopyNode for Output Tensor 0 to /b/Conv",
        "[trainStation1]",
        "__mye4243_myl0_26",
        "/Concat_/Resize_output_0_clone_0 copy",
    ],
)
def test_what_the_library_added_is_seen_by_its_name(name: str) -> None:
    assert claim_of(name, {}, NODES).is_added


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("{ForeignNode[/a/Relu.../y/Mul]}", ("/a/Relu", "/x/Sigmoid", "/y/Mul")),
        ("{ForeignNode[a.constant.../y/Mul]}", ("/y/Mul",)),
        ("{ForeignNode[/x/Sigmoid...output]}", ("/x/Sigmoid",)),
    ],
)
def test_a_foreign_node_is_all_from_its_first_to_its_last(
    name: str, nodes: tuple[str, ...]
) -> None:
    assert claim_of(name, {}, NODES).likely == nodes


@pytest.mark.parametrize("told", ["", "None", "[]", "{}", '{"Layers": null}', '{"Layers": [3]}'])
def test_what_the_inspector_does_not_tell_is_done_without(told: str) -> None:
    assert infos_of(told) == ({}, False)


def test_sizes_that_are_not_known_yet_are_left_to_the_graph(rig: Rig) -> None:
    unknown = tensor("v", [-1, 8, -1, -1], "N/A due to dynamic shapes")
    found = profile(rig, ({**LAYERS[3], "Inputs": [unknown], "Outputs": [unknown]},))
    assert (found.layers[0].shape, found.layers[0].precision) == ((), "")
    assert found.layers[0].nodes == NODES
    assert found.layers[0].bytes == 2 * 2 * 8 * HEIGHT * WIDTH + 6 * 100
