"""The CUDA driver as the kit uses it: one primary context, buffers, streams and events.

The only importer of pycuda. All of it is made, used and closed in one thread, the one that
`worker.py` starts: pycuda frees nothing from another thread. Nothing here waits for the garbage
collector, which may run in any thread.

Pinned memory, which pycuda cannot give in a way that suits us, is in `pinned.py`.
"""

from typing import Any

from crispstream.core.errors import EngineError
from crispstream.core.optional import require

from .pinned import HostBuffer, open_libcuda

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, for which pycuda has no name: what other code in the process does on the
default stream then neither waits for ours nor breaks a capture."""

_LOST = (
    "illegal memory access",
    "illegal instruction",
    "misaligned address",
    "shared address space",
    "invalid program counter",
    "hardware stack error",
    "launch failure",
    "launch timed out",
    "device-side assert",
    "uncorrectable",
    "context is destroyed",
    "driver shutting down",
    "unknown error",
)
"""Words of the errors (cuGetErrorString) after which no call in the context succeeds any more."""


def load_cuda() -> Any:  # noqa: ANN401 (untyped library)
    """Return pycuda's driver module, started. Quick where there is no driver.

    Raises:
        EngineError: if there is no driver, it sees no GPU, or pycuda does not fit it.
        MissingExtraError: if pycuda is not installed.
    """
    open_libcuda()  # before the import, which takes long and warns where there is none
    try:
        cuda = require("pycuda.driver", "cuda")
    except ImportError as error:
        raise EngineError(
            f"pycuda is installed but does not load ({error}); build it again on this machine: "
            "pip install --force-reinstall --no-cache-dir --no-binary pycuda pycuda",
            str(error),
        ) from error
    try:
        cuda.init()
        count = cuda.Device.count()
    except cuda.Error as error:
        raise EngineError(
            f"the NVIDIA driver did not start ({error}); check it with nvidia-smi, and the "
            "variable CUDA_VISIBLE_DEVICES",
            str(error),
        ) from error
    if not count:
        raise EngineError(
            "the NVIDIA driver sees no GPU; check with nvidia-smi, and the variable "
            "CUDA_VISIBLE_DEVICES"
        )
    return cuda


class Stream:
    """A queue of work on the GPU; streams wait for each other only where they are told to."""

    __slots__ = ("handle", "native")

    def __init__(self, native: Any) -> None:  # noqa: ANN401
        """Wrap pycuda's stream."""
        self.native = native
        self.handle = int(native.handle)
        """The CUstream, as other libraries take it."""

    def wait_for(self, event: "Event") -> None:
        """Let later work on this stream wait until the event is reached on its own."""
        self.native.wait_for_event(event.native)

    def synchronise(self) -> None:
        """Return when all work so far is done."""
        self.native.synchronize()

    def close(self) -> None:
        """Give the stream back; pycuda does so when its last reference goes."""
        self.native = None


class Event:
    """A mark in a stream, with the time at which the GPU reached it."""

    __slots__ = ("native",)

    def __init__(self, native: Any) -> None:  # noqa: ANN401
        """Wrap pycuda's event."""
        self.native = native

    def record(self, stream: Stream) -> None:
        """Put the mark behind all work of the stream so far."""
        self.native.record(stream.native)

    def synchronise(self) -> None:
        """Return when the GPU has reached the mark; sleeps meanwhile instead of spinning."""
        self.native.synchronize()

    def milliseconds_since(self, earlier: "Event") -> float:
        """Return the time between two marks that were reached."""
        return float(self.native.time_since(earlier.native))

    def close(self) -> None:
        """Give the event back, as a stream."""
        self.native = None


class DeviceBuffer:
    """Memory on the GPU."""

    def __init__(self, native: Any) -> None:  # noqa: ANN401
        """Wrap pycuda's allocation."""
        self._native = native
        self.pointer = int(native)

    def close(self) -> None:
        """Free the memory; twice does no harm."""
        native, self._native = self._native, None
        if native is not None:
            native.free()


class Driver:
    """The primary context of one GPU, current in the thread that made this, until `close`.

    `copy_to_device(pointer, array, stream.native)`, `copy_to_host(array, pointer, stream.native)`
    and `fill(pointer, value, byte_count, stream.native)` are pycuda's own asynchronous functions,
    one call each, as they run for every frame.

    Attributes:
        integrated: whether the GPU shares the computer's memory, as on a Jetson.
    """

    def __init__(self, index: int = 0) -> None:
        """Make the context current. It is the one that other libraries use too.

        Raises:
            EngineError: if there is no such GPU, or the driver refuses.
            MissingExtraError: if pycuda is not installed.
        """
        self._cuda = cuda = load_cuda()
        self._libcuda = open_libcuda()
        self.copy_to_device = cuda.memcpy_htod_async
        self.copy_to_host = cuda.memcpy_dtoh_async
        self.fill = cuda.memset_d8_async
        try:
            device = cuda.Device(index)
            self.integrated = bool(device.get_attribute(cuda.device_attribute.INTEGRATED))
            self._context = device.retain_primary_context()
            self._context.push()
        except cuda.Error as error:
            raise EngineError(
                f"GPU {index} gave no context ({error}); check with nvidia-smi that it is there "
                "and not held by another process",
                str(error),
            ) from error

    def close(self) -> None:
        """Let the context go.

        Only `detach`: it empties pycuda's stack of contexts even if the driver fails, and a stack
        that is not empty when its thread ends makes pycuda abort the process. What is freed
        afterwards is dropped without a call to the driver.
        """
        self._context.detach()

    def stream(self) -> Stream:
        """Return a new stream that has nothing to do with the default one."""
        return Stream(self._cuda.Stream(_NON_BLOCKING))

    def event(self) -> Event:
        """Return a new event."""
        return Event(self._cuda.Event(self._cuda.event_flags.BLOCKING_SYNC))

    def device_buffer(self, byte_count: int) -> DeviceBuffer:
        """Return memory on the GPU; its content is left to chance.

        Raises:
            EngineError: if there is not so much left.
        """
        try:
            return DeviceBuffer(self._cuda.mem_alloc(byte_count))
        except self._cuda.MemoryError as error:
            free, total = (each / 2**20 for each in self._cuda.mem_get_info())
            raise EngineError(
                f"the GPU has no {byte_count / 2**20:.3g} MiB of memory for a buffer, "
                f"{free:.0f} of {total:.0f} MiB are free; end other programs that use it, send "
                "smaller frames, or keep fewer in flight",
                str(error),
            ) from error

    def host_buffer(self, shape: tuple[int, ...], *, mapped: bool = False) -> HostBuffer:
        """Return bytes, pinned if the driver does; `mapped` ones then have an address on the GPU.

        Raises:
            EngineError: if the computer has not so much memory, or the GPU's context is lost.
        """
        buffer = HostBuffer(self._libcuda, shape, mapped=mapped)
        if buffer.pin_error and not self._answers():
            raise EngineError(
                f"the driver pins no memory (CUDA error {buffer.pin_error}); restart the process"
            )
        return buffer

    def loses(self, error: BaseException) -> bool:
        """Return whether the context is of no more use after this error."""
        named = isinstance(error, self._cuda.Error) and any(w in str(error) for w in _LOST)
        return named or not self._answers()

    def _answers(self) -> bool:
        try:
            self._cuda.Context.synchronize()
        except self._cuda.Error:
            return False
        return True

    def explained(self, error: BaseException) -> BaseException:
        """Return the kit's own error in place of pycuda's; others as they are."""
        if not isinstance(error, self._cuda.Error):
            return error
        hint = "check the GPU with nvidia-smi, and open the model again"
        if isinstance(error, self._cuda.MemoryError):
            hint = "end other programs that use the GPU, or send smaller frames"
        made = EngineError(f"the CUDA driver refused: {error}; {hint}", str(error))
        made.__cause__ = error
        return made
