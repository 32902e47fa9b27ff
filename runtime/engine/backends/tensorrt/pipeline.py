"""The way of frames through the GPU: copied in, worked on, copied out, on three streams.

While one frame is computed the next is copied in and the one before copied out; marks in the
streams keep the order. With a CUDA graph a frame is one call, on the compute stream alone. On an
integrated GPU nothing is copied: the network works in the computer's memory.

Shape letters: H height, W width. Everything here runs in the thread that has the GPU's context.
"""

import logging
from collections.abc import Sequence
from contextlib import ExitStack

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError
from crispstream.runtime.engine.device.driver import Driver
from crispstream.runtime.engine.device.graphs import Graphs
from crispstream.runtime.latency import Latencies

from .context import EngineContext
from .graphs import SlotGraphs
from .slots import Slot, make_slot, owned
from .states import StateBuffers

_logger = logging.getLogger("crispstream.engine")


class Pipeline:
    """Buffers, streams and graphs for frames of one size, made once and used in turn."""

    def __init__(
        self,
        driver: Driver,
        context: EngineContext,
        states: Sequence[StateTensor],
        size: tuple[int, int],
        slot_count: int,
        latencies: Latencies,
        graphs: Graphs | None = None,
    ) -> None:
        """Allocate all there is for frames of (width, height), and run one to warm up.

        `graphs` captures CUDA graphs; None does without.

        Raises:
            EngineError: if memory is missing or the library refuses; nothing is left then.
        """
        width, height = size
        self._driver = driver
        self._context = context
        self._latencies = latencies
        with ExitStack() as stack:
            self._copy_in, self._compute, self._copy_out = (
                owned(stack, driver.stream()) for _ in range(3)
            )
            context.fit(width, height, self._compute.handle)
            self.slots = tuple(
                make_slot(stack, driver, index, width, height, mapped=driver.integrated)
                for index in range(slot_count)
            )
            self._states = StateBuffers(stack, driver, context, states, width, height)
            self._graphs = owned(stack, SlotGraphs(driver, self._compute))
            self._addresses = [
                [slot.addresses + self._states.addresses(direction) for direction in (0, 1)]
                for slot in self.slots
            ]
            stack.callback(self._drain)  # closed last in, first out: before any memory is freed
            self._warm_up(graphs)
            self._open = stack.pop_all()
        if not all(slot.frame.pinned for slot in self.slots):
            _logger.warning("the driver cannot pin memory on this machine: copies are slower")

    @property
    def stale(self) -> bool:
        """Whether a CUDA graph was found not to do its work."""
        return self._graphs.stale

    @property
    def replays_graphs(self) -> bool:
        """Whether frames are CUDA graphs."""
        return self._graphs.in_use

    def _warm_up(self, graphs: Graphs | None) -> None:
        """Run a frame: libraries load kernels and allocate at the first, and captures need that."""
        first = self.slots[0]
        self._enqueue(first, 0)
        first.in_work[-1].end.synchronise()
        first.in_work = ()
        self._states.forget()
        if graphs is not None:
            self._graphs.capture(graphs, self.slots, self._put_on_compute)

    def start(self, index: int) -> None:
        """Put the frame of a slot to work; a failure is kept for `finish`."""
        slot = self.slots[index]
        slot.in_work, slot.failure = (), None
        try:
            self._run(slot)
        except Exception as error:  # noqa: BLE001 (kept for who waits for this frame)
            slot.in_work, slot.failure = (), error
            self._states.forget()

    def _run(self, slot: Slot) -> None:
        direction = self._states.direction_for(slot.index)
        replay = self._graphs.in_use and direction == slot.index % 2
        if not (replay and self._replay(slot, direction)):
            self._enqueue(slot, direction)
        self._states.turn()

    def _replay(self, slot: Slot, direction: int) -> bool:
        """Start a slot's graph; False if it was found stale: what was before it counts no more."""
        self._states.settle(direction, self._compute)
        slot.whole.begin.record(self._compute)
        done = self._graphs.launch(slot)
        slot.whole.end.record(self._compute)
        slot.in_work = (slot.whole,)
        if not done:
            self._states.forget()
        return done

    def _enqueue(self, slot: Slot, direction: int) -> None:
        if slot.is_mapped:
            self._infer(slot, direction)
            slot.in_work = (slot.infer,)
            return
        slot.copy_in.begin.record(self._copy_in)
        self._driver.copy_to_device(slot.frame_pointer, slot.frame.array, self._copy_in.native)
        slot.copy_in.end.record(self._copy_in)
        self._compute.wait_for(slot.copy_in.end)
        self._infer(slot, direction)
        self._copy_out.wait_for(slot.infer.end)
        slot.copy_out.begin.record(self._copy_out)
        self._driver.copy_to_host(slot.restored.array, slot.restored_pointer, self._copy_out.native)
        slot.copy_out.end.record(self._copy_out)
        slot.in_work = (slot.copy_in, slot.infer, slot.copy_out)

    def _infer(self, slot: Slot, direction: int) -> None:
        self._states.settle(direction, self._compute)
        slot.infer.begin.record(self._compute)
        self._context.bind(self._addresses[slot.index][direction])
        self._context.enqueue(self._compute.handle)
        slot.infer.end.record(self._compute)

    def _put_on_compute(self, slot: Slot) -> None:
        """Put a frame into the compute stream alone, for a graph; its direction is its parity."""
        compute = self._compute.native
        self._context.bind(self._addresses[slot.index][slot.index % 2])
        if not slot.is_mapped:
            self._driver.copy_to_device(slot.frame_pointer, slot.frame.array, compute)
        self._context.enqueue(self._compute.handle)
        if not slot.is_mapped:
            self._driver.copy_to_host(slot.restored.array, slot.restored_pointer, compute)

    def finish(self, index: int) -> None:
        """Return when the frame of a slot is complete, and note how long its stages took.

        Raises:
            EngineError: if there is none in work.
            Exception: what kept it from being started.
        """
        slot = self.slots[index]
        spans, slot.in_work = slot.in_work, ()
        if slot.failure is not None:
            raise slot.failure
        if not spans:
            raise EngineError(f"no frame is in work in slot {index}; submit one first")
        spans[-1].end.synchronise()
        for span in spans:
            self._latencies.record(span.stage, span.duration_ns())

    def reset(self) -> None:
        """Let the next frame start from a recurrent state of zero."""
        self._states.forget()

    def _drain(self) -> None:
        for stream in (self._copy_in, self._compute, self._copy_out):
            stream.synchronise()

    def close(self) -> None:
        """Wait for what is in flight, then free everything; twice does no harm."""
        self._open.close()
