"""Work on finished ONNX files: dropping an output, simplifying."""

import subprocess
import sys
import tempfile
from pathlib import Path

import onnx

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
