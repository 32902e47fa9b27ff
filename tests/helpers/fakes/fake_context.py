"""The execution context of the fake TensorRT: a frame is two operations in a stream."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from crispstream.core.pixels import SCALE

from .fake_gpu import FakeGpu, Memory, Operation
from .fake_plan import ITEM_TYPES, Tensor
from .surface import Surfaced

_NETWORK_MS = 1.0
LAYER_MS = 0.25
"""What each layer takes, for a profiler."""


class Native(Surfaced):
    """Something with memory on the GPU, which a thread without the context must not let go."""

    _gpu: FakeGpu
    _kind: str
    _counted = False

    def _count(self) -> None:
        self._gpu.made(self._kind)
        self._counted = True

    def __del__(self) -> None:
        if not self._counted or self._gpu.sticky:
            return
        with self._gpu.lock:
            if not self._gpu.stack():
                self._gpu.fault(f"an {self._kind} was dropped in a thread without the context")
            self._gpu.gone(self._kind)
            self._freed()

    def _freed(self) -> None:
        """Look for what still needs it."""


class IExecutionContext(Native):
    """Runs an engine; its scratch memory holds one frame, so two at once would mix."""

    _kind = "execution context"
    profiler: Any = None

    def __init__(self, engine: Any, config: Any) -> None:
        self._engine = engine
        strategy = None if config is None else config._own("cuda_graph_strategy")
        self._gpu.graph_strategies.append("" if strategy is None else strategy._name)
        self._profile: int | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._captures_graphs = strategy is not None and strategy._name != "DISABLED"
        self._captured_for: object = None
        self._scratch: dict[str, npt.NDArray[Any]] = {}
        self._count()
        engine._contexts += 1
        if config is not None and config._cache is not None and not config._cache._kernels:
            config._cache._kernels = b"fake kernels"
            self._gpu.created["compilation"] += 1

    def _freed(self) -> None:
        self._engine._contexts -= 1

    def set_optimization_profile_async(self, index: int, stream_handle: int) -> bool:
        """Return True; refuse as the bindings of 10.x do, whatever their documentation says."""
        with self._gpu.entered("set_optimization_profile_async"):
            if not 0 <= index < len(self._engine._plan.profiles):
                self._engine._runtime._say(f"Error Code 3: no profile {index}")
                raise RuntimeError("Error in set optimization profile async.")
            self._fault_if_captured("the profile")
            self._profile = index
            return True

    def _fault_if_captured(self, what: str) -> None:
        """A graph that was captured from a context goes on using what the context has."""
        captured = [graph.operations for graph in self._gpu.executables]
        captured += [stream.captured or [] for stream in self._gpu.streams.values()]
        if any(operation.context is self for graph in captured for operation in graph):
            self._gpu.fault(f"{what} of a context changed after a graph was captured from it")

    def set_input_shape(self, name: str, shape: Iterable[int]) -> bool:
        shape = tuple(shape)
        limits = self._engine._plan.profiles[self._profile or 0].get(name)
        inside = limits is None or all(
            low <= side <= high for low, side, high in zip(limits[0], shape, limits[2], strict=True)
        )
        if self._profile is None or not inside:
            self._engine._runtime._say(f"Error Code 3: {shape} is not in the profile of {name}")
            return False
        self._fault_if_captured("a shape")
        self._shapes[name] = shape
        return True

    def infer_shapes(self) -> list[str]:
        """Return the inputs without a shape; raise for shapes that contradict each other."""
        plan = self._engine._plan
        inputs = [tensor.name for tensor in plan.tensors if tensor.is_input]
        missing = [name for name in inputs if name not in self._shapes]
        for name in [] if missing or plan.graph else inputs:
            if self._shapes[name] != self._shape(name):
                self._engine._runtime._say(f"Error Code 4: Shape Error (of {name})")
                raise RuntimeError("Shape inference failed.")
        return missing

    def _shape(self, name: str) -> tuple[int, ...]:
        _, height, width, _ = self._shapes["frame"]
        tensor = self._engine._tensor(name)
        if name == "restored":
            return 1, SCALE * height, SCALE * width, 3
        if name == "frame":
            return self._shapes[name]
        return 1, tensor.channels, height // tensor.divisor, width // tensor.divisor

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shape(name)

    def set_tensor_address(self, name: str, address: int) -> bool:
        if address <= 0 or name not in [tensor.name for tensor in self._engine._plan.tensors]:
            return False
        # In mapped memory every slot has addresses of its own, and a graph of its own.
        if self._addresses.get(name) != address and not self._gpu.integrated:
            self._fault_if_captured("an address")
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        with self._gpu.entered("execute_async_v3"):
            captured = self._gpu.streams[stream_handle].captured is not None
            if captured and self._gpu.fail_capture == "work":
                self._engine._runtime._say("Error Code 1: Cuda Runtime (operation not permitted)")
                return False
            try:
                self._enqueue(stream_handle)
            except KeyError as error:
                self._engine._runtime._say(f"Error Code 3: nothing is set for {error}")
                return False
            return True

    def _enqueue(self, stream_handle: int) -> None:
        """Put two operations into the stream: between them, others of other streams may run."""
        self._capture_by_itself()
        addresses = {t: self._addresses[t.name] for t in self._engine._plan.tensors}
        sizes = {t: self._bytes(t) for t in addresses}
        memories = {t: self._gpu.memory_at(addresses[t], sizes[t]) for t in addresses}

        def read() -> None:
            inputs = {
                t.name: self._array(t, addresses[t], sizes[t]) for t in addresses if t.is_input
            }
            self._scratch = dict(self._engine._plan.compute(inputs))

        def write() -> None:
            for tensor in (t for t in addresses if not t.is_input):
                out = np.ascontiguousarray(self._scratch[tensor.name]).view(np.uint8)
                self._gpu.bytes_at(addresses[tensor], sizes[tensor])[:] = out.reshape(-1)
            self._scratch = {}
            self._gpu.network_ran()
            self._report()

        stream = self._gpu.streams[stream_handle]
        touched: tuple[Memory, ...] = tuple(memories.values())
        for run, ms in ((read, _NETWORK_MS), (write, 0.0)):
            self._gpu.put(stream, Operation("network", run, ms, touched, context=self))

    def _report(self) -> None:
        profiler = self._own("profiler")
        for layer in self._engine._plan.layers if profiler is not None else ():
            name = layer if isinstance(layer, str) else layer["Name"]
            profiler._own("report_layer_time")(name, LAYER_MS)

    def _capture_by_itself(self) -> None:
        """TensorRT-RTX captures anew when anything that a graph holds has changed."""
        now = (self._profile, dict(self._shapes), dict(self._addresses))
        if self._captures_graphs and now != self._captured_for:
            self._captured_for = now
            self._gpu.own_captures += 1

    def _bytes(self, tensor: Tensor) -> int:
        items = int(np.prod(self._shape(tensor.name)))
        return items * int(np.dtype(ITEM_TYPES[tensor.kind]).itemsize)

    def _array(self, tensor: Tensor, address: int, size: int) -> npt.NDArray[Any]:
        content = self._gpu.bytes_at(address, size).copy()
        return content.view(ITEM_TYPES[tensor.kind]).reshape(self._shape(tensor.name))
