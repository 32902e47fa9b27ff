"""Runs a graph on ONNX Runtime: the embedded default, on any CPU.

The session is made from bytes, never from a path: what was hashed is what runs. Inputs and
outputs are bound to buffers made once, so a frame costs no allocation and no copy here.
"""

import copy
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as _native

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import BundleError, EngineError, FrameError, UsageError, first_line
from crispstream.core.machine import usable_cores
from crispstream.core.pixels import Bytes
from crispstream.core.tensors import FRAME, RESTORED, STATE_IN, STATE_OUT

from .buffers import frame_buffers
from .onnxruntime_states import States

_BYTES = "tensor(uint8)"
_LONGEST_WORDS = 300  # of what the library says
PROVIDERS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "cpu": [("CPUExecutionProvider", {})],
    # By default it computes fp32 in TF32, of 10 bits: fp32 is there to be compared with.
    "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), ("CPUExecutionProvider", {})],
}
"""Device -> what ONNX Runtime is to compute on, first choice first, with its options."""

# ONNX Runtime's exceptions have no common base short of Exception itself.
_OrtErrors: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        kind
        for kind in vars(_native).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)


class OnnxRuntimeBackend:
    """One ONNX Runtime session and the buffers bound to it."""

    device_latencies = None

    def __init__(
        self,
        graph_bytes: bytes,
        *,
        precision: str,
        device: str = "cpu",
        threads: int | None = None,
        side_by_side: int = 1,
        states: Sequence[StateTensor] = (),
        profile_to: Path | None = None,
    ) -> None:
        """Parse and optimise the graph.

        `device` is "cpu" or "cuda" (operators CUDA lacks then run on the CPU); `threads` is the
        number of CPU threads in all, by default every usable core. `side_by_side` frames are
        worked on at once and share those threads: more frames a second, for no thread waits at
        the end of an operator for another, but each frame takes longer. `states` are the recurrent
        tensors of the bundle; frames then follow each other and are never side by side.
        `profile_to` lets ONNX Runtime time its operators, which slows them, and is how the name of
        the file begins that `end_profile` writes.

        Raises:
            EngineError: if ONNX Runtime refuses the graph or has no such device.
            BundleError: if the graph's input and output are not the bundle contract's.
            UsageError: if `threads` or `side_by_side` is not positive, or frames that depend on
                each other are to be side by side.
        """
        self.name = f"onnxruntime-{device}"
        self.precision = precision
        total = usable_cores() if threads is None else threads
        if min(total, side_by_side) < 1:
            raise UsageError(
                f"threads is {total} and side_by_side {side_by_side}; give 1 or more of each"
            )
        if states and side_by_side > 1:
            raise UsageError(
                "a recurrent network needs one frame after the other; open it with side_by_side 1"
            )
        options = _options(max(1, total // side_by_side), profile_to)
        self._session = _session(graph_bytes, device, options)
        self._graph_height, self._graph_width = _checked_input_size(self._session)
        self._tensors, self._device = tuple(states), device
        self._start(side_by_side)

    def _start(self, side_by_side: int) -> None:
        """Make what is not shared with a twin."""
        self._side_by_side = side_by_side
        self._workers = ThreadPoolExecutor(side_by_side) if side_by_side > 1 else None
        self._states = States(self._session, self._tensors, self._device)
        self._running: dict[int, Future[None]] = {}
        self._frames: list[Bytes] = []
        self._restored: list[Bytes] = []
        self._bindings: list[Any] = []

    def allocate(self, height: int, width: int, slots: int) -> None:
        """Make `slots` pairs of buffers [H,W,3] and [4H,4W,3] and bind them.

        Raises:
            FrameError: if the graph is made for one size and this is another, or memory is missing.
        """
        for asked, fixed in ((height, self._graph_height), (width, self._graph_width)):
            if fixed not in (None, asked):
                raise FrameError(
                    f"the graph takes frames of {self._graph_width}x{self._graph_height} px only, "
                    f"not {width}x{height} (after padding); resize the frames, or export the "
                    f"network with --size {width}x{height}"
                )
        self._frames, self._restored = frame_buffers(height, width, slots)
        self._states.allocate(height, width)
        self._bindings = [self._bound(slot) for slot in range(slots)]

    def _bound(self, slot: int) -> Any:  # noqa: ANN401 (untyped library)
        binding = self._session.io_binding()
        frame, restored = self._frames[slot], self._restored[slot]
        for bind, name, buffer in (
            (binding.bind_input, FRAME, frame),
            (binding.bind_output, RESTORED, restored),
        ):
            bind(name, "cpu", 0, np.uint8, (1, *buffer.shape), buffer.ctypes.data)
        self._states.bind(binding, slot)
        return binding

    def frame(self, slot: int) -> Bytes:
        """Return the input buffer of a slot."""
        return self._frames[slot]

    def restored(self, slot: int) -> Bytes:
        """Return the output buffer of a slot."""
        return self._restored[slot]

    def submit(self, slot: int) -> None:
        """Run the graph on the slot's frame, which frees the GIL.

        Done on return, unless frames are worked on side by side: then `wait` tells.

        Raises:
            EngineError: with ONNX Runtime's own words.
        """
        if self._workers is None:
            self._run(slot)
        else:
            self._running[slot] = self._workers.submit(self._run, slot)

    def _run(self, slot: int) -> None:
        try:
            self._session.run_with_iobinding(self._bindings[slot])
        except _OrtErrors as error:
            height, width, _ = self._frames[slot].shape
            raise EngineError(
                f"ONNX Runtime failed on a frame of {width}x{height} px; "
                f"it said: {first_line(error)[:_LONGEST_WORDS]}",
                str(error),
            ) from error

    def wait(self, slot: int) -> None:
        """Return when the slot is done; raises as `submit` does."""
        if running := self._running.pop(slot, None):
            running.result()

    def reset(self) -> None:
        """Set recurrent state to zero."""
        self._states.reset()

    def end_profile(self) -> Path:
        """Stop timing operators; return the file with their times, for who gave `profile_to`."""
        return Path(self._session.end_profiling())

    def twin(self) -> "OnnxRuntimeBackend":
        """Return a backend on the same session, with buffers of its own."""
        twin = copy.copy(self)
        twin._start(self._side_by_side)
        return twin

    def close(self) -> None:
        """Finish what runs, then let go of threads, session and buffers."""
        if self._workers is not None:
            self._workers.shutdown()
        self._bindings, self._frames, self._restored = [], [], []
        self._session = None


def _session(graph_bytes: bytes, device: str, options: Any) -> Any:  # noqa: ANN401
    providers = PROVIDERS[device]
    wanted = providers[0][0]
    if wanted not in ort.get_available_providers():
        raise EngineError(
            f"this ONNX Runtime has no {wanted}; replace the onnxruntime package by "
            "onnxruntime-gpu, or choose the backend onnxruntime"
        )
    try:
        session = ort.InferenceSession(graph_bytes, options, providers=providers)
    except _OrtErrors as error:
        raise EngineError(
            f"ONNX Runtime refused the graph; it said: {first_line(error)[:_LONGEST_WORDS]}",
            str(error),
        ) from error
    if session.get_providers()[0] != wanted:  # it falls back without an error
        raise EngineError(
            f"{wanted} did not start and ONNX Runtime fell back to the CPU; check the CUDA "
            "libraries and the driver, or choose the backend onnxruntime"
        )
    return session


def _options(threads: int, profile_to: Path | None) -> Any:  # noqa: ANN401
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: warnings would tear the progress bar
    # Threads that spin while idle take the cores from the decoder and the encoder next door.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile_to is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_to)
    return options


def _checked_input_size(session: Any) -> tuple[int | None, int | None]:  # noqa: ANN401
    """Return the graph's fixed height and width, None where it is free."""
    seen = [
        (node.name, node.type, len(node.shape))
        for node in (*session.get_inputs(), *session.get_outputs())
        if not node.name.startswith((STATE_IN, STATE_OUT))
    ]
    if seen != [(FRAME, _BYTES, 4), (RESTORED, _BYTES, 4)]:
        raise BundleError(
            f"the graph's input and output are {seen}; expected {FRAME} and {RESTORED}, both "
            "uint8 [1,H,W,3]; export it with: crispstream export"
        )
    frame = next(node for node in session.get_inputs() if node.name == FRAME)
    _, height, width, _ = frame.shape
    return (
        height if isinstance(height, int) else None,
        width if isinstance(width, int) else None,
    )
