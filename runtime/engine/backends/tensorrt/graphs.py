"""The CUDA graphs of a pipeline: one for each slot, replayed instead of enqueued anew.

A graph holds the addresses that it was captured with: of its slot's memory in the computer, and of
the direction of the state, which with slots used in turn belongs to the slot too.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.device.driver import Driver, Stream
from crispstream.runtime.engine.device.graphs import Graph, Graphs

from .canary import EVERY, Canary
from .slots import Slot

_logger = logging.getLogger("crispstream.engine")


class SlotGraphs:
    """Graphs of the slots, as long as they can be trusted; none at first.

    Attributes:
        stale: whether one did not do its work: what was before it counts no more.
        refused: whether the driver did not start one.
    """

    def __init__(self, driver: Driver, compute: Stream) -> None:
        """Prepare the checks.

        Raises:
            EngineError: if the driver refuses.
        """
        self.stale = False
        self.refused = False
        self._driver = driver
        self._compute = compute
        self._graphs: list[Graph] = []
        self._launches: list[int] = []
        self._canary = Canary(driver, compute)

    @property
    def in_use(self) -> bool:
        """Whether there are graphs to replay."""
        return bool(self._graphs)

    def capture(
        self,
        maker: Graphs,
        slots: Sequence[Slot],
        prepare: Callable[[Slot], None],
        work: Callable[[Slot], None],
    ) -> None:
        """Capture what `work` puts into the compute stream for each slot, or do without graphs.

        The same work must have run once before, as TensorRT allocates at its first frame: earlier,
        or in `prepare`, which is called before each capture.
        """
        try:
            for slot in slots:
                prepare(slot)
                self._graphs.append(maker.capture(self._compute.handle, partial(work, slot)))
        except Exception as error:  # noqa: BLE001 (whatever it is, frames run without graphs)
            self._drop()
            # Its text alone: a log that keeps the error would keep what is of the GPU.
            _logger.warning("no CUDA graphs, frames are enqueued one by one: %s", str(error))
        self._launches = [0] * len(self._graphs)

    def launch(self, slot: Slot) -> bool:
        """Start a slot's graph; return False if it did not its work, and no graph is left.

        Raises:
            EngineError: if the GPU's context is lost.
        """
        graph = self._graphs[slot.index]
        count = self._launches[slot.index]
        self._launches[slot.index] = count + 1
        try:
            if count % EVERY:
                graph.launch()
                return True
            stale = self._canary.stale_part(slot, graph.launch)
        except EngineError as error:
            self._give_up_unless_lost(error)
            return False
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

    def _give_up_unless_lost(self, error: EngineError) -> None:
        if self._driver.loses(error):  # asking waits until nothing runs any more
            raise error
        self.refused = True
        self._drop()
        _logger.warning("%s; from now on frames are enqueued one by one", str(error))

    def _drop(self) -> None:
        for graph in self._graphs:
            graph.close()
        self._graphs = []

    def close(self) -> None:
        """Destroy the graphs, none of which may be running."""
        self._drop()
        self._canary.close()
