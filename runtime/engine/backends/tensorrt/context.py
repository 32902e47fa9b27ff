"""Execution contexts of an engine: shapes and addresses set, then enqueued.

Every call of the library that gives a bool is checked: it logs the reason and goes on otherwise.
Some are documented to give one and raise RuntimeError in the bindings of 10.x instead.
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError
from crispstream.core.pixels import SCALE
from crispstream.core.tensors import FRAME, RESTORED, STATE_IN, state_shape
from crispstream.runtime.engine.native import Heard, listening

from .engine import LoadedEngine, sizes_text
from .watching import Report, profiler_of

Addresses = tuple[tuple[str, int], ...]
"""Name of a tensor -> where it lies on the GPU."""


class EngineContext:
    """Runs an engine for one stream of frames; one frame size at a time."""

    def __init__(self, engine: LoadedEngine, states: Sequence[StateTensor] = ()) -> None:
        """Make the context, with its scratch memory.

        Raises:
            EngineError: if the library refuses.
        """
        self._engine = engine
        self._states = tuple(states)
        self._native: Any = engine.create_context()
        self._bound: Addresses = ()
        self._profiler: Any = None

    def state_bytes(self, state: StateTensor, width: int, height: int) -> int:
        """Return the bytes of one of the two buffers of a state."""
        _, channels, rows, columns = state_shape(state, width, height)
        return channels * rows * columns * self._engine.item_bytes(f"{STATE_IN}{state.name}")

    def fit(self, width: int, height: int, stream_handle: int) -> None:
        """Set the profile and the shapes for frames of one size; the stream must be idle.

        Raises:
            EngineError: if no profile takes the size, or the library refuses.
        """
        profile = self._engine.profile_for(width, height)
        if profile is None:
            raise EngineError(
                f"the engine takes frames of {sizes_text(self._engine.profiles)} px, not "
                f"{width}x{height}; build it for that size: crispstream build --size "
                f"{width}x{height}"
            )
        self._bound = ()
        with listening() as heard:
            fault = self._set_shapes(heard, profile, width, height, stream_handle)
        if fault:
            said = heard.first_error() or "nothing"
            raise EngineError(
                f"{self._engine.flavour} refused {fault} for frames of {width}x{height} px; it "
                f"said: {said}; build the engine again: crispstream build --rebuild",
                said,
            )

    def _set_shapes(
        self, heard: Heard, profile: int, width: int, height: int, stream_handle: int
    ) -> str:
        """Return what the library refused, "" for nothing."""
        context = self._native
        if not _answer(heard, context.set_optimization_profile_async, profile, stream_handle):
            return f"its profile {profile}"
        shapes: dict[str, tuple[int, ...]] = {FRAME: (1, height, width, 3)}
        for state in self._states:
            shapes[f"{STATE_IN}{state.name}"] = state_shape(state, width, height)
        for name, shape in shapes.items():
            if not _answer(heard, context.set_input_shape, name, shape):
                return f"the shape {list(shape)} of {name}"
        missing = _answer(heard, context.infer_shapes)
        if missing is None or missing:
            return f"to infer the shapes of {', '.join(missing or shapes)}"
        made = tuple(context.get_tensor_shape(RESTORED))
        expected = (1, SCALE * height, SCALE * width, 3)
        return "" if made == expected else f"{list(expected)}, its result is {list(made)},"

    def bind(self, addresses: Addresses) -> None:
        """Tell where the tensors of the next frame lie, unless they lie where they did.

        Raises:
            EngineError: if the library refuses.
        """
        if addresses == self._bound:
            return
        self._bound = ()
        for name, address in addresses:
            if not self._native.set_tensor_address(name, address):
                raise EngineError(
                    f"{self._engine.flavour} refused the address of {name}; build the engine "
                    "again: crispstream build --rebuild"
                )
        self._bound = addresses

    def enqueue(self, stream_handle: int) -> None:
        """Put the network's work into a stream.

        Raises:
            EngineError: if the library refuses, with what it said.
        """
        if self._native.execute_async_v3(stream_handle):
            return
        # Nobody listened: to listen at each frame would cost more than the call itself.
        with listening() as heard:
            if self._native.execute_async_v3(stream_handle):
                return
        said = heard.first_error() or "nothing"
        raise EngineError(
            f"{self._engine.flavour} refused to run a frame, twice; it said: {said}; free memory "
            "on the GPU, or build the engine again: crispstream build --rebuild",
            said,
        )

    def watch_layers(self, trt: ModuleType, report: Report) -> str:
        """Have every layer timed from now on; return what the library tells of the layers.

        `enqueue` then returns only when the frame is done, for so the library reads its clocks.
        """
        self._profiler = profiler_of(trt, report)
        self._native.profiler = self._profiler
        return self._engine.layers_json(trt, self._native)

    def close(self) -> None:
        """Free the context and its scratch memory; nothing of it may be running."""
        self._native = None
        self._profiler = None


class Contexts:
    """The execution contexts of one stream of frames, kept from size to size."""

    def __init__(self, engine: LoadedEngine, states: Sequence[StateTensor] = ()) -> None:
        """Make the first.

        Raises:
            EngineError: if the library refuses, mostly for want of memory.
        """
        self._engine = engine
        self._states = tuple(states)
        self._made = [EngineContext(engine, states)]

    def take(self, count: int) -> tuple[EngineContext, ...]:
        """Return so many, none of which may be running; more than that are closed.

        Raises:
            EngineError: if the library refuses.
        """
        while len(self._made) > count:
            self._made.pop().close()
        while len(self._made) < count:
            self._made.append(EngineContext(self._engine, self._states))
        return tuple(self._made)

    def close(self) -> None:
        """Free them all."""
        self.take(0)


def _answer(heard: Heard, call: Callable[..., Any], *values: object) -> Any:  # noqa: ANN401
    """Return what a call of the library returns, None if it raises; its words come after the log's.

    `set_optimization_profile_async` and `infer_shapes` of TensorRT 10 raise.
    """
    try:
        return call(*values)
    except RuntimeError as error:
        heard.errors.append(str(error))
        return None
