"""Make the probe of `crispstream plan --device cpu`: a small bundle that this CPU is measured with.

It has the operators and channel counts of the edge family, an order of its own, and weights that
mean nothing. Its int8-cpu graph is written as `crispstream calibrate` writes one.

    python examples/make_probe_graphs.py
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from crispstream.calib.quantise.cpu_form import cpu_form
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.methods import Range
from crispstream.calib.quantise.ranges import Ranges
from crispstream.core.bundle import Bundle, Graph
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.graph_layers import layers_file
from crispstream.core.layers import LAYERS
from crispstream.core.pixels import SCALE
from crispstream.core.tensors import FRAME, RESTORED

OUT = Path("runtime/measure/plan/probe")
OPSET = 18
CHANNELS, DEEP = 32, 48
"""At full and at half size: the middle of the family."""

SUBPIXELS = 3 * SCALE * SCALE
INT8 = ("down", "inner", "up", "gate", "tail")
"""Convolutions to quantise: all but the two that read the frame, as the edge family has it."""


class Network:
    """Nodes and constants, added one by one."""

    def __init__(self) -> None:
        """Begin with nothing; weights come from one seed."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(0)

    def node(self, op: str, name: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """Add a node; return its output."""
        behind = output or f"{name}_out"
        self.nodes.append(helper.make_node(op, inputs, [behind], name=name, **attributes))
        return behind

    def constant(self, name: str, values: object, kind: type = np.float32) -> str:
        """Add a constant; return its name."""
        self.constants.append(numpy_helper.from_array(np.array(values, kind), name))
        return name

    def convolution(
        self, name: str, given: str, channels: tuple[int, int], side: int = 3, **attributes: object
    ) -> str:
        """Add a convolution of (from, to) channels; return its output."""
        shape = (channels[1], channels[0], side, side)
        values = self._rng.standard_normal(shape) / np.sqrt(channels[0] * side * side)
        weights = self.constant(f"{name}_weights", values)
        bias = self.constant(f"{name}_bias", np.zeros(channels[1]))
        pads = {"pads": [side // 2] * 4, **attributes}
        return self.node("Conv", name, given, weights, bias, **pads)


def fp32_graph() -> bytes:
    """Return the fp32 graph."""
    net = Network()
    floats = net.node("Cast", "to_float", FRAME, to=TensorProto.FLOAT)
    planes = net.node("Transpose", "to_planes", floats, perm=[0, 3, 1, 2])
    head = net.node("Relu", "head_relu", net.convolution("head", planes, (3, CHANNELS)))
    down = net.convolution("down", head, (CHANNELS, DEEP), strides=[2, 2])
    inner = net.convolution("inner", net.node("Relu", "down_relu", down), (DEEP, DEEP))
    deep = net.node("Relu", "inner_relu", inner)
    up = net.convolution("up", deep, (DEEP, CHANNELS), side=1)
    gate = net.node(
        "Sigmoid", "gate_sigmoid", net.convolution("gate", deep, (DEEP, CHANNELS), side=1)
    )
    gated = net.node("Mul", "gated", up, gate)
    scales = net.constant("scales", [1, 1, 2, 2])
    large = net.node(
        *("Resize", "enlarge", gated, "", scales),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    tail = net.convolution("tail", net.node("Add", "skip", head, large), (CHANNELS, SUBPIXELS))
    pads = net.constant("pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    padded = net.node("Pad", "border", planes, pads, mode="edge")
    base = net.convolution("base", padded, (3, SUBPIXELS), pads=[0] * 4)
    total = net.node("Add", "on_base", tail, base)
    low, high = net.constant("low", 0), net.constant("high", 255)
    clipped = net.node("Clip", "clip", total, low, high)
    picture = net.node("DepthToSpace", "shuffle", clipped, blocksize=SCALE, mode="CRD")
    pixels = net.node("Transpose", "to_pixels", picture, perm=[0, 2, 3, 1])
    net.node("Cast", "to_bytes", pixels, output=RESTORED, to=TensorProto.UINT8)
    return model_of(net)


def model_of(net: Network) -> bytes:
    """Return the ONNX file: bytes in, bytes out, any size that divides by 2."""
    sides = ["height", "width"]
    large = [f"{side}_x4" for side in sides]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, *free, 3])
        for name, free in ((FRAME, sides), (RESTORED, large))
    ]
    graph = helper.make_graph(net.nodes, "probe", ends[:1], ends[1:], net.constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=9, producer_name="crispstream"
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def int8_graph(fp32: bytes) -> bytes:
    """Return the graph in the form that ONNX Runtime computes in integers; ranges are made up."""
    view = GraphView(fp32)
    tensors = {
        name: Range(4, 0 if node.op_type == "Relu" else -4, 4)
        for node in view.nodes
        for name in node.output
    }
    return cpu_form(view, INT8, Ranges(None, "", "", 0, tensors)).onnx_bytes


def main() -> None:
    """Write the bundle."""
    parser = argparse.ArgumentParser(description="make the probe of crispstream plan")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    fp32 = fp32_graph()
    files = {"fp32": fp32, "int8-cpu": int8_graph(fp32)}
    graphs = tuple(
        Graph(f"{precision}.onnx", "", precision, ("onnxruntime",), OPSET) for precision in files
    )
    bundle = Bundle("probe", SCALE, size_multiple=2, halo_px=0, graphs=graphs, licence="Apache-2.0")
    layers = layers_file(
        files.values(), onnx.load_model_from_string, onnx.shape_inference.infer_shapes
    )
    payload = {f"{precision}.onnx": data for precision, data in files.items()}
    write_bundle(chosen.out, bundle, {**payload, LAYERS: layers}, overwrite=True)


if __name__ == "__main__":
    main()
