"""TensorRT-RTX builds what calibration makes, and computes in INT8 where the plan says so."""

import importlib.util

import pytest

from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.placement import layers_of
from crispstream.calib.quantise.tensorrt_form import tensorrt_form
from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.models import find_model
from tests.helpers.graphs import edge_like
from tests.helpers.sets import made_up_ranges

SIZE = (64, 48)
USUAL = ("/a/Conv", "/b/Conv", "/c/Conv")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)


def types_by_convolution(fp16, fp32, layers, *, size=SIZE, **options):
    """Build the quantised graph; return what each convolution of it reads."""
    form = tensorrt_form(fp16, fp32, layers, made_up_ranges(fp32), **options)
    assert form.int8_layers == tuple(layers)
    built = build_engine(form.onnx_bytes, BuildOptions.static(size, (8, 9)))
    assert built.plan[:4] == b"vtrt"
    names = {node.name for node in fp16.convolutions()}
    return {
        name: layer.data_type
        for layer in built.layers
        if layer.is_convolution
        for name in names.intersection(layer.onnx_nodes)
    }


def views(name):
    bundle = find_model(name)
    return [GraphView(bundle.graph_bytes(bundle.graph(p))) for p in ("fp16", "fp32")]


def tiny():
    return [GraphView(edge_like(half=half)) for half in (True, False)]


@pytest.mark.parametrize("skip_sides", [False, True])
def test_planned_convolutions_are_int8_and_no_others(skip_sides):
    types = types_by_convolution(*tiny(), USUAL, skip_sides=skip_sides)
    assert {name for name, kind in types.items() if kind == "Int8"} == set(USUAL)
    assert {types[name] for name in ("/head/Conv", "/up/Conv", "/gate/Conv")} == {"Half"}
    assert types["/tail/Conv"] == "Half"
    assert types["/base/Conv"] == "Float"


def test_without_a_plan_no_convolution_is_int8():
    assert "Int8" not in types_by_convolution(*tiny(), ()).values()


@pytest.mark.parametrize("name", ["edge-n", "edge-s"])
def test_shipped_networks_are_int8_where_they_are_by_default(name):
    fp16, fp32 = views(name)
    usual = [layer.name for layer in layers_of(fp32) if layer.role == "usual"]
    types = types_by_convolution(fp16, fp32, usual, size=(320, 180))
    assert {name for name, kind in types.items() if kind == "Int8"} == set(usual)
    assert len(usual) >= 6
    assert len(types) == len(fp16.convolutions())


def test_all_but_the_first_and_the_last_may_be_int8():
    fp16, fp32 = views("edge-n")
    inner = [layer.name for layer in layers_of(fp32) if layer.role not in ("first", "last")]
    types = types_by_convolution(fp16, fp32, inner, size=(320, 180))
    assert {name for name, kind in types.items() if kind == "Int8"} == set(inner)
    assert {"/up/Conv", "/gate/Conv"} <= set(inner)
