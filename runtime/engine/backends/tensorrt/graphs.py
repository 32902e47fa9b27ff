"""The CUDA graphs of a pipeline: one for each slot, replayed instead of enqueued anew.

A graph holds the addresses that it was captured with. Each slot has its own buffers, and with
slots used in turn its own direction of the state, so there is one graph a slot.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from crispstream.runtime.engine.device.driver import Driver, Stream
from crispstream.runtime.engine.device.graphs import Graph, Graphs

from .canary import EVERY, Canary
from .slots import Slot

_logger = logging.getLogger("crispstream.engine")


class SlotGraphs:
    """Graphs of the slots, as long as they can be trusted; none at first.

    Attributes:
        stale: whether one did not do its work: then no more should be captured on this machine.
    """

    def __init__(self, driver: Driver, compute: Stream) -> None:
        """Prepare the checks.

        Raises:
            EngineError: if the driver refuses.
        """
        self.stale = False
        self._compute = compute
        self._graphs: list[Graph] = []
        self._launches: list[int] = []
        self._canary = Canary(driver, compute)

    @property
    def in_use(self) -> bool:
        """Whether there are graphs to replay."""
        return bool(self._graphs)

    def capture(self, maker: Graphs, slots: Sequence[Slot], work: Callable[[Slot], None]) -> None:
        """Capture what `work` puts into the compute stream for each slot, or do without graphs.

        The same work must have run once before: TensorRT allocates at its first frame.
        """
        try:
            for slot in slots:
                self._graphs.append(maker.capture(self._compute.handle, partial(work, slot)))
        except Exception as error:  # noqa: BLE001 (whatever it is, frames run without graphs)
            self._drop()
            # Its text alone: a log that keeps the error would keep what is of the GPU.
            _logger.warning("no CUDA graphs, frames are enqueued one by one: %s", str(error))
        self._launches = [0] * len(self._graphs)

    def launch(self, slot: Slot) -> bool:
        """Start a slot's graph; return False if it turned out stale, and no graph is left."""
        graph = self._graphs[slot.index]
        count = self._launches[slot.index]
        self._launches[slot.index] = count + 1
        if count % EVERY:
            graph.launch()
            return True
        stale = self._canary.stale_part(slot, graph.launch)
        if stale:
            self.stale = True
            self._drop()
            _logger.warning(
                "a CUDA graph did not do its work (%s): up to %d frames may show an old picture; "
                "from now on frames are enqueued one by one. Update the GPU's driver",
                stale,
                EVERY * len(self._launches),
            )
        return not stale

    def _drop(self) -> None:
        for graph in self._graphs:
            graph.close()
        self._graphs = []

    def close(self) -> None:
        """Destroy the graphs, none of which may be running."""
        self._drop()
        self._canary.close()
