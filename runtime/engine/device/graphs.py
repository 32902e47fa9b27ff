"""CUDA graphs: work captured once from a stream and then started with one call.

pycuda has no graphs, so these few calls go through NVIDIA's cuda-bindings, on the same stream by
its handle. The package is optional.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from crispstream.core.errors import EngineError, MissingExtraError
from crispstream.core.optional import require


class Graph:
    """A captured graph, ready to start on the stream that it was captured from."""

    def __init__(self, bindings: Any, executable: Any, stream: Any) -> None:  # noqa: ANN401
        """Wrap the executable graph."""
        self._bindings = bindings
        self._executable = executable
        self._stream = stream

    def launch(self) -> None:
        """Put all of it into its stream.

        Raises:
            EngineError: if the driver refuses.
        """
        code = self._bindings.cuGraphLaunch(self._executable, self._stream)[0]
        if code:
            raise _refused("to start a CUDA graph", code)

    def close(self) -> None:
        """Destroy the graph, which must not be running; twice does no harm."""
        executable, self._executable = self._executable, None
        if executable is not None:
            self._bindings.cuGraphExecDestroy(executable)


class Graphs:
    """Captures graphs."""

    def __init__(self, bindings: Any) -> None:  # noqa: ANN401
        """Use the module `cuda.bindings.driver`."""
        self._bindings = bindings

    def capture(self, stream_handle: int, work: Callable[[], None]) -> Graph:
        """Return what `work` puts into a stream as a graph; nothing of it runs now.

        `work` may only start asynchronous work on that stream.

        Raises:
            EngineError: if the driver refuses; the stream is then as before.
            Exception: what `work` raises, likewise.
        """
        cuda = self._bindings
        stream = cuda.CUstream(stream_handle)
        # Thread local: memory that another thread allocates meanwhile breaks no capture here.
        mode = cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        _checked("to capture a CUDA graph", cuda.cuStreamBeginCapture(stream, mode))
        try:
            work()
        except BaseException:
            with suppress(EngineError):
                self._destroy(_checked("to end a capture", cuda.cuStreamEndCapture(stream)))
            raise
        graph = _checked("the captured CUDA graph", cuda.cuStreamEndCapture(stream))
        try:
            executable = _checked("to make a CUDA graph", cuda.cuGraphInstantiate(graph, 0))
        finally:
            self._destroy(graph)
        return Graph(cuda, executable, stream)

    def _destroy(self, graph: Any) -> None:  # noqa: ANN401
        if int(graph):  # 0 where the capture was broken
            self._bindings.cuGraphDestroy(graph)


def load_graphs() -> Graphs | str:
    """Return what captures graphs, or one sentence why there are none."""
    try:
        return Graphs(require("cuda.bindings.driver", "cuda"))
    except MissingExtraError as error:
        return f"no CUDA graphs: {error}"
    except (ImportError, OSError, RuntimeError) as error:
        return (
            f"no CUDA graphs: cuda-bindings does not load ({error}); install one that fits the "
            "driver: pip install cuda-bindings==12.* or 13.*"
        )


def _checked(what: str, answer: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """Return the value after the result code of a call, None for a call without one."""
    if answer[0]:
        raise _refused(what, answer[0])
    return answer[1] if len(answer) > 1 else None


def _refused(what: str, code: Any) -> EngineError:  # noqa: ANN401
    name = getattr(code, "name", str(code))
    return EngineError(
        f"the CUDA driver refused {what} ({name}); open the model without CUDA graphs", name
    )
