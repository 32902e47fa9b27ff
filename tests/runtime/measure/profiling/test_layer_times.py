"""Work and bytes of joined layers."""

from crispstream.core.layers import GraphLayers, Layer, Tensor
from crispstream.runtime.measure.figures import Spread
from crispstream.runtime.measure.profiling.joining import Claim
from crispstream.runtime.measure.profiling.layer_times import TimedLayer, layer_times

WIDTH, HEIGHT = 8, 6
FRAME, INNER, RESULT = (
    Tensor(name, (1, channels, "H", "W"), "float32")
    for name, channels in (("frame", 3), ("inner", 16), ("result", 16))
)
GRAPH = GraphLayers(
    "",
    (
        Layer("conv", "Conv", "fp32", 27, (FRAME,), (INNER,), 1792),
        Layer("relu", "Relu", "fp32", 0, (INNER,), (RESULT,), 0),
    ),
)
PIXELS = WIDTH * HEIGHT


def timed(claim: Claim, mean_ms: float, moved_bytes: int | None = None) -> TimedLayer:
    spread = Spread(4, mean_ms, mean_ms, mean_ms, {"50": mean_ms}, 0.0)
    return TimedLayer("layer", "op", "fp32", (), moved_bytes, claim, spread)


def test_work_and_weights_are_those_of_the_nodes() -> None:
    (fused,) = layer_times([timed(Claim(sure=("conv", "relu")), 1.0)], GRAPH, WIDTH, HEIGHT)
    assert fused.macs == 27 * 16 * PIXELS
    assert fused.nodes == ("conv", "relu")
    assert fused.share == 1.0


def test_what_stays_inside_a_fused_layer_is_neither_read_nor_written() -> None:
    (fused,) = layer_times([timed(Claim(sure=("conv", "relu")), 1.0)], GRAPH, WIDTH, HEIGHT)
    assert fused.bytes == 4 * PIXELS * (3 + 16) + 1792


def test_between_layers_it_is_written_and_read() -> None:
    conv, relu = layer_times(
        [timed(Claim(sure=(name,)), 1.0) for name in ("conv", "relu")], GRAPH, WIDTH, HEIGHT
    )
    assert (conv.bytes, relu.bytes) == (4 * PIXELS * 19 + 1792, 4 * PIXELS * 32)


def test_what_the_engine_tells_of_its_bytes_goes_before() -> None:
    layers = layer_times(
        [timed(Claim(sure=("conv", "relu")), 3.0, 1000), timed(Claim(is_added=True), 1.0, 500)],
        GRAPH,
        WIDTH,
        HEIGHT,
    )
    assert [layer.bytes for layer in layers] == [2792, 500]
    assert [layer.share for layer in layers] == [0.75, 0.25]


def test_an_added_layer_of_which_nothing_is_told_has_no_work_and_no_bytes() -> None:
    both = [timed(Claim(sure=("conv", "relu")), 0.0), timed(Claim(is_added=True), 0.0)]
    added = layer_times(both, GRAPH, WIDTH, HEIGHT)[1]
    assert (added.macs, added.bytes, added.share, added.nodes) == (0, 0, 0.0, ())
