"""Plan and ranges as training reads them: names become modules, mistakes are told."""

import copy
import json

import onnx
import pytest
import torch
from torch import nn

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.int8 import module_path
from crispstream.export.graph import onnx_from_network
from crispstream.export.static import onnx_from_static, shape_of, static_graph
from crispstream.train.models.registry import build_network
from crispstream.train.placement import Range, placement_for, read_placement
from crispstream.train.recipes.registry import build_recipe
from tests.helpers.calibration import plan_of, ranges_of, write_calibration

BOTTOM, DECODE, HEAD = "/bottom/bottom.0/Conv", "/decode/decode.0/Conv", "/head/Conv"
PLAN = plan_of(int8=[BOTTOM, DECODE], int8_cpu=[DECODE])


@pytest.fixture
def folder(tmp_path):
    return write_calibration(tmp_path / "calibration", PLAN, ranges_of(PLAN))


def convolutions(onnx_bytes):
    """Names of the convolutions with weights of their own, and the shapes of those."""
    graph = onnx.load_model_from_string(onnx_bytes).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in shapes]
    return {node.name: shapes[node.input[1]] for node in nodes}


@pytest.mark.parametrize(
    ("node", "path"),
    [
        ("/head/Conv", "head"),
        ("/bottom/bottom.2/Conv", "bottom.2"),
        ("/a/b/b.0/c/Conv", "a.b.0.c"),
        ("/subnetworks.0/cross.1/near/near.0/near.0.0/Conv", "subnetworks.0.cross.1.near.0.0"),
        ("/Conv", ""),
    ],
)
def test_a_node_is_named_by_the_path_of_its_module(node, path):
    assert module_path(node) == path


def test_the_names_of_an_exported_graph_are_found(tmp_path):
    network = build_network("edge-n").eval()
    nodes = convolutions(onnx_from_network(network, "fp32"))
    del nodes["/Conv"]  # the interpolated base: no layer of the network
    plan = plan_of(int8=list(nodes))
    placed = read_placement(
        write_calibration(tmp_path, plan, ranges_of(plan)), "int8", "edge-n"
    ).ranges
    layers = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    assert set(placed) == layers - {"deblur"}  # which serves training alone
    for node, shape in nodes.items():
        assert network.get_submodule(module_path(node)).weight.shape == shape


def test_the_names_of_a_graph_of_one_size_are_found(tmp_path):
    network = build_network("srresnet-w16").eval()
    graph = static_graph(network, shape_of(network, 16, 16), "fp32")
    nodes = convolutions(onnx_from_static(graph, [torch.zeros(1, 16, 16, 3, dtype=torch.uint8)]))
    plan = plan_of(int8_cpu=list(nodes))
    placement = read_placement(
        write_calibration(tmp_path, plan, ranges_of(plan)), "int8-cpu", "srresnet-w16"
    )
    assert len(placement.ranges) == len(nodes) == 38
    for node, shape in nodes.items():
        path = module_path(node).removeprefix("network.")
        assert network.get_submodule(path).weight.shape == shape
        assert path in placement.ranges


def test_each_flavour_has_its_own_layers(folder):
    assert set(read_placement(folder, "int8", "edge-n").ranges) == {"bottom.0", "decode.0"}
    assert set(read_placement(folder, "int8-cpu", "edge-n").ranges) == {"decode.0"}


def test_the_first_layer_of_an_edge_network_is_measured_in_grey_levels(tmp_path):
    plan = plan_of(int8=[HEAD, BOTTOM])
    levels = ranges_of(plan, {HEAD: (0.0, 255.0), BOTTOM: (0.0, 255.0)})
    placed = read_placement(write_calibration(tmp_path, plan, levels), "int8", "edge-n").ranges
    assert placed == {"head": Range(1.0, 0.0, 1.0), "bottom.0": Range(255.0, 0.0, 255.0)}
    shares = ranges_of(plan, {HEAD: (0.0, 1.0)})
    placed = read_placement(write_calibration(tmp_path, plan, shares), "int8", "edge-n").ranges
    assert placed["head"] == Range(1.0, 0.0, 1.0)


def test_a_grid_of_bytes_holds_zero_exactly_whatever_was_measured():
    assert Range(3.0, 1.0, 3.0).grid("int8-cpu").zero_point == 0
    below = Range(3.0, -3.0, -1.0).grid("int8-cpu")
    assert (below.zero_point, below.scale) == (255, pytest.approx(3 / 255))


def test_what_is_written_is_the_same_but_for_the_graph_and_the_method(folder, tmp_path):
    read_placement(folder, "int8", "edge-n").write(tmp_path)
    assert json.loads((tmp_path / "plan.json").read_text()) == PLAN
    ranges = ranges_of(PLAN)
    assert json.loads((tmp_path / "ranges.json").read_text()) == {
        **ranges,
        "graph_sha256": None,
        "method": "qat from mse",
    }
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match=r"cannot write plan and ranges.*--resume"):
        read_placement(folder, "int8", "edge-n").write(tmp_path / "file" / "below")


def without(content, *keys):
    """A copy of JSON content that lacks what the keys lead to."""
    changed = copy.deepcopy(content)
    place = changed
    for key in keys[:-1]:
        place = place[key]
    del place[keys[-1]]
    return changed


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({}, "is no quantisation plan of schema 1"),
        ([], "is no quantisation plan"),
        ({**PLAN, "schema": 2}, "of schema 1"),
        (ranges_of(PLAN), "is no quantisation plan"),
        (without(PLAN, "graphs"), "does not list the layers"),
        (without(PLAN, "graphs", "int8", "layers"), "does not list the layers"),
        (without(PLAN, "graphs", "int8"), r"no layer in int8 \(graphs that have some: int8-cpu\)"),
        (plan_of(int8=[]), r"no layer in int8 \(graphs that have some: none\)"),
        (without(PLAN, "layers", DECODE), f"does not tell what '{DECODE}' reads"),
        (plan_of(int8=["/botom/botom.0/Conv"]), r"did you mean 'bottom.0'\?.*bundle of 'edge-n'"),
        (plan_of(int8=["/Conv"]), "is no convolution of 'edge-n'"),
        (plan_of(int8=["/bottom/bottom.1/Relu"]), "is no convolution"),
        (plan_of(int8=["/head/Conv_1"]), "is no convolution"),
        (plan_of(int8=[DECODE, DECODE]), "names '/decode/decode.0/Conv' twice"),
    ],
)
def test_plans_that_cannot_be_followed(tmp_path, plan, said):
    ranges = ranges_of(plan if isinstance(plan, dict) and "layers" in plan else PLAN)
    folder = write_calibration(tmp_path, plan, ranges)
    with pytest.raises(UsageError, match=said):
        read_placement(folder, "int8", "edge-n")


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        (PLAN, "is no ranges of schema 1"),
        (without(ranges_of(PLAN), "tensors"), f"no range of 'into {BOTTOM}'"),
        (without(ranges_of(PLAN), "tensors", f"into {DECODE}"), f"no range of 'into {DECODE}'"),
        (without(ranges_of(PLAN), "tensors", f"into {DECODE}", "amax"), "no range of"),
        (ranges_of(PLAN, {DECODE: (0.0, 0.0)}), "finite and not empty"),
        (ranges_of(PLAN, {DECODE: (0.0, float("nan"))}), "finite and not empty"),
        (ranges_of(PLAN, {DECODE: (0.0, float("inf"))}), "finite and not empty"),
    ],
)
def test_ranges_that_cannot_be_used(tmp_path, ranges, said):
    folder = write_calibration(tmp_path, PLAN, ranges)
    with pytest.raises(UsageError, match=said):
        read_placement(folder, "int8", "edge-n")


def test_files_that_are_missing_or_no_json_are_told(folder):
    (folder / "ranges.json").write_text("{")
    with pytest.raises(UsageError, match=r"ranges.json' cannot be read as JSON.*--calibration"):
        read_placement(folder, "int8", "edge-n")
    (folder / "plan.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"plan.json' cannot be read as JSON"):
        read_placement(folder, "int8", "edge-n")
    (folder / "plan.json").unlink()
    with pytest.raises(UsageError, match=r"plan.json' does not exist; give --calibration"):
        read_placement(folder, "int8", "edge-n")


def test_a_network_with_batch_norms_is_refused(folder):
    with pytest.raises(UsageError, match="'cmsc-fast' has batch norms"):
        read_placement(folder, "int8", "cmsc-fast")


def test_recipe_calibration_and_start_go_together(folder):
    qat = build_recipe("edge-n-qat-cpu")
    placement = placement_for(qat, folder, has_start=True)
    assert placement is not None
    assert placement.flavour == "int8-cpu"
    assert placement_for(build_recipe("edge-n"), None, has_start=False) is None
    with pytest.raises(UsageError, match="edge-n-qat, and this one trains in floating point"):
        placement_for(build_recipe("edge-n"), folder, has_start=True)
    with pytest.raises(UsageError, match="--calibration the folder"):
        placement_for(qat, None, has_start=True)
    with pytest.raises(UsageError, match=r"--from train/weights/edge-n.safetensors"):
        placement_for(qat, folder, has_start=False)
