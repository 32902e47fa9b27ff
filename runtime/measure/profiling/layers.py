"""The times of an engine's layers, in runs of their own: timing layers costs time."""

from collections.abc import Sequence

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.errors import EngineError, UsageError
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.available import CPU, CUDA
from crispstream.runtime.engine.native import FLAVOURS

from .record import LayerProfile
from .turns import NO_LIMITS, Limits

_CPU = (CPU, f"{CPU}-cpu")
"""As it is chosen, and as its backend calls itself."""


def why_not(backend: str) -> str:
    """Return why the layers of what runs on a backend cannot be timed, "" where they can.

    >>> why_not("onnxruntime")
    ''
    >>> why_not("bicubic")
    'bicubic is one computation and has no layers'
    """
    if backend in (*_CPU, *FLAVOURS):
        return ""
    if backend == "bicubic":
        return "bicubic is one computation and has no layers"
    if backend == CUDA:
        return (
            "on CUDA the profiler of ONNX Runtime times how long operators take to be enqueued, "
            "not to run; for times of layers on this GPU choose --backend tensorrt"
        )
    return f"nothing tells what the layers of {backend} take"


def profile_layers(
    bundle: Bundle,
    graph: Graph,
    *,
    backend: str,
    threads: int | None,
    width: int,
    height: int,
    frames: Sequence[Bytes],
    rounds: int,
    limits: Limits = NO_LIMITS,
) -> LayerProfile:
    """Return what each layer of a graph takes, joined to the nodes of the graph.

    An engine is opened once more for it, so that what serves frames is not slowed; one frame is
    worked on at a time. Frames with and without timing take turns.

    Args:
        bundle: the model.
        graph: which of its graphs.
        backend: what runs it, as chosen or as the backend calls itself.
        threads: CPU threads; by default every usable core. GPUs take no notice.
        width: of the frames as the graph takes them, after padding, or of a tile, px.
        height: likewise.
        frames: [H,W,3], taken over and over. Smaller ones are mirrored up to that size, of larger
            ones the first of that size is taken.
        rounds: frames to time.
        limits: may end it earlier, with the frames that are timed by then.

    Raises:
        UsageError: if the layers of that backend cannot be timed, there is no frame or no round.
        BundleError: if the bundle is damaged, or has no layers.json.
        FrameError: if the graph takes frames of another size only.
        EngineError: if the backend cannot work here or refuses the graph, or was stopped at once.
    """
    if reason := why_not(backend):
        raise UsageError(f"{reason}; leave out the times of layers")
    if rounds < 1 or not frames:
        raise UsageError(
            f"{rounds} rounds over {len(frames)} frames time nothing; give 1 or more of each"
        )
    from .layers_ort import profile_onnxruntime
    from .layers_trt import profile_tensorrt

    size = (width, height)
    try:
        if backend in _CPU:
            return profile_onnxruntime(bundle, graph, threads, size, frames, rounds, limits)
        return profile_tensorrt(bundle, graph, backend, size, frames, rounds, limits)
    except ValueError as error:
        raise EngineError(f"the layers of {bundle.name} do not fit the frame: {error}") from error
