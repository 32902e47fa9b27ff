"""Work on finished ONNX files: dropping an output, exchanging weights, simplifying."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from crispstream.core.errors import ExportError

Array = npt.NDArray[Any]

SIMPLIFY_TIMEOUT_SECONDS = 60


def without_output(data: bytes, name: str) -> bytes:
    """Return the model without one of its outputs; the tensor stays inside."""
    model = onnx.load_model_from_string(data)
    kept = [output for output in model.graph.output if output.name != name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    shorter: bytes = model.SerializeToString()
    return shorter


def with_tensors(data: bytes, exchanged: Mapping[str, tuple[Array, Array]]) -> bytes:
    """Return the model with other values in some initializers: name -> (value there, new value).

    Raises:
        ExportError: if an initializer is missing, does not hold the value that it should, or
            serves other than exactly one node: then the exporter has merged or folded it.
    """
    model = onnx.load_model_from_string(data)
    there = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, (before, after) in exchanged.items():
        users = sum(list(node.input).count(name) for node in model.graph.node)
        if name not in there or users != 1:
            raise ExportError(
                f"the graph uses '{name}' {users} times as a constant, expected once; export with "
                "the version of torch that constraints.txt names"
            )
        if not np.array_equal(numpy_helper.to_array(there[name]), before):
            raise ExportError(
                f"'{name}' does not hold the scaled weights in the graph; export with the version "
                "of torch that constraints.txt names"
            )
        there[name].CopyFrom(numpy_helper.from_array(after, name))
    changed: bytes = model.SerializeToString()
    return changed


def widened(data: bytes) -> bytes:
    """Return an fp16 model that computes in fp32 throughout, with the values of its weights.

    ONNX Runtime on a CPU does nearly that by itself, but rounds where the graph casts; this way
    the comparison with PyTorch is exact, and the same on a CPU that has fp16 arithmetic.
    """
    model = onnx.load_model_from_string(data)
    for tensor in model.graph.initializer:
        _widen(tensor)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _widen(attribute.t)
            elif node.op_type == "Cast" and attribute.i == onnx.TensorProto.FLOAT16:
                attribute.i = onnx.TensorProto.FLOAT
    for told in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if told.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16:
            told.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    wide: bytes = model.SerializeToString()
    return wide


def _widen(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == onnx.TensorProto.FLOAT16:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def differing_parts(a: bytes, b: bytes) -> set[str]:
    """Return the names of initializers that differ between two models, by type, shape or bytes.

    "graph" stands for whatever else differs: nodes, their order, inputs, outputs.
    """
    models = [onnx.load_model_from_string(data) for data in (a, b)]
    tensors = [{t.name: t.SerializeToString() for t in m.graph.initializer} for m in models]
    names = tensors[0].keys() | tensors[1].keys()
    found = {name for name in names if tensors[0].get(name) != tensors[1].get(name)}
    for model in models:
        del model.graph.initializer[:]
    same = models[0].SerializeToString() == models[1].SerializeToString()
    return found if same else found | {"graph"}


def simplified(data: bytes, *, fuse: bool = True) -> bytes | None:
    """Return what onnxsim makes of a model, None if it fails.

    Without `fuse` it folds constants only, and operators and weights keep their names.

    It runs in a process of its own with a time limit, because it has been seen to hang and to
    crash on free sizes (onnxsim issues 101, 117 and 136). The caller checks what comes back.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        before.write_bytes(data)
        command = [sys.executable, "-m", "onnxsim", str(before), str(after)]
        command += [] if fuse else ["--skip-optimization"]
        try:
            subprocess.run(
                command, check=True, capture_output=True, timeout=SIMPLIFY_TIMEOUT_SECONDS
            )
            if after.with_suffix(".onnx.data").exists():  # what it does with large weights
                whole: bytes = onnx.load(after).SerializeToString()
                return whole
            return after.read_bytes()
        except (subprocess.SubprocessError, OSError):
            return None
