"""A canary against stale replay: does a CUDA graph still do what was captured?

A graph that is started but does nothing, or does it at addresses of the past, raises no error:
the picture before is handed out again. So now and then random bytes are put where the graph must
write, before it starts, and looked for afterwards. Only the last 64 bytes of a buffer are used.
"""

import os
from collections.abc import Callable

import numpy as np

from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.device.driver import Driver, Stream
from crispstream.runtime.engine.device.pinned import HostBuffer

from .slots import Slot

EVERY = 256
"""Starts of a graph from one check to the next; the first is checked too."""
NONCE_BYTES = 64


class Canary:
    """Checks starts of graphs on one stream; each check waits until the graph is done."""

    def __init__(self, driver: Driver, compute: Stream) -> None:
        """Make a small pinned buffer.

        Raises:
            EngineError: if the driver refuses.
        """
        self._driver = driver
        self._compute = compute
        self._buffer: HostBuffer = driver.host_buffer((3, NONCE_BYTES))

    def stale_part(self, slot: Slot, launch: Callable[[], None]) -> str:
        """Start a slot's graph with `launch`; return what it did not do, "" if all was done."""
        host_in, host_out = _tail(slot.frame.array), _tail(slot.restored.array)
        if slot.is_mapped:  # the GPU works in the computer's memory: nothing is copied
            nonce = _random(len(host_out))
            host_out[:] = nonce
            launch()
            self._compute.synchronise()
            return "the network" if np.array_equal(host_out, nonce) else ""
        sent_in, sent_out, got_in = (
            row[:size]
            for row, size in zip(
                self._buffer.array, (len(host_in), len(host_out), len(host_in)), strict=True
            )
        )
        sent_in[:], sent_out[:] = _random(len(sent_in)), _random(len(sent_out))
        host_out[:] = unwritten = _random(len(host_out))
        device_in = slot.frame_pointer + slot.frame.array.nbytes - len(host_in)
        device_out = slot.restored_pointer + slot.restored.array.nbytes - len(host_out)
        self._driver.copy_to_device(device_in, sent_in, self._compute.native)
        self._driver.copy_to_device(device_out, sent_out, self._compute.native)
        launch()
        self._driver.copy_to_host(got_in, device_in, self._compute.native)
        self._compute.synchronise()
        if not np.array_equal(got_in, host_in):
            return "the copy of the frame to the GPU"
        if np.array_equal(host_out, unwritten):
            return "the copy of the result from the GPU"
        return "the network" if np.array_equal(host_out, sent_out) else ""

    def close(self) -> None:
        """Give the buffer back."""
        self._buffer.close()


def _tail(array: Bytes) -> Bytes:
    return array.reshape(-1)[-NONCE_BYTES:]


def _random(count: int) -> Bytes:
    return np.frombuffer(os.urandom(count), np.uint8)
