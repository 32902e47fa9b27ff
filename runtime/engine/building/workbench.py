"""One build on TensorRT or TensorRT-RTX: its objects, their order, and what they say.

The library's module is handed in, so nothing here imports it. What only one flavour has is asked
for with `hasattr`. No workspace limit is set: TensorRT-RTX fails a build that meets one instead of
choosing another kernel.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any

from crispstream.core.errors import EngineError, UsageError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.native import listening, logger_of

from .layers import EngineLayer, layers_of

INPUT = "frame"

Progress = Callable[[str, int, int], None]
"""Called with the name of a building phase, its steps done, and its steps in all."""


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
            "again with this kit, or choose another precision",
            reason,
        )

    def add_profile(self, sizes: SizeRange) -> None:
        """Let the engine take frames of these sizes; kernels are chosen for the best of them.

        Raises:
            EngineError: if the graph has other inputs than `frame`.
            UsageError: if the graph is made for another size.
        """
        inputs = [self._network.get_input(index) for index in range(self._network.num_inputs)]
        if [tensor.name for tensor in inputs] != [INPUT]:
            raise EngineError(
                f"the graph's inputs are {[tensor.name for tensor in inputs]}, expected "
                f"['{INPUT}'] only; export it with: crispstream export"
            )
        takes = tuple(inputs[0].shape)
        shapes = [(1, height, width, 3) for width, height in sizes]
        for shape in shapes:
            if len(takes) != 4 or any(-1 != t != s for t, s in zip(takes, shape, strict=True)):
                raise UsageError(
                    f"the graph takes frames of shape {list(takes)}, so no engine of {sizes} px "
                    f"can be built; expected {list(shape)} (-1 is free)"
                )
        profile = self._builder.create_optimization_profile()
        profile.set_shape(INPUT, *shapes)
        if self._config.add_optimization_profile(profile) < 0:
            raise self._refused(f"the size {sizes}")

    def aim_at(self, compute_capabilities: Sequence[tuple[int, int]]) -> None:
        """Choose the kinds of GPU; none leaves the choice to the library.

        Raises:
            UsageError: if the library cannot build for one of them.
        """
        if not compute_capabilities:
            return
        wanted = [dotted(each) for each in compute_capabilities]
        if not hasattr(self._config, "set_compute_capability"):
            raise UsageError(
                f"{self._flavour} builds for the GPU it runs on and cannot aim at {wanted[0]}; "
                "leave out the compute capability, or build for tensorrt-rtx"
            )
        known = _compute_capabilities(self._trt)
        self._config.num_compute_capabilities = len(wanted)
        for index, each in enumerate(wanted):
            if each not in known:
                raise UsageError(
                    f"{self._flavour} {self._trt.__version__} cannot build for compute capability "
                    f"{each}; it knows {', '.join(known)}"
                )
            if not self._config.set_compute_capability(known[each], index):
                raise self._refused(f"compute capability {each}")

    def build(self, on_progress: Progress | None) -> bytes:
        """Return the engine.

        Raises:
            EngineError: if the library refuses; and whatever `on_progress` raised.
        """
        if on_progress is not None and hasattr(self._trt, "IProgressMonitor"):
            self._monitor = _monitor(self._trt, on_progress, self._raised)
            self._config.progress_monitor = self._monitor
        plan = self._builder.build_serialized_network(self._network, self._config)
        if self._raised:
            raise self._raised[0]
        if plan is None:
            raise self._refused("to build the engine")
        return bytes(plan)

    def layers(self) -> tuple[EngineLayer, ...]:
        """Return the layers of the engine that was built, where the library lists them."""
        return layers_of(self._heard.table)

    def _refused(self, what: str) -> EngineError:
        said = _one_line(self._heard.first_error()) or "nothing"
        return EngineError(
            f"{self._flavour} refused {what}; it said: {said}", self._heard.first_error()
        )


def _monitor(trt: ModuleType, on_progress: Progress, raised: list[BaseException]) -> Any:  # noqa: ANN401
    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined,misc]
        """Passes phases on; called from the library's threads."""

        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._steps[name] = steps
            self._tell(name, 0)

        def step_complete(self, name: str, step: int) -> bool:
            self._tell(name, step + 1)
            return not raised

        def phase_finish(self, name: str) -> None:
            self._tell(name, self._steps.get(name, 0))

        def _tell(self, name: str, done: int) -> None:
            try:
                if not raised:
                    on_progress(name, done, self._steps.get(name, 0))
            except BaseException as error:  # noqa: BLE001 (C++ would swallow it: kept, raised later)
                raised.append(error)

    return Monitor()


def dotted(compute_capability: tuple[int, int]) -> str:
    """Return the usual spelling.

    >>> dotted((8, 6))
    '8.6'
    """
    major, minor = compute_capability
    return f"{major}.{minor}"


def _compute_capabilities(trt: ModuleType) -> dict[str, Any]:
    """Return "8.6" -> the library's value, for every GPU kind it names."""
    found = {}
    for name, value in trt.ComputeCapability.__members__.items():
        if match := re.fullmatch(r"SM(\d+)(\d)", name):
            found[f"{match[1]}.{match[2]}"] = value
    return found


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
