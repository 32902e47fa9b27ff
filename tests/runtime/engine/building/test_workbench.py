"""What the workbench sets on the real library, and what it reads from its log."""

import importlib.util
from types import ModuleType

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.retry import OutOfMemoryError
from crispstream.runtime.engine.building.workbench import Workbench
from crispstream.runtime.engine.native import logger_of
from tests.helpers.graphs import small_net

STATIC = BuildOptions.static((64, 48))
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)


@needs_rtx
def test_fp32_is_built_without_tf32() -> None:
    import tensorrt_rtx as trt

    with Workbench(trt, "tensorrt-rtx") as bench:
        assert bench._config.get_flag(trt.BuilderFlag.TF32)
        bench.give_orders(STATIC)
        assert not bench._config.get_flag(trt.BuilderFlag.TF32)


class FakeBuilder:
    """Says what it is told and builds nothing."""

    def __init__(self, trt: ModuleType, *lines: tuple[str, str]) -> None:
        self._trt, self._lines = trt, lines

    def build_serialized_network(self, network: object, config: object) -> None:
        logger = logger_of(self._trt, "tensorrt-rtx")
        for severity, line in self._lines:
            logger.log(getattr(self._trt.ILogger, severity), line)


@needs_rtx
def test_missing_memory_is_read_from_the_log_and_the_first_error_is_told() -> None:
    # As TensorRT 10.3 logs it: the last error names a node, a warning in between the memory.
    import tensorrt_rtx as trt

    lines = (
        ("ERROR", "[allocate::31] Error Code 1: Cuda Runtime (user allocator)"),
        ("WARNING", "Requested amount of GPU memory (15485030400 bytes) could not be allocated."),
        ("ERROR", "Error Code 10: Internal Error (Could not find any implementation for node x.)"),
    )
    with Workbench(trt, "tensorrt-rtx") as bench:
        bench._builder = FakeBuilder(trt, *lines)
        with pytest.raises(OutOfMemoryError, match=r"it said: .*user allocator"):
            bench.build(None)
    with Workbench(trt, "tensorrt-rtx") as bench:
        bench._builder = FakeBuilder(trt, lines[2])
        with pytest.raises(EngineError) as caught:
            bench.build(None)
    assert not isinstance(caught.value, OutOfMemoryError)
    assert "implementation for node x" in str(caught.value)


@needs_rtx
def test_an_interrupted_build_is_cancelled_at_the_next_step_and_is_no_error() -> None:
    import tensorrt_rtx as trt

    steps: list[str] = []
    with Workbench(trt, "tensorrt-rtx") as bench:
        bench.give_orders(STATIC)
        bench.parse(small_net())
        bench.add_profile(STATIC.profiles[0])
        with pytest.raises(KeyboardInterrupt):
            bench.build(lambda phase, done, count: steps.append(phase), lambda: len(steps) >= 3)
        # What the library calls an error is not passed on.
        assert "BuildCanceled" in bench._heard.first_error()
    assert len(steps) == 3
