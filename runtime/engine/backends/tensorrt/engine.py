"""A deserialised TensorRT engine: what it takes, and who uses it.

One adapter for `tensorrt` and `tensorrt_rtx`; what only some versions have is asked for with
`hasattr`. Shape letters: H height, W width. Sizes are (width, height) in pixels.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError
from crispstream.core.sizes import SizeRange
from crispstream.core.tensors import FRAME, RESTORED, STATE_IN, STATE_OUT
from crispstream.runtime.engine.native import listening, logger_of

from .deserialise import RefusedEngineError as RefusedEngineError
from .deserialise import deserialised
from .kernels import KernelCache
from .watching import layers_json

_BYTES = "UINT8"
_STATE_TYPES = ("FLOAT", "HALF")


class Plan(NamedTuple):
    """An engine to be loaded."""

    engine: bytes
    """The engine itself, hashed by who read it: these bytes are what is deserialised."""
    host_code_allowed: bool = False
    """Whether it may bring code for the CPU: a version-compatible engine does."""
    runtime_cache: Path | None = None
    """Where TensorRT-RTX keeps the kernels it compiled on this device; written at the end, with
    their SHA-256 in a file beside it."""
    on_refused: Callable[[RefusedEngineError], None] | None = None
    """Called if the library refuses these bytes, so that another plan can be provided: one more is
    asked for. None: there would be no other."""


class LoadedEngine:
    """An engine in the GPU's memory, shared by the contexts of several streams of frames.

    Made, used and closed in threads that have the GPU's context.

    Attributes:
        flavour: "tensorrt" or "tensorrt-rtx".
        profiles: the sizes it takes, one range a profile.
        captures_graphs: whether the library captures CUDA graphs by itself, as TensorRT-RTX can.
            It does so again whenever an address or a shape of a context has changed.
    """

    def __init__(
        self,
        trt: ModuleType,
        flavour: str,
        plan: Plan,
        states: Sequence[StateTensor] = (),
        *,
        cuda_graph: bool = True,
    ) -> None:
        """Deserialise the engine and check its tensors.

        `cuda_graph` switches on TensorRT-RTX's own graphs; TensorRT has none.

        Raises:
            RefusedEngineError: if the library refuses these bytes.
            EngineError: if they cannot be loaded for another reason, or are no engine of the kit.
        """
        self.flavour = flavour
        self._creating = threading.Lock()
        self._runtime: Any = trt.Runtime(logger_of(trt, flavour))
        if plan.host_code_allowed:
            self._runtime.engine_host_code_allowed = True
        self._engine: Any = deserialised(trt, flavour, self._runtime, plan.engine)
        _check_tensors(trt, self._engine, states)
        self.profiles = _profiles(self._engine)
        self._kernels: KernelCache | None = None
        self.captures_graphs = cuda_graph and hasattr(trt, "CudaGraphStrategy")
        self._config: Any = self._runtime_config(trt, plan.runtime_cache)

    def profile_for(self, width: int, height: int) -> int | None:
        """Return the profile that takes a size, one made for just that size before others."""
        fitting = [i for i, sizes in enumerate(self.profiles) if sizes.takes(width, height)]
        made_for_it = [i for i in fitting if self.profiles[i].best == (width, height)]
        return next(iter(made_for_it + fitting), None)

    def item_bytes(self, tensor: str) -> int:
        """Return the bytes of one number of a tensor."""
        return int(self._engine.get_tensor_dtype(tensor).itemsize)

    def create_context(self) -> Any:  # noqa: ANN401 (untyped library)
        """Return a new execution context, with scratch memory of its own.

        Raises:
            EngineError: if the library refuses, mostly for want of memory.
        """
        with self._creating, listening() as heard:
            config = [] if self._config is None else [self._config]
            context = self._engine.create_execution_context(*config)
        if context is None:
            said = heard.first_error() or "nothing"
            raise EngineError(
                f"{self.flavour} made no execution context{self._scratch_needed()}; it said: "
                f"{said}; end other programs that use the GPU, or send smaller frames",
                said,
            )
        return context

    def layers_json(self, trt: ModuleType, context: Any) -> str:  # noqa: ANN401
        """Return what the library tells of the layers; see `watching.layers_json`."""
        return layers_json(trt, self._engine, context)

    def _scratch_needed(self) -> str:
        for name in ("device_memory_size_v2", "device_memory_size"):
            if hasattr(self._engine, name):
                return f", which needs {getattr(self._engine, name) / 2**20:.0f} MiB of the GPU"
        return ""

    def _runtime_config(self, trt: ModuleType, cache: Path | None) -> Any:  # noqa: ANN401
        """Return TensorRT-RTX's settings for contexts; None for TensorRT, which needs none."""
        if not hasattr(trt, "CudaGraphStrategy"):
            return None
        config = self._engine.create_runtime_config()
        if self.captures_graphs:
            config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if hasattr(trt, "DynamicShapesKernelSpecializationStrategy"):
            # By default other kernels take over while frames run: not those that were re-checked.
            eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
            config.dynamic_shapes_kernel_specialization_strategy = eager
        if cache is not None and hasattr(config, "create_runtime_cache"):
            self._kernels = KernelCache(config, cache)
        return config

    def close(self) -> None:
        """Keep what was compiled and free the engine; its contexts must be gone."""
        if self._kernels is not None:
            self._kernels.keep()
        self._kernels = None
        self._config = None
        self._engine = None
        self._runtime = None


class Shelf:
    """The engines that a backend and its twins have loaded, each counted, so that it is there once.

    For several threads.
    """

    def __init__(self, provide: Callable[[int, int], Plan]) -> None:
        """Ask `provide(height, width)` for what is not there; one at a time."""
        self._provide = provide
        self._providing = threading.Lock()  # apart: a build takes minutes, who leaves need not wait
        self._counting = threading.Lock()
        self._users: dict[LoadedEngine, int] = {}

    def borrow(self, height: int, width: int, load: Callable[[Plan], LoadedEngine]) -> LoadedEngine:
        """Return an engine that takes a size, loaded now unless it is there; `give_back` it.

        Both `provide` and `load` are called in this thread; `load` must `put` what it made here.
        What is provided need not take the size: who asked finds out when it sets its shapes.

        Raises:
            Exception: what `provide` and `load` raise; a RefusedEngineError of the first plan only
                if that plan says nothing of it.
        """
        if engine := self._taken(height, width):
            return engine
        with self._providing:
            if engine := self._taken(height, width):
                return engine
            plan = self._provide(height, width)
            try:
                return load(plan)
            except RefusedEngineError as error:
                if plan.on_refused is None:
                    raise
                plan.on_refused(error)
            return load(self._provide(height, width))

    def put(self, engine: LoadedEngine) -> None:
        """Take an engine that was loaded just now, with its first user."""
        with self._counting:
            self._users[engine] = 1

    def _taken(self, height: int, width: int) -> LoadedEngine | None:
        with self._counting:
            for engine in self._users:
                if engine.profile_for(width, height) is not None:
                    self._users[engine] += 1
                    return engine
        return None

    def give_back(self, engine: LoadedEngine) -> None:
        """Close the engine if this was its last user; in a thread that has the GPU's context."""
        with self._counting:
            self._users[engine] -= 1
            last = not self._users[engine]
            if last:
                del self._users[engine]
        if last:
            engine.close()


def _check_tensors(trt: ModuleType, engine: Any, states: Sequence[StateTensor]) -> None:  # noqa: ANN401
    """Refuse an engine that does not keep the byte contract: it would read beyond the buffers."""
    seen = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        reads = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        seen[name] = ("input" if reads else "output", engine.get_tensor_dtype(name).name)
    expected = {FRAME: "input", RESTORED: "output"}
    for state in states:
        expected |= {f"{STATE_IN}{state.name}": "input", f"{STATE_OUT}{state.name}": "output"}
    modes = {name: mode for name, (mode, _) in seen.items()}
    types = all(seen[name][1] == _BYTES for name in (FRAME, RESTORED) if name in seen) and all(
        seen[name][1] in _STATE_TYPES for name in seen if name not in (FRAME, RESTORED)
    )
    if modes != expected or not types:
        told = ", ".join(f"{name} ({mode}, {kind})" for name, (mode, kind) in seen.items())
        raise EngineError(
            f"the engine's tensors are {told or 'none'}; expected {', '.join(expected)}, frames as "
            f"{_BYTES} and states as {' or '.join(_STATE_TYPES)}; build it from a bundle of the "
            "kit: crispstream build --rebuild"
        )


def _profiles(engine: Any) -> tuple[SizeRange, ...]:  # noqa: ANN401
    found = []
    for index in range(engine.num_optimization_profiles):
        shapes = [tuple(shape) for shape in engine.get_tensor_profile_shape(FRAME, index)]
        if len(shapes) != 3 or any(len(shape) != 4 for shape in shapes):
            raise EngineError(
                f"profile {index} of the engine gives the frame the shapes {shapes}, expected "
                "three of [1, H, W, 3]; build it again: crispstream build --rebuild"
            )
        found.append(SizeRange(*((shape[2], shape[1]) for shape in shapes)))
    return tuple(found)


def sizes_text(profiles: Sequence[SizeRange]) -> str:
    """Return the sizes for a message.

    >>> sizes_text([SizeRange.only((64, 48)), SizeRange.parse("16x16:32x32:64x64")])
    '64x48 or 16x16:32x32:64x64'
    """
    return " or ".join(str(sizes) for sizes in profiles) or "no"
