"""Work on finished ONNX files: dropping an output, simplifying, counting."""

import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
from onnx import ModelProto, numpy_helper, shape_inference

SIMPLIFY_TIMEOUT_SECONDS = 60


def without_output(data: bytes, name: str) -> bytes:
    """Return the model without one of its outputs; the tensor stays inside."""
    model = onnx.load_model_from_string(data)
    kept = [output for output in model.graph.output if output.name != name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    shorter: bytes = model.SerializeToString()
    return shorter


def simplified(data: bytes) -> bytes | None:
    """Return what onnxsim makes of a model, None if it fails.

    It runs in a process of its own with a time limit, because it has been seen to hang and to
    crash on free sizes (onnxsim issues 101, 117 and 136). The caller checks what comes back.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        before.write_bytes(data)
        command = [sys.executable, "-m", "onnxsim", str(before), str(after)]
        try:
            subprocess.run(
                command, check=True, capture_output=True, timeout=SIMPLIFY_TIMEOUT_SECONDS
            )
            return after.read_bytes()
        except (subprocess.SubprocessError, OSError):
            return None


def macs(data: bytes, height: int, width: int) -> int:
    """Return the multiply-accumulates of all convolutions for an input of [1,height,width,3]."""
    model = onnx.load_model_from_string(data)
    _fix_size(model, height, width)
    model = shape_inference.infer_shapes(model, data_prop=True)
    values = [*model.graph.value_info, *model.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    weights = _constant_shapes(model)
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            _, channels_out, rows, cols = shapes[node.output[0]]
            _, channels_in, *kernel = weights[node.input[1]]
            total += channels_out * rows * cols * channels_in * kernel[0] * kernel[1]
    return total


def _fix_size(model: ModelProto, height: int, width: int) -> None:
    shape = model.graph.input[0].type.tensor_type.shape
    for axis, value in enumerate((1, height, width, 3)):
        shape.dim[axis].dim_value = value
    for output in model.graph.output:  # their free sizes would contradict the fixed input
        output.type.tensor_type.ClearField("shape")


def _constant_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            shapes[node.output[0]] = numpy_helper.to_array(node.attribute[0].t).shape
    return shapes
