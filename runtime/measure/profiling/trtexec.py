"""The times of layers as trtexec writes them, so that scripts made for its files read ours.

Keys as in NVIDIA/TensorRT: samples/common/sampleReporting.cpp writes --exportProfile, in newer
releases with "medianMs", as the examples of tools/experimental/trt-engine-explorer have it. That
tool reads both files (trex/parser.py): records of 4 or 5 keys, and layers with "Bindings".
"""

from typing import Any

from crispstream.core.tensors import FRAME, RESTORED

from .record import LayerProfile, LayerTime


def layer_records(profile: LayerProfile) -> list[dict[str, Any]]:
    """Return what trtexec --exportProfile writes: the frames, then the layers in order.

    timeMs is of all frames together; percentage is of the sum over layers.
    """
    return [{"count": profile.frames}, *map(_record, profile.layers)]


def _record(layer: LayerTime) -> dict[str, Any]:
    return {
        "name": layer.name,
        "timeMs": layer.spread.mean_ms * layer.spread.count,
        "averageMs": layer.spread.mean_ms,
        "medianMs": layer.spread.median_ms,
        "percentage": 100 * layer.share,
    }


def layer_info(profile: LayerProfile) -> dict[str, Any]:
    """Return what trtexec --exportLayerInfo writes of an engine with detailed verbosity.

    What a profile does not have is left out: the inputs, all outputs but the first, and formats.
    """
    return {"Layers": [_info(layer) for layer in profile.layers], "Bindings": [FRAME, RESTORED]}


def _info(layer: LayerTime) -> dict[str, Any]:
    output: dict[str, Any] = {"Name": layer.name, "Dimensions": list(layer.shape)}
    return {
        "Name": layer.name,
        "LayerType": layer.op,
        "Inputs": [],
        "Outputs": [output] if layer.shape else [],
        "Metadata": "".join(f"[ONNX Layer: {node}]" for node in layer.nodes),
    }
