"""The library's own times of layers on a real GPU, joined to the nodes of shipped graphs."""

from contextlib import closing

import pytest

from crispstream.core.clock import monotonic_ns
from crispstream.core.layers import sized
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.measure.profiling.layers_trt import NAMES_ONLY, profile_backends
from tests.gpu.conftest import Build, Open
from tests.helpers.pictures import soft_picture

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

SIZE = (320, 180)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_layers_are_timed_and_every_node_is_in_one(
    build: Build, opened: Open, precision: str
) -> None:
    bundle = find_model("edge-s")
    graph = bundle.graph(precision)
    layers = bundle.layers_of(graph)
    plain = opened(build(bundle.graph_bytes(graph), SIZE), precision, cuda_graph=False)
    frames = [soft_picture(seed, SIZE[1], SIZE[0]) for seed in range(2)]

    with closing(plain.twin()) as timed:
        found = profile_backends(plain, timed, layers, SIZE, frames, 20, monotonic_ns)

    assert NAMES_ONLY not in found.how
    assert {layer.spread.count for layer in found.layers} == {20}
    joined = [node for layer in found.layers for node in layer.nodes]
    assert sorted(joined) == sorted(layer.name for layer in layers.layers)
    assert sum(layer.macs for layer in found.layers) == sum(
        sized(layer, *SIZE).macs for layer in layers.layers
    )
    assert found.added_share < 0.5
    assert found.layers_ms > 0
    assert found.plain_ms > 0
