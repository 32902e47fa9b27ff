"""The way of frames through the GPU: copied in, worked on, copied out.

There are two ways, and a third where nothing is copied:

    overlapped   Three streams: while one frame is computed the next is copied in and the one before
                 copied out; marks in the streams keep the order. Each slot has buffers on the GPU.
    serial       For CUDA graphs, ours or the library's: all on one stream, and one pair of buffers
                 on the GPU, so that no address that an execution context knows ever changes. A
                 capture that fails, and graphs that are given up, leave this way as it is.
    mapped       On an integrated GPU the network works in the computer's memory, slot by slot. A
                 graph is captured there right after a frame with the addresses of its slot.

Shape letters: H height, W width. Everything here runs in the thread that has the GPU's context.
"""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from types import ModuleType

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError
from crispstream.runtime.engine.device.driver import Driver
from crispstream.runtime.engine.device.graphs import Graphs
from crispstream.runtime.latency import Latencies

from .context import Contexts
from .graphs import SlotGraphs
from .slots import Slot, make_slots, owned
from .states import StateBuffers
from .watching import Report

_logger = logging.getLogger("crispstream.engine")


class Pipeline:
    """Buffers, streams and graphs for frames of one size, made once and used in turn."""

    def __init__(
        self,
        driver: Driver,
        contexts: Contexts,
        states: Sequence[StateTensor],
        size: tuple[int, int],
        slot_count: int,
        latencies: Latencies,
        graphs: Graphs | None = None,
        *,
        keep_addresses: bool = False,
    ) -> None:
        """Allocate all there is for frames of (width, height), and run one to warm up.

        `graphs` captures CUDA graphs; None does without. `keep_addresses` asks for the serial way,
        which graphs need.

        Raises:
            EngineError: if memory is missing or the library refuses; nothing is left then.
        """
        width, height = size
        self._driver = driver
        self._latencies = latencies
        with ExitStack() as stack:
            self._compute = owned(stack, driver.stream())
            self.slots = make_slots(stack, driver, slot_count, width, height, share=keep_addresses)
            self._serial = keep_addresses and not self.slots[0].is_mapped
            self._copy_in, self._copy_out = (
                self._compute if self._serial else owned(stack, driver.stream()) for _ in range(2)
            )
            # One for each direction of the state: else its addresses would change at each frame.
            self._contexts = contexts.take(2 if self._serial and states else 1)
            for context in self._contexts:
                context.fit(width, height, self._compute.handle)
            self._states = StateBuffers(stack, driver, context, states, width, height)
            self._graphs = owned(stack, SlotGraphs(driver, self._compute))
            self._addresses = [
                [slot.addresses + self._states.addresses(direction) for direction in (0, 1)]
                for slot in self.slots
            ]
            stack.callback(self._drain)  # closed last in, first out: before any memory is freed
            self._warm_up(graphs)
            self._open = stack.pop_all()
        _warn_of_unpinned(self.slots)

    @property
    def gave_graphs_up(self) -> bool:
        """Whether a CUDA graph did not start or not do its work: no more should be captured."""
        return self._graphs.stale or self._graphs.refused

    @property
    def replays_graphs(self) -> bool:
        """Whether frames are CUDA graphs."""
        return self._graphs.in_use

    def _warm_up(self, graphs: Graphs | None) -> None:
        """Run a frame: libraries load kernels and allocate at the first, and captures need that."""
        for direction in range(len(self._contexts)):
            self._run_once(self.slots[0], direction)
        if graphs is not None:
            self._graphs.capture(graphs, self.slots, self._prepare, self._put_on_compute)
        self._states.forget()

    def _run_once(self, slot: Slot, direction: int) -> None:
        self._enqueue(slot, direction)
        slot.in_work[-1].end.synchronise()
        slot.in_work = ()

    def _prepare(self, slot: Slot) -> None:
        if slot.is_mapped:  # others have the addresses of the frame that was run
            self._run_once(slot, slot.index % 2)

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
        if self._graphs.stale:
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
        if not self._serial:
            self._compute.wait_for(slot.copy_in.end)
        self._infer(slot, direction)
        if not self._serial:
            self._copy_out.wait_for(slot.infer.end)
        slot.copy_out.begin.record(self._copy_out)
        self._driver.copy_to_host(slot.restored.array, slot.restored_pointer, self._copy_out.native)
        slot.copy_out.end.record(self._copy_out)
        slot.in_work = (slot.copy_in, slot.infer, slot.copy_out)

    def _infer(self, slot: Slot, direction: int) -> None:
        self._states.settle(direction, self._compute)
        slot.infer.begin.record(self._compute)
        self._run_network(slot, direction)
        slot.infer.end.record(self._compute)

    def _run_network(self, slot: Slot, direction: int) -> None:
        context = self._contexts[direction % len(self._contexts)]
        context.bind(self._addresses[slot.index][direction])
        context.enqueue(self._compute.handle)

    def _put_on_compute(self, slot: Slot) -> None:
        """Put a frame into the compute stream alone, for a graph; its direction is its parity."""
        compute = self._compute.native
        if not slot.is_mapped:
            self._driver.copy_to_device(slot.frame_pointer, slot.frame.array, compute)
        self._run_network(slot, slot.index % 2)
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

    def watch_layers(self, trt: ModuleType, report: Report) -> str:
        """Have the layers of every frame timed; see `EngineContext.watch_layers`."""
        return [context.watch_layers(trt, report) for context in self._contexts][-1]

    def reset(self) -> None:
        """Let the next frame start from a recurrent state of zero."""
        self._states.forget()

    def _drain(self) -> None:
        for stream in {self._copy_in, self._compute, self._copy_out}:
            stream.synchronise()

    def close(self) -> None:
        """Wait for what is in flight, then free everything; twice does no harm."""
        self._open.close()


def _warn_of_unpinned(slots: Sequence[Slot]) -> None:
    codes = [each.pin_error for slot in slots for each in (slot.frame, slot.restored)]
    if code := next(filter(None, codes), 0):
        _logger.warning(
            "the driver did not pin memory for frames (CUDA error %d): copies are slower", code
        )
