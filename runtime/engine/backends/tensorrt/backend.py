"""Runs engines on TensorRT and TensorRT-RTX, with a few frames in flight.

One backend is one stream of frames: it has a thread that owns the GPU's context, an execution
context, and buffers. Twins share the engine, which is the weights.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError, UsageError
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.device.driver import Driver
from crispstream.runtime.engine.device.graphs import Graphs, load_graphs
from crispstream.runtime.engine.device.worker import GpuWorker
from crispstream.runtime.engine.native import load_flavour
from crispstream.runtime.latency import Latencies

from .context import Contexts
from .engine import LoadedEngine, Plan, Shelf
from .pipeline import Pipeline
from .slots import STAGES
from .watching import Report

__all__ = ["Plan", "TensorRTBackend"]

_GRAPHED_BY_US = "tensorrt"  # TensorRT-RTX captures its own graphs: see LoadedEngine
_logger = logging.getLogger("crispstream.engine")


class TensorRTBackend:
    """Enlarges frames with an engine. Calls come from one thread; its own thread uses the GPU.

    Attributes:
        name: the flavour.
        precision: of the graph that the engine was built from.
        device_latencies: how long the GPU took for `copy_in`, `infer` and `copy_out`, or for
            `whole`, a frame as one CUDA graph.
    """

    def __init__(
        self,
        provide: Callable[[int, int], Plan],
        *,
        flavour: str,
        precision: str,
        states: tuple[StateTensor, ...] = (),
        cuda_graph: bool = True,
        device_index: int = 0,
    ) -> None:
        """Start the thread; engines are asked for when `allocate` tells the size.

        Args:
            provide: called with height and width in px, in the thread that calls `allocate`, for
                an engine that takes them.
            flavour: "tensorrt" or "tensorrt-rtx".
            precision: for reports.
            states: the recurrent states of the engine.
            cuda_graph: replay each frame as one CUDA graph, if that can be done.
            device_index: the GPU, counted from 0.

        Raises:
            UsageError: if the flavour is unknown.
            MissingExtraError: if TensorRT or pycuda is not installed.
            EngineError: if they, the driver or the GPU cannot be used.
        """
        self.name = flavour
        self.precision = precision
        self.device_latencies = Latencies(STAGES)
        self._trt = load_flavour(flavour)
        self._states = states
        self._cuda_graph = cuda_graph
        self._device_index = device_index
        self._provide = provide
        self._shelf = Shelf(provide)
        self._maker = _graph_maker(cuda_graph and flavour == _GRAPHED_BY_US)
        self._engine: LoadedEngine | None = None
        self._contexts: Contexts | None = None
        self._pipeline: Pipeline | None = None
        self._frames: list[Bytes] = []
        self._restored: list[Bytes] = []
        # One function a slot, made once: nothing is made for a frame.
        self._starts: list[Callable[[], None]] = []
        self._finishes: list[Callable[[], None]] = []
        self._closed = False
        self._worker = GpuWorker(partial(Driver, device_index))

    @property
    def replays_graphs(self) -> bool:
        """Whether frames run as CUDA graphs that were captured here."""
        return self._pipeline is not None and self._pipeline.replays_graphs

    def allocate(self, height: int, width: int, slots: int) -> None:
        """Make `slots` pairs of buffers [H,W,3] and [4H,4W,3], and get ready for frames.

        Asks for an engine unless one that takes the size is loaded; then a frame is run, so that
        the first that comes is as fast as the others. Recurrent state starts at zero. The frames
        of a CUDA graph with states need an even number of slots; with another, some run without.

        Raises:
            EngineError: if no engine takes the size, or memory is missing.
            Exception: what `provide` raises.
        """
        self._frames, self._restored, self._starts, self._finishes = [], [], [], []
        self._worker.call(self._drop_pipeline)  # first: building an engine wants memory
        if self._engine is None or self._engine.profile_for(width, height) is None:
            self._worker.call(self._drop_engine)
            engine = self._engine = self._shelf.borrow(height, width, self._load)
        else:
            engine = self._engine
        make = partial(self._make_pipeline, engine, (width, height), slots)
        pipeline = self._worker.call(make)
        self._frames = [slot.frame.array for slot in pipeline.slots]
        self._restored = [slot.restored.array for slot in pipeline.slots]
        self._starts = [partial(pipeline.start, index) for index in range(slots)]
        self._finishes = [partial(pipeline.finish, index) for index in range(slots)]

    def _load(self, plan: Plan) -> LoadedEngine:
        return self._worker.call(partial(self._load_and_keep, plan))

    def _load_and_keep(self, plan: Plan) -> LoadedEngine:
        """In the worker: Ctrl-C may end the wait for it, and then nobody else has the engine."""
        engine = LoadedEngine(self._trt, self.name, plan, self._states, cuda_graph=self._cuda_graph)
        self._shelf.put(engine)
        self._engine = engine
        return engine

    def _make_pipeline(self, engine: LoadedEngine, size: tuple[int, int], slots: int) -> Pipeline:
        """In the worker: contexts belong to the engine and are kept from size to size."""
        if self._contexts is None:
            self._contexts = Contexts(engine, self._states)
        self._pipeline = Pipeline(
            self._worker.driver,
            self._contexts,
            self._states,
            size,
            slots,
            self.device_latencies,
            self._maker,
            keep_addresses=self._maker is not None or engine.captures_graphs,
        )
        return self._pipeline

    def frame(self, slot: int) -> Bytes:
        """Return the input buffer of a slot."""
        return self._frames[slot]

    def restored(self, slot: int) -> Bytes:
        """Return the output buffer of a slot; readable also after `close`."""
        return self._restored[slot]

    def submit(self, slot: int) -> None:
        """Send a slot's frame on its way and return at once; `wait` tells if that failed.

        Raises:
            EngineError: if the GPU's context is lost.
        """
        self._worker.post(self._starts[slot])

    def wait(self, slot: int) -> None:
        """Return when the slot's output is complete.

        Raises:
            EngineError: if the frame could not be started or not be finished.
        """
        self._worker.call(self._finishes[slot])

    def watch_layers(self, report: Report) -> str:
        """Have the layers of every frame timed from now on, which slows them.

        `report` is called in this backend's own thread; for one frame after the other if each is
        waited for before the next is submitted. Returned is what the library tells of its layers,
        as JSON; see `watching.layers_json`.

        Raises:
            UsageError: if frames run as CUDA graphs, in which nothing is timed.
            EngineError: if `allocate` was not called.
        """
        if self._cuda_graph:
            raise UsageError("layers in CUDA graphs are not timed; open it with cuda_graph=False")
        if self._pipeline is None:
            raise EngineError("no engine is loaded whose layers could be timed; allocate first")
        return self._worker.call(partial(self._pipeline.watch_layers, self._trt, report))

    def reset(self) -> None:
        """Set recurrent state to zero, for the frames that are submitted from now on."""
        if self._pipeline is not None:
            self._worker.post(self._pipeline.reset)

    def twin(self) -> "TensorRTBackend":
        """Return a backend for another stream of frames, with its own context and buffers."""
        other = TensorRTBackend(
            self._provide,
            flavour=self.name,
            precision=self.precision,
            states=self._states,
            cuda_graph=self._cuda_graph,
            device_index=self._device_index,
        )
        other._shelf = self._shelf
        return other

    def close(self) -> None:
        """Finish what is in flight, free everything, and end the thread."""
        if self._closed:
            return
        self._closed = True
        self._frames, self._restored, self._starts, self._finishes = [], [], [], []
        try:
            # A lost context has taken everything along; who used it has been told.
            with suppress(EngineError):
                self._worker.call(self._drop_all)
        finally:
            self._worker.close()
            self._pipeline, self._contexts, self._engine = None, None, None

    def _drop_pipeline(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            if pipeline.gave_graphs_up:
                self._maker = None
            pipeline.close()

    def _drop_engine(self) -> None:
        contexts, self._contexts = self._contexts, None
        engine, self._engine = self._engine, None
        if contexts is not None:
            contexts.close()
        if engine is not None:
            self._shelf.give_back(engine)

    def _drop_all(self) -> None:
        try:
            self._drop_pipeline()
        finally:
            self._drop_engine()


def _graph_maker(wanted: bool) -> Graphs | None:
    if not wanted:
        return None
    found = load_graphs()
    if isinstance(found, str):
        _logger.warning("%s", found)
        return None
    return found
