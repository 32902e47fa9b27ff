"""Plain ONNX of the networks that no bundle can hold, and of warps: module by module."""

import json

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from crispstream.core.errors import ExportError, UsageError
from crispstream.core.files import sha256_of
from crispstream.export import published
from crispstream.export.modules import has_warps, modules_alone, prove_modules
from crispstream.export.plain import export_plain
from crispstream.export.proof import prove, run_onnx, run_torch, session_of
from crispstream.export.published import feed_of, prove_network
from crispstream.export.static import deployed, onnx_from_static, shape_of, static_graph
from crispstream.train.checkpoint import Checkpoint
from crispstream.train.models.gia import Warp
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.recipe import Recipe
from tests.helpers.networks import settled
from tests.helpers.pictures import soft_picture

WORDS = {"name": "x", "licence": "MIT", "card": "# x\n", "frames": [("a", soft_picture(3, 20, 30))]}


def checkpoint_of(name):
    torch.manual_seed(0)
    network = settled(build_network(name), spread=0.8)
    return Checkpoint(Recipe(name, steps=1), dict(network.state_dict()), 3, ("a.png",))


def test_a_deblurring_network_becomes_a_folder_of_floats(tmp_path):
    checkpoint = checkpoint_of("predeblur-tiny")
    out = export_plain(checkpoint, tmp_path / "x", **WORDS, size=(24, 16))
    assert sorted(path.name for path in out.iterdir()) == [
        "CARD.md",
        "certificate.json",
        "fp16.onnx",
        "fp32.onnx",
    ]
    told = json.loads((out / "certificate.json").read_text())
    assert told["inputs"]["image"]["shape"] == [1, 3, 16, 24]
    assert told["outputs"]["lr"]["shape"] == [1, 3, 16, 24]
    for precision in ("fp32", "fp16"):
        data = (out / f"{precision}.onnx").read_bytes()
        onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
        assert told["graphs"][sha256_of(data)]["passed"]
        assert told["graphs"][sha256_of(data)]["precision"] == precision
    image = torch.rand(1, 3, 16, 24)
    ours = run_onnx(session_of((out / "fp32.onnx").read_bytes()), {"image": image.numpy()})
    with torch.inference_mode():
        assert np.allclose(ours["lr"], checkpoint.network()(image).lr.numpy(), atol=1e-5)
    with pytest.raises(UsageError, match="--overwrite"):
        export_plain(checkpoint, out, **WORDS, size=(24, 16))
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="is no export"):
        export_plain(checkpoint, tmp_path / "mine", **WORDS, overwrite=True)


@pytest.fixture
def unsimplified(monkeypatch):
    """One second less for each graph."""
    monkeypatch.setattr(published, "simplified", lambda data, fuse: None)


def test_a_conditioned_network_takes_its_maps_as_inputs(unsimplified):
    network = checkpoint_of("rrdb-sft-tiny").network()
    shape = shape_of(network, 20, 12)
    assert (shape.maps, shape.outputs) == (("sigma", "labels"), ("hr",))
    (proved,) = prove_network(network, shape, [soft_picture(3, 12, 20)], ["fp32"])
    graph = onnx.load_model_from_string(proved.data).graph
    assert [given.name for given in graph.input] == ["image", "sigma", "labels"]
    assert proved.proof.passed
    assert 0.01 < proved.proof.inner_share < 0.99
    assert proved.proof.bytes_largest is None
    assert proved.modules.relative_error < 1e-5


def test_a_map_that_nobody_can_make_is_said():
    shape = shape_of(checkpoint_of("rrdb-sft-tiny").network(), 20, 12)
    with pytest.raises(ExportError, match="a map 'depth'"):
        feed_of(type(shape)(20, 12, ("depth",), ("hr",)), soft_picture(3, 12, 20))


@pytest.mark.slow
def test_an_estimator_is_proved_module_by_module_and_whole(unsimplified):
    network = checkpoint_of("cmos-tiny").network()
    shape = shape_of(network, 20, 12)
    assert shape.outputs == ("sigma", "semantics", "aux_sigma", "aux_semantics")
    (proved,) = prove_network(network, shape, [soft_picture(3, 12, 20)], ["fp32"])
    assert proved.proof.passed
    assert proved.proof.limit >= 10 * proved.proof.rounding_of_pytorch
    assert proved.modules.modules > 50
    assert proved.modules.relative_error < 1e-5


@pytest.mark.slow
def test_flow_and_grid_stay_fp32_in_an_fp16_graph(unsimplified):
    network = checkpoint_of("rrdb-sft-tiny").network()
    shape = shape_of(network, 20, 12)
    (proved,) = prove_network(network, shape, [soft_picture(3, 12, 20)], ["fp16"])
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(proved.data))
    kinds = {one.name: one.type.tensor_type.elem_type for one in model.graph.value_info}
    samplers = [node for node in model.graph.node if node.op_type == "GridSample"]
    assert samplers
    for node in samplers:
        assert [kinds[name] for name in node.input] == [onnx.TensorProto.FLOAT] * 2
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert sum(kinds[node.output[0]] == onnx.TensorProto.FLOAT16 for node in convolutions) > 10


class TwoFaced(nn.Module):
    """A network with a warp, one of whose modules is traced as something else."""

    def __init__(self, lies: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.warp = Warp(3, 3)
        self.tail = nn.Sequential(Liar(lies), nn.ReLU(inplace=True))

    def forward(self, x_bchw):
        return self.tail(self.warp(x_bchw, x_bchw))


class Liar(nn.Module):
    def __init__(self, lies: float) -> None:
        super().__init__()
        self.lies = lies

    def forward(self, x_bchw):
        return x_bchw * (1 + self.lies if torch.jit.is_tracing() else 1.0)


def test_the_module_whose_graph_differs_is_named():
    x = torch.rand(1, 3, 6, 8)
    honest = TwoFaced(0.0).eval().requires_grad_(False)
    assert has_warps(honest)
    assert [name for name, _ in modules_alone(honest)] == ["warp", "tail"]
    proof = prove_modules(honest, lambda: honest(x))
    assert proof.modules == 2
    assert proof.relative_error < 1e-5
    liar = TwoFaced(1e-3).eval().requires_grad_(False)
    with pytest.raises(ExportError, match=r"module 'tail' differs from PyTorch by 0\.001"):
        prove_modules(liar, lambda: liar(x))


def test_a_network_of_warps_may_differ_by_what_pytorch_itself_rounds():
    """The limit follows fp32 against fp64; what goes beyond is refused all the same."""
    network = checkpoint_of("rrdb-sft-tiny").network()
    shape = shape_of(network, 20, 12)
    feeds = [feed_of(shape, soft_picture(3, 12, 20))]
    trained = static_graph(network, shape, "fp32")
    exact = trained.widened(torch.float64)
    inputs = [torch.from_numpy(feeds[0][name]) for name in trained.input_names]
    data = onnx_from_static(static_graph(deployed(network), shape, "fp32"), inputs)
    proof = prove(trained, data, feeds, size=shape.text, exact=exact)
    ours, wide = (run_torch(graph, feeds[0])["hr"] for graph in (trained, exact))
    rounding = np.abs(ours - wide).max() / np.abs(wide).max()
    assert proof.rounding_of_pytorch == pytest.approx(rounding)
    assert proof.limit == max(1e-4, 10 * proof.rounding_of_pytorch)
    with torch.no_grad():
        network.head.bias[0] += 0.1
    other = onnx_from_static(static_graph(deployed(network), shape, "fp32"), inputs)
    with pytest.raises(ExportError, match="differs from PyTorch"):
        prove(trained, other, feeds, size=shape.text, exact=exact)
