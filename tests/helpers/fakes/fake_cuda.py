"""A fake of pycuda.driver, over a `FakeGpu`.

It behaves as the real one where that matters to who uses it: a stream or an event is destroyed
with its last reference, in whatever thread that is, and only a thread with the context may do so.
"""

import threading
from typing import Any

import numpy as np

from crispstream.core.pixels import Bytes

from .fake_gpu import Event, FakeCudaError, FakeGpu, FakeMemoryError, Memory, Operation, Stream
from .surface import FakeModule, Surface, Surfaced, enum_copy, surfaced_copies

_COPY_IN_MS, _COPY_OUT_MS = 0.25, 0.5


class _LogicError(FakeCudaError):
    """As pycuda's LogicError."""


class _Dependent(Surfaced):
    """Something that belongs to the context that is current when it is made."""

    _gpu: FakeGpu
    _kind = ""

    def _belong(self) -> None:
        self._context = self._gpu.stack()[-1]
        self._valid = True

    def _give_back(self) -> None:
        """Destroy the thing, as pycuda does from the last reference's thread."""
        with self._gpu.lock:
            if not vars(self).get("_valid"):
                return
            self._valid = False
            if not self._context._valid:
                return  # pycuda leaves it to the dead context
            if self._context not in self._gpu.stack():
                self._gpu.fault(f"a {self._kind} was dropped in another thread")
                return
            self._gpu.gone(self._kind)
            self._destroy()

    def _destroy(self) -> None:
        """Look for work that still needs the thing."""

    def __del__(self) -> None:
        self._give_back()


class FakeContext(Surfaced):
    """The primary context, as one thread retained it."""

    _gpu: FakeGpu

    def __init__(self) -> None:
        self._gpu.made("context")
        self._valid = True
        self._thread = threading.get_ident()

    def push(self) -> None:
        with self._gpu.lock:
            self._gpu.stack().append(self)

    def detach(self) -> None:
        with self._gpu.lock:
            if not self._valid or threading.get_ident() != self._thread:
                self._gpu.fault("a context was detached twice or in another thread")
                return
            self._valid = False
            self._gpu.gone("context")
            self._gpu.stack()[:] = [c for c in self._gpu.stack() if c is not self]

    @classmethod
    def synchronize(cls) -> None:
        gpu = cls._gpu
        with gpu.entered("cuCtxSynchronize"):
            gpu.run_until(lambda: bool(gpu.sticky) or not any(gpu.queued()))


class FakeDevice(Surfaced):
    """A GPU that can be asked for what it is."""

    _gpu: FakeGpu

    def __init__(self, index: int) -> None:
        if index >= self._gpu.device_count:
            raise _LogicError("cuDeviceGet failed: invalid device ordinal")

    @classmethod
    def count(cls) -> int:
        return cls._gpu.device_count

    def name(self) -> str:
        return "Fake GPU"

    def compute_capability(self) -> tuple[int, int]:
        return 8, 7

    def total_memory(self) -> int:
        return 8 << 30

    def get_attribute(self, attribute: Any) -> int:
        known = {"INTEGRATED": int(self._gpu.integrated), "MULTIPROCESSOR_COUNT": 16}
        return known[attribute.name]

    def retain_primary_context(self) -> FakeContext:
        with self._gpu.lock:
            context: FakeContext = self._classes["Context"]()
            return context


class FakeStream(_Dependent):
    """A stream as pycuda gives it."""

    _kind = "Stream"

    def __init__(self, flags: int = 0) -> None:
        with self._gpu.entered("cuStreamCreate"):
            self._stream = self._gpu.new_stream(non_blocking=bool(flags & 1))
            self._belong()

    @property
    def handle(self) -> int:
        return self._stream.handle

    def synchronize(self) -> None:
        with self._gpu.entered("cuStreamSynchronize"):
            self._gpu.run_until(self._gpu.drained(self._stream))

    def wait_for_event(self, event: "FakeEvent") -> None:
        with self._gpu.entered("cuStreamWaitEvent"):
            mark = event._event
            waiting = Operation("wait", lambda: None, event=mark, ticket=mark.recorded)
            self._gpu.put(self._stream, waiting)

    def _destroy(self) -> None:
        if self._stream.queue:
            self._gpu.fault("a stream was destroyed while work is queued in it")
        self._stream.destroyed = True


class FakeEvent(_Dependent):
    """An event as pycuda gives it."""

    _kind = "Event"

    def __init__(self, flags: int = 0) -> None:
        with self._gpu.entered("cuEventCreate"):
            self._gpu.made("Event")
            self._event = Event()
            self._belong()

    def record(self, stream: FakeStream | None = None) -> "FakeEvent":
        with self._gpu.entered("cuEventRecord"):
            mark = self._event
            mark.recorded += 1
            ticket = mark.recorded

            def reach() -> None:
                mark.reached, mark.time_ms = ticket, self._gpu.time_ms

            self._gpu.put(_native(stream), Operation("record", reach, event=mark))
        return self

    def synchronize(self) -> "FakeEvent":
        with self._gpu.entered("cuEventSynchronize"):
            self._gpu.run_until(self._gpu.reached(self._event))
        return self

    def time_since(self, other: "FakeEvent") -> float:
        with self._gpu.entered("cuEventElapsedTime"):
            for mark in (self._event, other._event):
                if not mark.recorded or mark.reached < mark.recorded:
                    raise _LogicError("cuEventElapsedTime failed: device not ready")
            return self._event.time_ms - other._event.time_ms

    def _destroy(self) -> None:
        if any(operation.event is self._event for operation in self._gpu.queued()):
            self._gpu.fault("an event was destroyed while a stream has it")


class FakeDeviceAllocation(_Dependent):
    """Memory as pycuda gives it."""

    _kind = "mem_alloc"

    def __init__(self, size: int) -> None:
        self._memory = self._gpu.allocate(size)
        self._belong()

    def __int__(self) -> int:
        return self._memory.address

    def free(self) -> None:
        if not self._valid:
            raise _LogicError("device_allocation::free failed: invalid resource handle")
        self._give_back()

    def _destroy(self) -> None:
        self._gpu.release(self._memory)


def _native(stream: FakeStream | None) -> Stream | None:
    return None if stream is None else stream._stream


def fake_pycuda(gpu: FakeGpu, surface: Surface) -> FakeModule:
    """Return a fake of pycuda.driver."""
    templates = {
        "Context": FakeContext,
        "Device": FakeDevice,
        "Stream": FakeStream,
        "Event": FakeEvent,
        "DeviceAllocation": FakeDeviceAllocation,
    }
    classes = surfaced_copies(surface, templates, {"_gpu": gpu})

    def init() -> None:
        if gpu.device_count == 0:
            raise _LogicError("cuInit failed: no CUDA-capable device is detected")

    def mem_alloc(size: int) -> FakeDeviceAllocation:
        with gpu.entered("cuMemAlloc"):
            made: FakeDeviceAllocation = classes["DeviceAllocation"](size)
            return made

    copies = _Copies(gpu)
    content = {
        **classes,
        **{name: getattr(copies, name) for name in dir(copies) if name.startswith("mem")},
        "init": init,
        "mem_alloc": mem_alloc,
        "mem_get_info": lambda: (1 << 30, 8 << 30),
        "get_driver_version": lambda: 12060,
        "device_attribute": enum_copy(
            surface, "device_attribute", {"MULTIPROCESSOR_COUNT": 16, "INTEGRATED": 18}
        ),
        "event_flags": enum_copy(surface, "event_flags", {"DEFAULT": 0, "BLOCKING_SYNC": 1}),
        "Error": FakeCudaError,
        "LogicError": _LogicError,
        "MemoryError": FakeMemoryError,
    }
    return FakeModule("pycuda.driver", surface, content)


class _Copies:
    """pycuda's asynchronous copies."""

    def __init__(self, gpu: FakeGpu) -> None:
        self._gpu = gpu

    def _pinned(self, array: Bytes) -> tuple[Memory, ...]:
        """Return the memory that an array lies in; a fault unless it is pinned and in one piece."""
        if not array.flags.c_contiguous:
            self._gpu.fault("a copy of an array with gaps")
        there = [m for m in self._gpu.memories if m.kind == "host" and not m.freed]
        for memory in there:
            inside = array.ctypes.data - memory.content.ctypes.data
            if 0 <= inside <= memory.content.nbytes - array.nbytes:
                return (memory,)
        unpinned = any(np.shares_memory(array, content) for content in self._gpu.unpinned)
        if not (self._gpu.pin_refused or unpinned):
            self._gpu.fault("an asynchronous copy of memory that is not pinned")
        return ()

    def memcpy_htod_async(self, dest: int, src: Bytes, stream: FakeStream | None = None) -> None:
        gpu = self._gpu
        with gpu.entered("cuMemcpyHtoDAsync"):
            memories = (*self._pinned(src), gpu.memory_at(int(dest), src.nbytes))

            def run() -> None:
                gpu.bytes_at(int(dest), src.nbytes)[:] = src.reshape(-1)

            gpu.put(_native(stream), Operation("htod", run, _COPY_IN_MS, memories))

    def memcpy_dtoh_async(self, dest: Bytes, src: int, stream: FakeStream | None = None) -> None:
        gpu = self._gpu
        with gpu.entered("cuMemcpyDtoHAsync"):
            memories = (*self._pinned(dest), gpu.memory_at(int(src), dest.nbytes))

            def run() -> None:
                dest.reshape(-1)[:] = gpu.bytes_at(int(src), dest.nbytes)

            gpu.put(_native(stream), Operation("dtoh", run, _COPY_OUT_MS, memories))

    def memset_d8_async(
        self, dest: int, data: int, size: int, stream: FakeStream | None = None
    ) -> None:
        gpu = self._gpu
        with gpu.entered("cuMemsetD8Async"):

            def run() -> None:
                gpu.bytes_at(int(dest), size)[:] = data

            memories = (gpu.memory_at(int(dest), size),)
            gpu.put(_native(stream), Operation("memset", run, 0.0, memories))
