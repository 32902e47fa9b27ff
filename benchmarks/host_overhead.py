"""What a frame costs the host on TensorRT: submit and wait, on a driver that does nothing.

The driver, TensorRT and the GPU are fakes whose calls return at once, so that what is left is the
kit's own: handing the frame to the thread that has the GPU's context, its calls, and the answer.
On a GPU the driver's own part comes on top: 17 calls for a frame, 5 with a CUDA graph. Frames are
64x36 px, so that copying one into its buffer, which the Restorer does, takes next to nothing.

One frame at a time is in work: that is the longest way, with two changes of thread for each. The
variants take turns, so that a slow moment of the machine meets all of them; each figure is the
median of the rounds.
"""

import ctypes
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
from common import Limit, arguments, publish, result

from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.tensorrt.backend import Plan, TensorRTBackend
from crispstream.runtime.engine.device import driver
from crispstream.runtime.engine.opening import Opened
from crispstream.runtime.restorer import Restorer

GOAL_MICROSECONDS = 150.0
WIDTH, HEIGHT = 64, 36
_TAIL = 64


class _Idle:
    """A fake of whatever is asked of it: every call does nothing."""

    handle = 1

    def __init__(self, *_: object) -> None:
        """Take anything."""

    def _nothing(self, *_: object) -> None:
        """Do nothing."""

    record = synchronize = wait_for_event = push = detach = init = free = _nothing

    def time_since(self, _: object) -> float:
        return 1.0

    def get_attribute(self, _: object) -> int:
        return 0

    def retain_primary_context(self) -> "_Idle":
        return self

    @classmethod
    def count(cls) -> int:
        return 1


class _IdleMemory(_Idle):
    """Memory of a GPU: of the computer, in truth."""

    def __init__(self, size: int) -> None:
        self._buffer = ctypes.create_string_buffer(size)

    def __int__(self) -> int:
        return ctypes.addressof(self._buffer)


class _IdleCopies:
    """Copies that only move the last bytes, by which the canary sees that a graph was started."""

    def __init__(self) -> None:
        self.captured: list[tuple[int, int]] | None = None

    def to_device(self, pointer: int, array: Bytes, _: object) -> None:
        self._copy(pointer, array.ctypes.data, array.nbytes)

    def to_host(self, array: Bytes, pointer: int, _: object) -> None:
        self._copy(array.ctypes.data, pointer, array.nbytes)

    def _copy(self, to: int, source: int, size: int) -> None:
        if self.captured is not None:
            self.captured.append((to + size - _TAIL, source + size - _TAIL))
        elif size == _TAIL:
            ctypes.memmove(to, source, size)


class _IdleBindings:
    """The graphs of cuda-bindings."""

    CUstream = int
    CUstreamCaptureMode = mock.Mock()

    def __init__(self, copies: _IdleCopies) -> None:
        self._copies = copies

    def cuStreamBeginCapture(self, *_: object) -> tuple[int]:  # noqa: N802 (the library's names)
        self._copies.captured = []
        return (0,)

    def cuStreamEndCapture(self, _: object) -> tuple[int, int]:  # noqa: N802
        return 0, 0

    def cuGraphInstantiate(self, *_: object) -> tuple[int, object]:  # noqa: N802
        captured, self._copies.captured = self._copies.captured, None
        return 0, captured

    def cuGraphLaunch(self, captured: list[tuple[int, int]], _: object) -> tuple[int]:  # noqa: N802
        (to_gpu, host_in), (host_out, from_gpu) = captured
        ctypes.memmove(to_gpu, host_in, _TAIL)
        ctypes.memset(from_gpu, 0, _TAIL)
        ctypes.memmove(host_out, from_gpu, _TAIL)
        return (0,)

    def cuGraphExecDestroy(self, _: object) -> tuple[int]:  # noqa: N802
        return (0,)


class _IdleEngine(_Idle):
    """Runtime, engine and execution context of TensorRT in one."""

    num_io_tensors, num_optimization_profiles = 2, 1

    def deserialize_cuda_engine(self, _: bytes) -> "_IdleEngine":
        return self

    def create_execution_context(self) -> "_IdleEngine":
        return self

    def get_tensor_name(self, index: int) -> str:
        return ("frame", "restored")[index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "frame" else "out"

    def get_tensor_dtype(self, _: str) -> Any:  # noqa: ANN401
        return _named("UINT8")

    def get_tensor_profile_shape(self, *_: object) -> list[tuple[int, ...]]:
        return [(1, HEIGHT, WIDTH, 3)] * 3

    def get_tensor_shape(self, _: str) -> tuple[int, ...]:
        return 1, 4 * HEIGHT, 4 * WIDTH, 3

    def infer_shapes(self) -> list[str]:
        return []

    def _fine(self, *_: object) -> bool:
        return True

    set_optimization_profile_async = set_input_shape = set_tensor_address = _fine
    execute_async_v3 = _fine


def _named(name: str) -> Any:  # noqa: ANN401
    kind = mock.Mock()
    kind.name = name
    return kind


def install_idle_libraries(stack: ExitStack) -> None:
    """Put the fakes in the place of pycuda, cuda-bindings, libcuda and TensorRT."""
    copies = _IdleCopies()
    cuda, trt = ModuleType("pycuda.driver"), ModuleType("tensorrt")
    vars(cuda).update(
        Device=_Idle,
        Stream=_Idle,
        Event=_Idle,
        Context=_Idle,
        init=lambda: None,
        mem_alloc=_IdleMemory,
        memcpy_htod_async=copies.to_device,
        memcpy_dtoh_async=copies.to_host,
        memset_d8_async=lambda *_: None,
        device_attribute=mock.Mock(),
        event_flags=mock.Mock(),
        Error=type("Error", (Exception,), {}),
    )
    vars(trt).update(
        __version__="10.0",
        ILogger=type("ILogger", (), {"ERROR": 1, "WARNING": 2}),
        NetworkDefinitionCreationFlag=type("Flag", (), {"STRONGLY_TYPED": 1}),
        TensorIOMode=type("Mode", (), {"INPUT": "in"}),
        Runtime=_IdleEngine,
    )
    bindings = _IdleBindings(copies)
    modules = {
        "pycuda": ModuleType("pycuda"),
        "pycuda.driver": cuda,
        "cuda": ModuleType("cuda"),
        "cuda.bindings": ModuleType("cuda.bindings"),
        "cuda.bindings.driver": bindings,
        "tensorrt": trt,
    }
    libcuda = mock.Mock()
    libcuda.cuMemHostRegister_v2 = libcuda.cuMemHostUnregister = lambda *_: 0
    stack.enter_context(mock.patch.dict(sys.modules, modules))
    stack.enter_context(mock.patch.object(driver, "open_libcuda", return_value=libcuda))


def open_backend(cuda_graph: bool) -> TensorRTBackend:
    """Return a backend on the fakes."""
    return TensorRTBackend(
        lambda height, width: Plan(b""),
        flavour="tensorrt",
        precision="fp16",
        cuda_graph=cuda_graph,
    )


def time_backend(cuda_graph: bool, frames: int) -> list[float]:
    """Return the microseconds of each frame's submit and wait."""
    backend = open_backend(cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 4)
    if backend.replays_graphs != cuda_graph:
        raise SystemExit("the fakes captured no graph")

    def one(number: int) -> None:
        backend.submit(number % 4)
        backend.wait(number % 4)

    durations = _timed(one, frames)
    if backend.replays_graphs != cuda_graph:
        raise SystemExit("the canary took the fakes' graphs for stale")
    backend.close()
    return durations


def time_restorer(cuda_graph: bool, frames: int) -> list[float]:
    """Return the microseconds of each frame's submit and collect, with the guard's looks."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    opened = Opened(open_backend(cuda_graph), "idle", size_multiple=4, guarded=True)
    with Restorer(opened) as restorer:

        def one(_: int) -> None:
            restorer.submit(frame)
            restorer.collect()

        return _timed(one, frames)


def _timed(one: Callable[[int], None], frames: int) -> list[float]:
    for number in range(200):
        one(number)
    durations = []
    for number in range(frames):
        begun = time.perf_counter_ns()
        one(number)
        durations.append((time.perf_counter_ns() - begun) / 1000)
    return durations


def spread(durations: Sequence[float]) -> dict[str, float]:
    """Return percentiles."""
    p50, p99 = np.percentile(durations, (50, 99))
    return {"p50": float(p50), "p99": float(p99), "mean": statistics.fmean(durations)}


VARIANTS: Mapping[str, Callable[[int], list[float]]] = {
    f"{name}_{kind}_microseconds": partial(measure, kind == "graph")
    for name, measure in (("backend", time_backend), ("restorer", time_restorer))
    for kind in ("plain", "graph")
}
"""Name of a figure -> what returns the microseconds of so many frames."""


def measure_in_turns(frames: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the percentiles of each variant: the medians of the rounds."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    with ExitStack() as stack:
        install_idle_libraries(stack)
        for _ in range(rounds):
            for name, measure in VARIANTS.items():
                found[name].append(spread(measure(frames)))
    return {
        name: {kind: statistics.median(each[kind] for each in spreads) for kind in spreads[0]}
        for name, spreads in found.items()
    }


def main() -> None:
    """Measure the backend and the Restorer, with and without CUDA graphs."""
    parser = arguments(__doc__)
    parser.add_argument("--frames", type=int, default=2000, help="frames of a round")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    if chosen.frames < 1 or chosen.rounds < 1:
        parser.error("--frames and --rounds must be 1 or more")
    figures = measure_in_turns(chosen.frames, chosen.rounds)
    limits = {
        f"{name}_p99": Limit(figure["p99"], GOAL_MICROSECONDS) for name, figure in figures.items()
    }
    settings = {
        "frames": chosen.frames,
        "rounds": chosen.rounds,
        "size": f"{WIDTH}x{HEIGHT}",
        "guarded": True,
    }
    publish(result("host_overhead", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
