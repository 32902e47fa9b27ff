"""Memory of the computer that the GPU can copy by itself, or use in place.

It is ordinary memory that the driver pins, not memory that the driver lends: an array that was
handed out stays readable after everything else is closed, and may be dropped in any thread.
pycuda lends (`pagelocked_empty`), and frees only in the thread that asked. Its own
`register_host_memory` fails for memory that has an owner (inducer/pycuda issue 459) and crashes
with NumPy 2; so these three calls go to the driver's library directly.
"""

import ctypes
import logging
import math
import mmap
from typing import Any

import numpy as np

from crispstream.core.errors import EngineError
from crispstream.core.pixels import Bytes

LIBRARY = "libcuda.so.1"
_DEVICEMAP = 2  # CU_MEMHOSTREGISTER_DEVICEMAP

_logger = logging.getLogger("crispstream.engine")


def open_libcuda() -> Any:  # noqa: ANN401 (a C library)
    """Return the driver's library.

    Raises:
        EngineError: if there is none.
    """
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise EngineError(
            f"no NVIDIA driver: {LIBRARY} was not found; install the driver of the GPU, in a "
            "container start it with --gpus all, or choose --backend onnxruntime",
            str(error),
        ) from error


class HostBuffer:
    """Bytes in the computer's memory that the GPU can copy by itself, or use where they are.

    Attributes:
        array: the bytes; readable and writable also after `close`, as long as it is kept.
        pin_error: the code with which the driver refused to pin them, 0 if it did not; copies work
            without, but hold up their thread. 801 is a Tegra before Xavier, which cannot.
        pointer: where the GPU sees them, None if they are not mapped.
    """

    def __init__(self, libcuda: Any, shape: tuple[int, ...], *, mapped: bool) -> None:  # noqa: ANN401
        """Make the memory, zeros, and pin it if the driver does.

        Raises:
            EngineError: if the computer has not so much memory, or it was pinned but not mapped.
        """
        # Anonymous shared pages: a private page that is written to after a fork is replaced by
        # a copy, and the GPU would go on reading the old one. The view keeps the map alive.
        size = math.prod(shape)
        try:
            pages = mmap.mmap(-1, size)
        except OSError as error:
            raise EngineError(
                f"the computer has no {size / 2**20:.3g} MiB of memory for a buffer "
                f"({error.strerror}); send smaller frames, or keep fewer in flight"
            ) from error
        self.array: Bytes = np.frombuffer(pages, np.uint8).reshape(shape)
        self.pointer: int | None = None
        self._libcuda = libcuda
        self._address = ctypes.c_void_p(self.array.ctypes.data)
        flags = _DEVICEMAP if mapped else 0
        self.pin_error: int = self._libcuda.cuMemHostRegister_v2(
            self._address, ctypes.c_size_t(size), ctypes.c_uint(flags)
        )
        self._pinned = self.pin_error == 0
        if mapped and self._pinned:
            self.pointer = self._device_pointer()

    def _device_pointer(self) -> int:
        pointer = ctypes.c_uint64()
        code = self._libcuda.cuMemHostGetDevicePointer_v2(
            ctypes.byref(pointer), self._address, ctypes.c_uint(0)
        )
        if code:
            self.close()
            raise EngineError(
                f"the driver did not map memory for the GPU (CUDA error {code}); update the driver"
            )
        return pointer.value

    def close(self) -> None:
        """Unpin the memory, which must not be in use by the GPU; twice does no harm."""
        pinned, self._pinned = self._pinned, False
        if pinned and (code := self._libcuda.cuMemHostUnregister(self._address)):
            _logger.warning("the driver did not unpin a buffer (CUDA error %d)", code)
