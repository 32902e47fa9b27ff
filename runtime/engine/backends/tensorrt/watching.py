"""The library's own times of layers, and what it tells of them."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

Report = Callable[[str, float], None]
"""Called with the name of a layer and its milliseconds, for each layer of each frame."""


def profiler_of(trt: ModuleType, report: Report) -> Any:  # noqa: ANN401 (class made at run time)
    """Return a profiler for an execution context; it must live as long as that does."""

    class Profiler(trt.IProfiler):  # type: ignore[name-defined,misc]
        """Hands on what the library reports."""

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            report(layer_name, ms)

    return Profiler()


def layers_json(trt: ModuleType, engine: Any, context: Any) -> str:  # noqa: ANN401
    """Return what an engine tells of its layers, at the shapes of a context.

    {"Layers": [...], "Bindings": [...]}; layers are objects if the engine was built with detailed
    profiling verbosity, as those of the kit are, and names otherwise.
    """
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
