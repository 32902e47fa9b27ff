"""Static graphs are taken by TensorRT-RTX, which builds engines without a GPU."""

import importlib.util

import pytest
import torch

from crispstream.export.card import facts
from crispstream.export.exporter import export_bundle
from crispstream.export.static import deployed, onnx_from_static, shape_of, static_graph
from crispstream.runtime.engine.building.build import build_from_bundle
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.workbench import Workbench
from crispstream.runtime.engine.native import load_flavour
from crispstream.train.checkpoint import Checkpoint
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.recipe import Recipe
from tests.helpers.networks import settled
from tests.helpers.pictures import soft_picture

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)


@needs_rtx
@pytest.mark.slow
def test_a_static_bundle_builds_at_both_precisions(tmp_path):
    network = settled(build_network("gfn-w16"), spread=0.5)
    checkpoint = Checkpoint(Recipe("gfn-w16", steps=1), dict(network.state_dict()), 1, ())
    bundle = export_bundle(
        checkpoint,
        tmp_path / "x",
        name="x",
        licence="MIT",
        card=facts(checkpoint),
        frames=[("a", soft_picture(3, 16, 24))],
        size=(24, 16),
    )
    for precision in ("fp32", "fp16"):
        engine, record = build_from_bundle(
            bundle, BuildOptions.static((24, 16)), precision=precision, allow_uncertified=True
        )
        assert engine[:4] == b"vtrt"
        assert (record.precision, record.sizes) == (precision, "24x16")


@needs_rtx
@pytest.mark.slow
def test_warps_and_windows_build_in_fp16():
    """A graph with other inputs than a frame; the sampling inside is fp32."""
    network = settled(build_network("rrdb-sft-tiny"), spread=0.5)
    graph = static_graph(deployed(network), shape_of(network, 20, 12), "fp16")
    maps = [torch.zeros(1, 1, 48, 80)] * 2
    onnx_bytes = onnx_from_static(graph, [torch.zeros(1, 3, 12, 20), *maps])
    with Workbench(load_flavour("tensorrt-rtx"), "tensorrt-rtx") as bench:
        bench.parse(onnx_bytes)
        assert bench.build(None)[:4] == b"vtrt"
