"""A fake of cuda.bindings.driver, over a `FakeGpu`: its CUDA graphs.

A graph is a list of operations, which a start puts into the stream again.
"""

from dataclasses import replace
from enum import IntEnum
from typing import Any

from .fake_gpu import FakeGpu, Operation, Stream
from .surface import FakeModule, Surface


class CUresult(IntEnum):
    """The result of a call."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901


class CUstreamCaptureMode(IntEnum):
    """Whose calls can break a capture."""

    CU_STREAM_CAPTURE_MODE_GLOBAL = 0
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1


class CUstream:
    """A stream by its handle."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __int__(self) -> int:
        return self._handle


class FakeGraph:
    """A graph, or the executable one made of it."""

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations
        self.destroyed = False

    def __int__(self) -> int:
        return id(self)


_FINE = CUresult.CUDA_SUCCESS
_NO_MEMORY = CUresult.CUDA_ERROR_OUT_OF_MEMORY


class _Calls:
    """The functions. `FakeGpu.fail_capture` names the one that fails."""

    def __init__(self, gpu: FakeGpu) -> None:
        self._gpu = gpu
        self._captures = 0

    def _fails(self, name: str) -> bool:
        return self._gpu.fail_capture == name and self._captures > self._gpu.good_captures

    def _stream(self, stream: CUstream) -> Stream:
        return self._gpu.streams[int(stream)]

    def cuStreamBeginCapture(  # noqa: N802 (the library's names)
        self, stream: CUstream, mode: CUstreamCaptureMode
    ) -> tuple[CUresult]:
        with self._gpu.entered("cuStreamBeginCapture"):
            self._captures += 1
            if self._fails("begin"):
                return (_NO_MEMORY,)
            native = self._stream(stream)
            if mode is not CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL:
                self._gpu.fault("a capture that any thread may break")
            native.captured, native.broken = [], False
            return (_FINE,)

    def cuStreamEndCapture(  # noqa: N802
        self, stream: CUstream
    ) -> tuple[CUresult, FakeGraph | None]:
        with self._gpu.entered("cuStreamEndCapture"):
            native = self._stream(stream)
            captured, native.captured = native.captured, None
            if captured is None:
                return CUresult.CUDA_ERROR_INVALID_VALUE, None
            if native.broken or self._fails("end"):
                return CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, None
            self._gpu.live["graph"] += 1
            return _FINE, FakeGraph(captured)

    def cuGraphInstantiate(  # noqa: N802
        self, graph: FakeGraph, flags: int
    ) -> tuple[CUresult, FakeGraph | None]:
        with self._gpu.entered("cuGraphInstantiate"):
            if self._fails("instantiate"):
                return _NO_MEMORY, None
            self._gpu.created["executable"] += 1
            self._gpu.live["executable"] += 1
            made = FakeGraph(graph.operations)
            self._gpu.executables.append(made)
            return _FINE, made

    def cuGraphLaunch(  # noqa: N802
        self, executable: FakeGraph, stream: CUstream
    ) -> tuple[CUresult]:
        with self._gpu.entered("cuGraphLaunch"):
            if self._fails("launch"):
                return (_NO_MEMORY,)
            if self._fails("lose"):
                self._gpu.sticky = "an illegal memory access was encountered"
                return (CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,)
            if executable.destroyed:
                self._gpu.fault("a graph was started that is gone")
            left_out = self._gpu.skip(self._gpu.graph_starts)
            self._gpu.graph_starts += 1
            for operation in executable.operations:
                if operation.kind not in left_out:
                    self._gpu.put(self._stream(stream), replace(operation))
            return (_FINE,)

    def cuGraphExecDestroy(self, executable: FakeGraph) -> tuple[CUresult]:  # noqa: N802
        return self._destroy("executable", executable)

    def cuGraphDestroy(self, graph: FakeGraph) -> tuple[CUresult]:  # noqa: N802
        return self._destroy("graph", graph)

    def _destroy(self, kind: str, graph: FakeGraph) -> tuple[CUresult]:
        if self._gpu.sticky:
            return (CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,)
        with self._gpu.entered("cuGraphDestroy"):
            if graph.destroyed:
                self._gpu.fault(f"a {kind} was destroyed twice")
            graph.destroyed = True
            self._gpu.executables[:] = [e for e in self._gpu.executables if e is not graph]
            self._gpu.gone(kind)
            return (_FINE,)


def fake_bindings(gpu: FakeGpu, surface: Surface) -> FakeModule:
    """Return the module."""
    calls = _Calls(gpu)
    content: dict[str, Any] = {
        name: getattr(calls, name) for name in dir(calls) if name.startswith("cu")
    }
    content |= {
        "CUresult": CUresult,
        "CUstream": CUstream,
        "CUstreamCaptureMode": CUstreamCaptureMode,
    }
    return FakeModule("cuda.bindings.driver", surface, content)
