"""Recurrent state on the GPU: two buffers for each tensor, swapped by every frame."""

from collections.abc import Sequence
from contextlib import ExitStack

from crispstream.core.bundle import StateTensor
from crispstream.core.tensors import STATE_IN, STATE_OUT
from crispstream.runtime.engine.device.driver import Driver, Stream

from .context import Addresses, EngineContext
from .slots import owned


class StateBuffers:
    """Where the state lies, and what is to be zero before the next frame.

    A frame reads one buffer of each pair and writes the other: its direction is the buffer that
    it reads, 0 or 1. With slots used in turn it is the parity of the slot, so that a graph
    captured for a slot has the right addresses in it.
    """

    def __init__(
        self,
        stack: ExitStack,
        driver: Driver,
        context: EngineContext,
        states: Sequence[StateTensor],
        width: int,
        height: int,
    ) -> None:
        """Make the buffers for frames of one size in px; they count as zero. The stack frees them.

        Raises:
            EngineError: if the GPU has not the memory.
        """
        self._driver = driver
        self._names = tuple(state.name for state in states)
        self._bytes = [context.state_bytes(state, width, height) for state in states]
        self._pairs = [
            tuple(owned(stack, driver.device_buffer(size)) for _ in range(2))
            for size in self._bytes
        ]
        self._held: int | None = None  # the buffer with the state; None: it is zero, in either

    def direction_for(self, slot: int) -> int:
        """Return the direction of the next frame, which lies in this slot.

        From zero, and where there is no state, it is the slot's parity; otherwise where the
        state is, also when slots are not used in turn.
        """
        return slot % 2 if self._held is None or not self._names else self._held

    def addresses(self, direction: int) -> Addresses:
        """Return where a frame of this direction finds its states."""
        return tuple(
            (f"{prefix}{name}", pair[side].pointer)
            for name, pair in zip(self._names, self._pairs, strict=True)
            for prefix, side in ((STATE_IN, direction), (STATE_OUT, 1 - direction))
        )

    def settle(self, direction: int, compute: Stream) -> None:
        """Put into the compute stream what must come before a frame of this direction: zeros."""
        if self._held is None:
            for size, pair in zip(self._bytes, self._pairs, strict=True):
                self._driver.fill(pair[direction].pointer, 0, size, compute.native)
        self._held = direction

    def turn(self) -> None:
        """Note that a frame was put into the compute stream: the state is in the other buffer."""
        if self._held is not None:
            self._held = 1 - self._held

    def forget(self) -> None:
        """Let the next frame start from zero."""
        self._held = None
