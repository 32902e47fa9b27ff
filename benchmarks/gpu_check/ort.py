"""ONNX Runtime's side of the GPU check: on CUDA where it can, and on the CPU."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import onnxruntime as ort

from benchmarks.gpu_check.kit import kit_variant
from benchmarks.gpu_check.record import Row
from benchmarks.gpu_check.timing import Variant
from crispstream.core.bundle import Bundle
from crispstream.core.pixels import SCALE, Bytes
from crispstream.runtime.engine.backends.onnxruntime import PROVIDERS, OnnxRuntimeBackend


def onnxruntime_backend(bundle: Bundle, runs_on: str, precision: str) -> OnnxRuntimeBackend:
    """Return the kit's backend for "onnxruntime-cuda" or "onnxruntime-cpu".

    Raises:
        EngineError: if this ONNX Runtime cannot work on the device.
    """
    return OnnxRuntimeBackend(
        bundle.graph_bytes(bundle.graph(precision)),
        precision=precision,
        device=runs_on.removeprefix("onnxruntime-"),
    )


def onnxruntime_variant(
    bundle: Bundle, row: Row, frames: Sequence[Bytes], open_until: ExitStack
) -> Variant:
    """Return a row of ONNX Runtime; what it needs is closed when `open_until` ends.

    Raises:
        EngineError: if this ONNX Runtime cannot work on the device.
    """
    backend = onnxruntime_backend(bundle, row.runs_on, row.precision)
    open_until.callback(backend.close)
    if row.regime == "resident":  # the backend has told that CUDA starts
        return Variant(row, _Resident(bundle, row.precision, frames[0]).burst)
    return kit_variant(backend, row, frames, open_until)


class _Resident:
    """A session whose frame and result lie on the GPU."""

    def __init__(self, bundle: Bundle, precision: str, frame_hwc: Bytes) -> None:
        height, width, _ = frame_hwc.shape
        large = (1, SCALE * height, SCALE * width, 3)
        data = bundle.graph_bytes(bundle.graph(precision))
        self._session = ort.InferenceSession(data, providers=PROVIDERS["cuda"])
        self._binding = self._session.io_binding()
        frame = ort.OrtValue.ortvalue_from_numpy(frame_hwc[None], "cuda", 0)
        restored = ort.OrtValue.ortvalue_from_shape_and_type(large, np.uint8, "cuda", 0)
        self._binding.bind_ortvalue_input("frame", frame)
        self._binding.bind_ortvalue_output("restored", restored)
        self._options = ort.RunOptions()
        # Else every run waits for the GPU, and the next one is late.
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def burst(self, frames: int) -> float:
        """Restore the frame so many times."""
        self._binding.synchronize_inputs()
        begun = time.perf_counter()
        for _ in range(frames):
            self._session.run_with_iobinding(self._binding, self._options)
        self._binding.synchronize_outputs()
        return time.perf_counter() - begun
