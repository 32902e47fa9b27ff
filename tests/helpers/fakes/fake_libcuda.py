"""A fake of the driver's library, over a `FakeGpu`: what the kit calls in it itself."""

import ctypes
from typing import Any

import numpy as np

from .fake_gpu import FakeGpu, FakeMemoryError, Memory

_OUT_OF_MEMORY = 2


class FakeLibcuda:
    """The calls that the kit makes into the driver's library itself."""

    def __init__(self, gpu: FakeGpu) -> None:
        self._gpu = gpu
        self._registered: dict[int, Memory] = {}

    def cuMemHostRegister_v2(  # noqa: N802 (the library's name)
        self, address: ctypes.c_void_p, size: ctypes.c_size_t, flags: ctypes.c_uint
    ) -> int:
        with self._gpu.entered("cuMemHostRegister"):
            if self._gpu.pin_refused:
                return self._gpu.pin_refused
            at = address.value or 0
            content = np.frombuffer((ctypes.c_uint8 * size.value).from_address(at), np.uint8)
            try:
                self._gpu.made("host_register")
            except FakeMemoryError:
                self._gpu.unpinned.append(content)
                return _OUT_OF_MEMORY
            self._registered[at] = self._gpu.add_memory("host", content)
            return 0

    def cuMemHostGetDevicePointer_v2(  # noqa: N802
        self, pointer: Any, address: ctypes.c_void_p, flags: ctypes.c_uint
    ) -> int:
        pointer._obj.value = self._registered[address.value or 0].address
        return 0

    def cuMemHostUnregister(self, address: ctypes.c_void_p) -> int:  # noqa: N802
        with self._gpu.entered("cuMemHostUnregister"):
            self._gpu.release(self._registered.pop(address.value or 0))
            self._gpu.gone("host_register")
            return 0
