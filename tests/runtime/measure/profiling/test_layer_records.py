"""Records with trtexec's keys."""

import re

from crispstream.runtime.measure.figures import Spread
from crispstream.runtime.measure.profiling.record import LayerProfile, LayerTime
from crispstream.runtime.measure.profiling.trtexec import layer_info, layer_records


def layer(name: str, nodes: tuple[str, ...], mean_ms: float, share: float) -> LayerTime:
    spread = Spread(10, mean_ms, mean_ms, mean_ms, {"50": mean_ms / 2}, 0.0)
    shape = (1, 8, 6, 4) if nodes else ()
    return LayerTime(name, nodes, "Conv", "fp16", shape, spread, share)


PROFILE = LayerProfile(
    "a profiler", 10, (layer("up", ("/up", "/Relu"), 3.0, 0.75), layer("copy", (), 1.0, 0.25)), 5, 4
)


def test_the_profile_has_the_keys_of_trtexec() -> None:
    assert layer_records(PROFILE) == [
        {"count": 10},
        {"name": "up", "timeMs": 30, "averageMs": 3, "medianMs": 1.5, "percentage": 75},
        {"name": "copy", "timeMs": 10, "averageMs": 1, "medianMs": 0.5, "percentage": 25},
    ]


def test_readers_of_layer_information_find_names_shapes_and_nodes() -> None:
    told = layer_info(PROFILE)
    first, second = told["Layers"]
    assert told["Bindings"] == ["frame", "restored"]
    assert (first["Name"], first["LayerType"]) == ("up", "Conv")
    assert first["Outputs"][0]["Dimensions"] == [1, 8, 6, 4]
    assert re.findall(r"\[ONNX Layer: ([^\]]+)\]", first["Metadata"]) == ["/up", "/Relu"]
    assert (second["Outputs"], second["Metadata"]) == ([], "")
