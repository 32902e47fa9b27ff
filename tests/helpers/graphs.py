"""Tiny graphs that keep the byte contract, made with onnx.helper alone: no torch, no training.

Input `frame` uint8 [1,H,W,3] BGR, output `restored` uint8 [1,4H,4W,3] BGR.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Node = onnx.NodeProto
OPSET = 17
_REPEAT = {
    "mode": "nearest",
    "coordinate_transformation_mode": "asymmetric",
    "nearest_mode": "floor",
}


def nearest_x4(height: int | str = "height", width: int | str = "width") -> bytes:
    """A graph that repeats every pixel 4x4 times: its truth is `numpy.repeat`."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["x_bhwc"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["x_bhwc"], ["x_bchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Resize", ["x_bchw", "", "scales"], ["y_bchw"], **_REPEAT),
        helper.make_node("Transpose", ["y_bchw"], ["y_bhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["y_bhwc"], ["restored"], to=TensorProto.UINT8),
    ]
    scales = np.array([1, 1, 4, 4], np.float32)
    return _serialized(nodes, {"scales": scales}, height, width)


def summed_x4(height: int | str = "height", width: int | str = "width") -> bytes:
    """Sums of 5x5 pixels, a 32nd of them, repeated 4x4 times; beyond the frame is black.

    Each pixel is reached by those up to 2 away, and every sum is exact whatever its order.
    """
    nodes = [
        helper.make_node("Cast", ["frame"], ["x_bhwc"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["x_bhwc"], ["x_bchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x_bchw", "w"], ["sums"], pads=[2, 2, 2, 2], group=3),
        helper.make_node("Resize", ["sums", "", "scales"], ["y_bchw"], **_REPEAT),
        helper.make_node("Transpose", ["y_bchw"], ["y_bhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["y_bhwc"], ["restored"], to=TensorProto.UINT8),
    ]
    constants = {
        "scales": np.array([1, 1, 4, 4], np.float32),
        "w": np.full((3, 1, 5, 5), 1 / 32, np.float32),
    }
    return _serialized(nodes, constants, height, width)


def with_the_frame_before(*, half: bool = False) -> bytes:
    """A recurrent graph: each frame plus the one before it, clipped and repeated 4x4 times.

    `state_in_before` and `state_out_before` are [1,3,H,W] in float or float16.
    """
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["frame"], ["x_bhwc"], to=kind),
        helper.make_node("Transpose", ["x_bhwc"], ["state_out_before"], perm=[0, 3, 1, 2]),
        helper.make_node("Add", ["state_out_before", "state_in_before"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["sum_fp32"], to=TensorProto.FLOAT),
        helper.make_node("Clip", ["sum_fp32", "low", "high"], ["clipped"]),
        helper.make_node("Resize", ["clipped", "", "scales"], ["y_bchw"], **_REPEAT),
        helper.make_node("Transpose", ["y_bchw"], ["y_bhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["y_bhwc"], ["restored"], to=TensorProto.UINT8),
    ]
    constants = {
        "low": np.array(0, np.float32),
        "high": np.array(255, np.float32),
        "scales": np.array([1, 1, 4, 4], np.float32),
    }
    state = ("before", kind, [1, 3, "height", "width"])
    return _serialized(nodes, constants, "height", "width", state)


def small_net(
    height: int | str = "height",
    width: int | str = "width",
    *,
    channels: int = 8,
    half: bool = False,
    seed: int = 0,
) -> bytes:
    """Two convolutions with random weights inside the kit's byte recipe; `half`: fp16 inside."""
    rng = np.random.default_rng(seed)
    kind, body = (np.float16, TensorProto.FLOAT16) if half else (np.float32, TensorProto.FLOAT)
    weights = {
        "one_over_255": np.array(1 / 255, kind),
        "head_w": rng.normal(0, 0.2, (channels, 3, 3, 3)).astype(kind),
        "head_b": rng.normal(0, 0.1, channels).astype(kind),
        "tail_w": rng.normal(0, 8, (48, channels, 3, 3)).astype(kind),
        "base_w": _nearest_base(),
        "base_b": np.full(48, 0.5, np.float32),  # a cast truncates: + 0.5 rounds
        "low": np.array(0, np.float32),
        "high": np.array(255.5, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["frame"], ["base_bhwc"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["base_bhwc"], ["base_bchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["base_bchw"], ["x_bchw"], to=body),
        helper.make_node("Mul", ["x_bchw", "one_over_255"], ["unit"]),
        helper.make_node("Conv", ["unit", "head_w", "head_b"], ["head"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["head"], ["active"]),
        helper.make_node("Conv", ["active", "tail_w"], ["tail"], pads=[1, 1, 1, 1]),
        helper.make_node("Cast", ["tail"], ["residual"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["base_bchw", "base_w", "base_b"], ["base"]),
        helper.make_node("Add", ["residual", "base"], ["sum"]),
        helper.make_node("Clip", ["sum", "low", "high"], ["clipped"]),
        helper.make_node("DepthToSpace", ["clipped"], ["large"], blocksize=4, mode="CRD"),
        helper.make_node("Transpose", ["large"], ["large_bhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["large_bhwc"], ["restored"], to=TensorProto.UINT8),
    ]
    return _serialized(nodes, weights, height, width)


def edge_like(
    height: int | str = "height",
    width: int | str = "width",
    *,
    channels: int = 16,
    half: bool = False,
    seed: int = 0,
    gain: float = 1.0,
) -> bytes:
    """A network of the edge family's parts with random weights; `half`: the fp16 graph beside it.

    `/head/Conv` first, `/a/Conv` + ReLU, `/b/Conv` + LeakyReLU, `/c/Conv` + residual add, a gate of
    `/up/Conv` and `/gate/Conv`, `/tail/Conv` last, `/base/Conv` the interpolated base. As in real
    exports 1/255 is folded into the first weights of the fp32 graph alone. `gain` multiplies what
    the network adds to the base, in all about 8 grey levels.
    """
    kind, body = (np.float16, TensorProto.FLOAT16) if half else (np.float32, TensorProto.FLOAT)
    weights = {
        "one_over_255": np.array(1 / 255, np.float32),
        "base_w": _nearest_base(),
        "base_b": np.full(48, 0.5, np.float32),  # a cast truncates: + 0.5 rounds
        "low": np.array(0, np.float32),
        "high": np.array(255.5, np.float32),
    }
    for name, value in _edge_weights(channels, seed, gain).items():
        unit = 1 if half or name != "head_w" else 255
        weights[name] = (value / unit).astype(kind)
    cast = ("Cast", {"to": TensorProto.FLOAT})
    steps = [
        ("/Cast", *cast, ["frame"], "base_bhwc"),
        ("/Transpose", "Transpose", {"perm": [0, 3, 1, 2]}, ["base_bhwc"], "levels"),
        *(_halved(body) if half else ()),
        _conv("head", "unit" if half else "levels"),
        ("/Relu", "Relu", {}, ["head"], "wide"),
        _conv("a", "wide"),
        ("/a/Relu", "Relu", {}, ["a"], "a_active"),
        _conv("b", "a_active"),
        ("/b/LeakyRelu", "LeakyRelu", {"alpha": 0.125}, ["b"], "b_active"),
        _conv("c", "b_active"),
        ("/Add", "Add", {}, ["wide", "c"], "sum"),
        _conv("up", "sum"),
        _conv("gate", "sum"),
        ("/Sigmoid", "Sigmoid", {}, ["gate"], "opened"),
        ("/Mul_1", "Mul", {}, ["up", "opened"], "gated"),
        ("/Add_1", "Add", {}, ["wide", "gated"], "whole"),
        _conv("tail", "whole"),
        *([("/Cast_2", *cast, ["tail"], "residual")] if half else ()),
        ("/base/Conv", "Conv", {}, ["levels", "base_w", "base_b"], "base"),
        ("/Add_2", "Add", {}, ["residual" if half else "tail", "base"], "subpixels"),
        ("/Clip", "Clip", {}, ["subpixels", "low", "high"], "clipped"),
        ("/Shuffle", "DepthToSpace", {"blocksize": 4, "mode": "CRD"}, ["clipped"], "large"),
        ("/Transpose_1", "Transpose", {"perm": [0, 2, 3, 1]}, ["large"], "large_bhwc"),
        ("/Cast_3", "Cast", {"to": TensorProto.UINT8}, ["large_bhwc"], "restored"),
    ]
    nodes = [
        helper.make_node(op_type, inputs, [output], name=name, **attributes)
        for name, op_type, attributes, inputs, output in steps
    ]
    return _serialized(nodes, weights, height, width)


def bytes_shuffled() -> bytes:
    """A graph ONNX Runtime runs and TensorRT refuses: DepthToSpace on bytes."""
    nodes = [
        helper.make_node("Transpose", ["frame"], ["x_bchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Concat", ["x_bchw"] * 16, ["many"], axis=1),
        helper.make_node("DepthToSpace", ["many"], ["large"], blocksize=4, mode="CRD"),
        helper.make_node("Transpose", ["large"], ["restored"], perm=[0, 2, 3, 1]),
    ]
    return _serialized(nodes, {}, "height", "width")


def asymmetric_qdq() -> bytes:
    """Nearest x4 with a Q/DQ pair whose zero point is not zero: TensorRT takes only symmetric."""
    quantized = ["q_scale", "q_zero"]
    nodes = [
        helper.make_node("Cast", ["frame"], ["x_bhwc"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["x_bhwc"], ["x_bchw"], perm=[0, 3, 1, 2]),
        helper.make_node("QuantizeLinear", ["x_bchw", *quantized], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", *quantized], ["x_dq"]),
        helper.make_node("Resize", ["x_dq", "", "scales"], ["y_bchw"], mode="nearest"),
        helper.make_node("Transpose", ["y_bchw"], ["y_bhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["y_bhwc"], ["restored"], to=TensorProto.UINT8),
    ]
    constants = {
        "q_scale": np.array(1.0, np.float32),
        "q_zero": np.array(-128, np.int8),
        "scales": np.array([1, 1, 4, 4], np.float32),
    }
    return _serialized(nodes, constants, "height", "width")


def float_contract() -> bytes:
    """A valid graph that breaks the byte contract: floats in, floats out."""
    node = helper.make_node("Identity", ["x"], ["y"])
    shape = [1, 3, "h", "w"]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([node], "floats", ends[:1], ends[1:])
    return _model(graph).SerializeToString()


Step = tuple[str, str, dict[str, Any], list[str], str]
"""Name, kind, attributes, inputs and output of a node."""


def _conv(name: str, reads: str) -> Step:
    inputs = [reads, f"{name}_w", f"{name}_b"]
    return f"/{name}/Conv", "Conv", {"pads": [1, 1, 1, 1]}, inputs, name


def _halved(body: int) -> list[Step]:
    return [
        ("/Mul", "Mul", {}, ["levels", "one_over_255"], "unit_levels"),
        ("/Cast_1", "Cast", {"to": body}, ["unit_levels"], "unit"),
    ]


def _edge_weights(channels: int, seed: int, gain: float) -> dict[str, npt.NDArray[np.float64]]:
    """Weights and biases for a frame of 0..1; each layer keeps the size of what it is given."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name in ("head", "a", "b", "c", "up", "gate", "tail"):
        reads, makes = 3 if name == "head" else channels, 48 if name == "tail" else channels
        spread = (12 * gain if name == "tail" else 1.4) / np.sqrt(9 * reads)
        weights[f"{name}_w"] = rng.normal(0, spread, (makes, reads, 3, 3))
        weights[f"{name}_b"] = rng.normal(0, 0.05, makes)
    return weights


def _nearest_base() -> npt.NDArray[np.float32]:
    """A 1x1 convolution that gives each of the 16 sub-pixels its pixel's own colour."""
    weight = np.zeros((48, 3, 1, 1), np.float32)
    for channel in range(3):
        weight[16 * channel : 16 * (channel + 1), channel] = 1
    return weight


def _serialized(
    nodes: Sequence[Node],
    constants: dict[str, npt.NDArray[np.generic]],
    height: int | str,
    width: int | str,
    state: tuple[str, int, list[Any]] | None = None,
) -> bytes:
    """`state`, where there is one, is the name after state_in_, the type and the shape."""
    large = [4 * side if isinstance(side, int) else f"{side}_x4" for side in (height, width)]
    ends = [
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, height, width, 3])],
        [helper.make_tensor_value_info("restored", TensorProto.UINT8, [1, *large, 3])],
    ]
    if state is not None:
        name, kind, shape = state
        for end, way in zip(ends, ("in", "out"), strict=True):
            end.append(helper.make_tensor_value_info(f"state_{way}_{name}", kind, shape))
    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = _model(helper.make_graph(list(nodes), "tiny", *ends, values))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    # IR 8 is what the oldest parsers in the field read.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
