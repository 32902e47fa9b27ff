"""One build on TensorRT or TensorRT-RTX: its objects, their order, and what they say.

The library's module is handed in, so nothing here imports it.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.native import RTX, listening, logger_of

from .inputs import check_inputs, input_shapes
from .layers import EngineLayer, layers_of
from .monitor import Progress, monitor_of
from .options import BuildOptions
from .orders import give_orders
from .retry import OutOfMemoryError, speaks_of_memory
from .timing_cache import keep_timing_cache, use_timing_cache


class Workbench:
    """Everything one build needs, let go of in the one safe order.

    Config, parser, network, builder: dropping the builder while the others live, as plain
    garbage collection may, has crashed the process.
    """

    def __init__(self, trt: ModuleType, flavour: str) -> None:
        """Make the library's objects; `flavour` names it in messages. One at a time."""
        self._trt = trt
        self._flavour = flavour
        self._open = ExitStack()
        self._heard = self._open.enter_context(listening())
        logger = logger_of(trt, flavour)
        self._builder: Any = trt.Builder(logger)
        strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self._network: Any = self._builder.create_network(strongly_typed)
        self._parser: Any = trt.OnnxParser(self._network, logger)
        self._config: Any = self._builder.create_builder_config()
        # Without it the table of layers says nothing of types and nodes.
        self._config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        self._monitor: Any = None
        self._raised: list[BaseException] = []  # by `on_progress`, in the library's threads

    def __enter__(self) -> "Workbench":
        """Return the bench itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of everything."""
        if self._monitor is not None:
            self._config.progress_monitor = None
        self._config = None
        self._parser = None
        self._network = None
        self._builder = None
        self._monitor = None
        self._open.close()

    def give_orders(self, options: BuildOptions) -> None:
        """Set everything but the profiles; raises as `orders.give_orders`."""
        give_orders(self._trt, self._config, options, self._flavour, self._refused)

    def use_timing_cache(self, path: Path) -> str:
        """Start with what earlier builds measured; return a warning, "" for none."""
        return use_timing_cache(self._config, path, self._heard)

    def keep_timing_cache(self, path: Path) -> str:
        """Write what this build measured too; return a warning, "" for none."""
        return keep_timing_cache(self._config, path)

    def parse(self, onnx_bytes: bytes) -> None:
        """Read the graph.

        Raises:
            EngineError: if the library refuses it, naming the node.
        """
        if self._parser.parse(onnx_bytes):
            return
        told = self._parser.get_error(0) if self._parser.num_errors else None
        reason = told.desc() if told else ""
        if not reason or reason.startswith("Invalid Node"):  # then only the log says why
            reason = self._heard.first_error() or "no reason given"
        raise EngineError(
            f"{self._flavour} refused the graph{_node_of(told)}: {_one_line(reason)}; export it "
            "again with this kit, or choose another precision. What it refuses is listed by: "
            f"{_polygraphy(self._flavour)} inspect capability GRAPH.onnx",
            reason,
        )

    def add_profile(self, sizes: SizeRange, states: Sequence[StateTensor] = ()) -> None:
        """Let the engine take frames of these sizes; kernels are chosen for the best of them.

        Raises:
            EngineError: if the graph has other inputs than `frame` and the states.
            UsageError: if the graph is made for another size.
        """
        shapes = input_shapes(sizes, states)
        count = self._network.num_inputs
        check_inputs([self._network.get_input(index) for index in range(count)], shapes)
        profile = self._builder.create_optimization_profile()
        for name, smallest_best_largest in shapes.items():
            profile.set_shape(name, *smallest_best_largest)
        if self._config.add_optimization_profile(profile) < 0:
            raise self._refused(f"the size {sizes}")

    def build(
        self, on_progress: Progress | None, interrupted: Callable[[], bool] = lambda: False
    ) -> bytes:
        """Return the engine.

        Raises:
            OutOfMemoryError: if the memory does not suffice.
            EngineError: if the library refuses; and whatever `on_progress` raised.
            KeyboardInterrupt: if `interrupted` became true.
        """
        self._monitor = monitor_of(self._trt, on_progress, interrupted, self._raised)
        self._config.progress_monitor = self._monitor
        plan = self._builder.build_serialized_network(self._network, self._config)
        # First: the library calls it an error, "BuildCanceled", when the monitor stops it.
        if self._raised:
            raise self._raised[0]
        if interrupted():
            raise KeyboardInterrupt
        if plan is None:
            raise self._no_plan()
        return bytes(plan)

    def layers(self) -> tuple[EngineLayer, ...]:
        """Return the layers of the engine that was built, where the library lists them."""
        return layers_of(self._heard.table)

    def _no_plan(self) -> EngineError:
        refused = self._refused("to build the engine")
        if speaks_of_memory([*self._heard.errors, *self._heard.warnings]):
            return OutOfMemoryError(str(refused), refused.native_log)
        return refused

    def _refused(self, what: str) -> EngineError:
        said = _one_line(self._heard.first_error()) or "nothing"
        return EngineError(
            f"{self._flavour} refused {what}; it said: {said}", self._heard.first_error()
        )


def _polygraphy(flavour: str) -> str:
    return "POLYGRAPHY_USE_TENSORRT_RTX=1 polygraphy" if flavour == RTX else "polygraphy"


def _node_of(told: Any) -> str:  # noqa: ANN401
    if told is None or not hasattr(told, "node_operator") or not told.node_operator():
        return ""
    return f" at node {told.node_name() or told.node()} ({told.node_operator()})"


def _one_line(text: str) -> str:
    """Return the first line without the library's own addresses around it.

    >>> _one_line("IBuilder::x: Error Code 4: API Usage Error (too large. In check at a.cpp:9)")
    'too large'
    """
    line = (text.strip().splitlines() or [""])[0]
    line = re.sub(r" In \w+ at [^\s)]+", "", line)
    line = re.sub(r"^.*?Error Code \d+: [\w ]+ \((.*)\)$", r"\1", line)
    return line[:240].rstrip(". ")
