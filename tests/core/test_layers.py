"""Layers as a bundle carries them: formulas of the frame, work and bytes, and what is refused."""

import json
from dataclasses import replace

import pytest

from crispstream.core.bundle import Bundle
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.errors import BundleError
from crispstream.core.layers import (
    LAYERS,
    GraphLayers,
    Layer,
    Tensor,
    layers_json,
    parse_layers,
    side,
    sized,
)
from tests.helpers.bundles import write_tiny_bundle

CONV = Layer(
    name="/down/Conv",
    op="Conv",
    precision="fp16",
    macs_per_output=27,
    reads=(Tensor("x", (1, 3, "H", "W"), "float16"),),
    writes=(Tensor("y", (1, 16, "H/2", "W/2"), "float16"),),
    weight_bytes=896,
)


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / "tiny")


def carrying(bundle, folder, content):
    """A copy of a bundle with this layers.json."""
    payload = {graph.file: bundle.graph_bytes(graph) for graph in bundle.graphs}
    return write_bundle(folder, bundle, {**payload, LAYERS: content})


@pytest.mark.parametrize(
    ("dim", "px"),
    [(48, 48), ("H", 180), ("W", 320), ("4*W", 1280), ("H/4", 45), ("3*W/2", 480), ("W/2-1", 159)],
)
def test_a_side_is_a_formula_of_the_frame(dim, px):
    assert side(dim, 320, 180) == px


@pytest.mark.parametrize("dim", ["", "h", "H*4", "W/0", "W/2/2", "H*W", "2", "W+", "-W"])
def test_what_is_no_formula_is_said(dim):
    with pytest.raises(ValueError, match="is no side of a tensor; expected a number, H"):
        side(dim, 320, 180)


def test_a_size_that_the_graph_cannot_take_is_said():
    with pytest.raises(ValueError, match=r"H/8 is not whole for a frame of 320x180 px"):
        side("H/8", 320, 180)


def test_a_layer_at_one_size_has_work_and_bytes():
    layer = sized(CONV, 64, 32)
    assert layer.macs == 27 * 16 * 32 * 16
    assert layer.read_bytes == 3 * 64 * 32 * 2
    assert layer.written_bytes == 16 * 32 * 16 * 2
    assert (layer.weight_bytes, layer.shape) == (896, (1, 16, 16, 32))


def test_a_transposed_convolution_counts_by_what_it_reads():
    up = replace(CONV, op="ConvTranspose", macs_per_output=0, macs_per_input=16 * 9)
    assert sized(up, 64, 32).macs == 16 * 9 * 3 * 64 * 32


def test_what_is_written_is_read_again():
    graphs = [GraphLayers("a" * 64, (CONV,)), GraphLayers("b" * 64, ())]
    assert parse_layers(layers_json(graphs)) == {graph.graph_sha256: graph for graph in graphs}


def test_a_newer_schema_is_refused():
    with pytest.raises(BundleError, match="has schema 2, this kit reads up to 1; update the kit"):
        parse_layers(json.dumps({"schema": 2, "anything": "else"}).encode())


def row(**changes):
    """layers.json of one layer with changes."""
    content = json.loads(layers_json([GraphLayers("a" * 64, (CONV,))]))
    content["graphs"]["a" * 64][0].update(changes)
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"schema": "1", "graphs": {}}',
        b'{"schema": 1, "graphs": []}',
        b'{"schema": 1, "graphs": {"a": [{}]}}',
        row(macs_per_output=-1),
        row(weight_bytes="896"),
        row(precision="fp64"),
        row(writes=[]),
        row(writes=[{"name": "y", "shape": [1, "W*H"], "type": "float16"}]),
        row(writes=[{"name": "y", "shape": [1, 2.5], "type": "float16"}]),
        row(reads=[{"name": "x", "shape": [1], "type": "complex64"}]),
        row(unheard_of=1),
    ],
)
def test_what_is_no_such_file_is_refused(content):
    with pytest.raises(BundleError, match=r"layers.json is malformed .* copy the bundle again"):
        parse_layers(content)


def test_a_bundle_gives_the_layers_of_its_graphs(bundle, tmp_path):
    (graph,) = bundle.graphs
    layers = GraphLayers(graph.sha256, (CONV,))
    loaded = Bundle.load(carrying(bundle, tmp_path / "new", layers_json([layers])).path)
    assert loaded.layers_of(graph) == layers


def test_an_older_bundle_says_how_to_add_them(bundle):
    with pytest.raises(BundleError, match=r"'tiny' has no layers.json; .* verify BUNDLE -o NEW"):
        bundle.layers_of(bundle.graphs[0])


def test_a_graph_that_could_not_be_read_is_said(bundle, tmp_path):
    new = carrying(bundle, tmp_path / "new", layers_json([GraphLayers("a" * 64, (CONV,))]))
    with pytest.raises(BundleError, match="says nothing of its fp32 graph, in which some shapes"):
        new.layers_of(new.graphs[0])


def test_a_damaged_file_is_refused_before_it_is_read(bundle, tmp_path):
    new = carrying(bundle, tmp_path / "new", layers_json([]))
    (new.path / LAYERS).write_bytes(b"{}")
    with pytest.raises(BundleError, match="is not the file that bundle 'tiny' was made with"):
        new.layers_of(new.graphs[0])
