"""Fakes of CUDA and TensorRT whose calls return at once; for `host_overhead.py`."""

import ctypes
import sys
from contextlib import ExitStack
from types import ModuleType
from typing import Any
from unittest import mock

from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.device import driver

WIDTH, HEIGHT = 64, 36
"""Of the frames that the engine takes, in pixels."""

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
