"""Recurrent state in ONNX Runtime: tensors that stay on the device between frames.

Shape letters: H height, W width of the frame in pixels, C channels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import BundleError
from crispstream.core.tensors import STATE_IN, STATE_OUT, state_shape

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class States:
    """Two buffers for each state tensor, [1, C, H/divisor, W/divisor].

    Frames read one and write the other, in turn: which of them is told by the parity of the
    frame's slot. Nothing is copied.
    """

    def __init__(self, session: Any, tensors: Sequence[StateTensor], device: str) -> None:  # noqa: ANN401
        """Look up the tensors' types; `device` is "cpu" or "cuda".

        Raises:
            BundleError: if the graph has other states than the bundle names.
        """
        self._tensors = tuple(tensors)
        self._device = device
        types = {node.name: node.type for node in session.get_inputs()}
        seen = sorted(name for name in types if name.startswith(STATE_IN))
        expected = sorted(f"{STATE_IN}{tensor.name}" for tensor in self._tensors)
        if seen != expected or any(types[name] not in _TYPES for name in seen):
            raise BundleError(
                f"the graph's states are {[(name, types[name]) for name in seen]}, expected "
                f"{expected} as the bundle names them, float or float16; export it again with: "
                "crispstream export"
            )
        self._types = [_TYPES[types[f"{STATE_IN}{tensor.name}"]] for tensor in self._tensors]
        self._pairs: list[tuple[Any, Any]] = []
        self._zeros: list[Any] = []

    def allocate(self, height: int, width: int) -> None:
        """Make the buffers for frames of [H,W], filled with zeros."""
        shapes = [state_shape(tensor, width, height) for tensor in self._tensors]
        self._zeros = [
            np.zeros(shape, kind) for shape, kind in zip(shapes, self._types, strict=True)
        ]
        self._pairs = [(self._buffer(zeros), self._buffer(zeros)) for zeros in self._zeros]
        self.reset()

    def _buffer(self, zeros: Any) -> Any:  # noqa: ANN401
        # `ortvalue_from_numpy` would share the memory of `zeros` on a CPU.
        return ort.OrtValue.ortvalue_from_shape_and_type(zeros.shape, zeros.dtype, self._device, 0)

    def bind(self, binding: Any, slot: int) -> None:  # noqa: ANN401
        """Let the frames of a slot read one buffer of each pair and write the other."""
        for tensor, pair in zip(self._tensors, self._pairs, strict=True):
            binding.bind_ortvalue_input(f"{STATE_IN}{tensor.name}", pair[slot % 2])
            binding.bind_ortvalue_output(f"{STATE_OUT}{tensor.name}", pair[1 - slot % 2])

    def reset(self) -> None:
        """Fill all buffers with zeros."""
        for zeros, pair in zip(self._zeros, self._pairs, strict=True):
            for buffer in pair:
                buffer.update_inplace(zeros)
