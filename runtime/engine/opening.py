"""From what the user asked for to a model that runs: its backend, and why that one."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.errors import EngineError, UsageError, first_line
from crispstream.core.pixels import padded_size
from crispstream.core.sizes import Size, size_text

from .available import (
    BROKEN,
    CPU,
    CUDA,
    MEND_ONNXRUNTIME,
    Choice,
    choose_backend,
)
from .backends.base import Backend
from .backends.bicubic import BicubicBackend
from .building.monitor import Progress
from .choose import choose_graph, needs_permission
from .device.gpu import find_gpu
from .models import find_model
from .tiling.backend import TiledBackend
from .tiling.plan import Tiling


class Opened(NamedTuple):
    """A model, ready to run."""

    backend: Backend
    name: str
    size_multiple: int
    """Frame sides must divide by this."""
    why: str = ""
    """One line: what runs it, and why not something faster."""
    uncertified: bool = False
    """Whether its graph runs only because uncertified ones were allowed."""
    input_statistics: Mapping[str, Any] = {}
    """How the frames looked that it is made for; may be empty."""
    guarded: bool = False
    """Whether its frames are looked at now and then; a CPU's are the reference."""
    recurrent: bool = False
    """Whether it remembers the frames before."""
    frame_size: Size | None = None
    """The one size of frame, or of tile, that its graph takes; None: any."""
    graph_sha256: str = ""
    """Of the ONNX graph; "" where there is none, as for bicubic."""

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that a frame is mirrored to.

        >>> Opened(BicubicBackend(), "x", 4, frame_size=(64, 32)).padded(30, 101)
        (32, 104)
        """
        height, width = padded_size(height, width, self.size_multiple)
        least_width, least_height = self.frame_size or (0, 0)
        return max(height, least_height), max(width, least_width)


def open_model(
    model: str | Path,
    precision: str = "auto",
    backend: str = "auto",
    *,
    threads: int | None = None,
    side_by_side: int = 1,
    allow_uncertified: bool = False,
    cuda_graph: bool = True,
    on_build: Progress | None = None,
    tile: Size | None = None,
) -> Opened:
    """Start the backend that runs a model; `Restorer.open` tells what the arguments mean.

    Raises:
        UsageError: if a name is unknown, the backend does not serve the precision, the graph is
            not certified and need be, or the network cannot be cut into such tiles.
        BundleError: if the bundle is damaged or lacks the graph.
        MissingExtraError: if the backend's Python package is not installed.
        EngineError: if the backend cannot work here or refuses the graph.
    """
    if str(model) == "bicubic":
        _refuse_for_bicubic(precision, backend)
        return Opened(BicubicBackend(), "bicubic", 1, why="bicubic: computed, no model")
    bundle, choice = find_model(model), choose_backend(backend)
    start = partial(_started, bundle, _tiling(bundle, tile), precision, allow_uncertified)
    how = (threads, side_by_side, cuda_graph, on_build)
    try:
        return start(choice, *how)
    except EngineError as error:
        if backend != "auto" or choice.name == CPU:
            raise
        # Some of what a GPU needs shows only at the start: its memory, or cuDNN.
        return start(Choice(CPU, f"onnxruntime on the CPU ({error})"), *how)


def check_side_by_side(side_by_side: int, frames_in_flight: int) -> None:
    """Raise UsageError unless so many of the frames in flight can be worked on at once."""
    if not 1 <= side_by_side <= max(1, frames_in_flight):
        raise UsageError(
            f"side_by_side is {side_by_side}; it must be from 1 to frames_in_flight, "
            f"which is {frames_in_flight}"
        )


def _started(
    bundle: Bundle,
    tiling: Tiling | None,
    precision: str,
    allow_uncertified: bool,
    choice: Choice,
    threads: int | None,
    side_by_side: int,
    cuda_graph: bool,
    on_build: Progress | None,
) -> Opened:
    faster = _measured(bundle, choice.name) if precision == "auto" else ()
    graph = choose_graph(bundle, precision, choice.name, allow_uncertified, faster=faster)
    if choice.name in (CPU, CUDA):
        runner = _onnxruntime(bundle, graph, choice.name, threads, side_by_side)
    else:
        runner = _tensorrt(bundle, graph, choice.name, cuda_graph, on_build)
    return Opened(
        runner if tiling is None else TiledBackend(runner, tiling),
        bundle.name,
        bundle.size_multiple,
        f"{graph.precision} with {choice.reason}{_shown(graph, faster)}{_told(tiling)}",
        needs_permission(bundle, graph),
        bundle.input_statistics,
        guarded=choice.name != CPU,
        recurrent=bool(bundle.states),
        frame_size=bundle.frame_size,
        graph_sha256=graph.sha256,
    )


def _measured(bundle: Bundle, flavour: str) -> tuple[str, ...]:
    """Return the hashes of the graphs that a bench has shown to be faster than fp16 on this GPU."""
    by_precision = {graph.precision: graph.sha256 for graph in bundle.graphs}
    fp16, int8 = by_precision.get("fp16"), by_precision.get("int8")
    if flavour in (CPU, CUDA) or fp16 is None or int8 is None:
        return ()
    from .store.measured import int8_is_faster
    from .store.store import EngineStore

    gpu = find_gpu()
    records = [entry.record for entry in EngineStore().entries() if entry.record is not None]
    if isinstance(gpu, str) or not int8_is_faster(records, fp16, int8, flavour, gpu):
        return ()
    return (int8,)


def _shown(graph: Graph, faster: tuple[str, ...]) -> str:
    return ", faster than fp16 in a bench here" if graph.sha256 in faster else ""


def _tiling(bundle: Bundle, tile: Size | None) -> Tiling | None:
    """Return how frames are cut that are larger than a tile; None: no frame is.

    Raises:
        UsageError: if the network cannot be cut into such tiles.
    """
    fixed = bundle.frame_size
    if tile is None:
        if fixed is None or bundle.states:
            return None
        return Tiling(fixed, bundle.halo_px, bundle.size_multiple)
    if bundle.states:
        raise UsageError(
            f"{bundle.name} is recurrent and cannot be cut into tiles: what it remembers comes "
            "from further away with each frame; leave out --tile, or choose another model"
        )
    if fixed is not None and tile != fixed:
        raise UsageError(
            f"{bundle.name} takes tiles of {size_text(fixed)} px only, not of {size_text(tile)}; "
            "leave out --tile: frames that are larger are cut all the same"
        )
    tiling = Tiling(tile, bundle.halo_px, bundle.size_multiple)
    tiling.check()
    return tiling


def _told(tiling: Tiling | None) -> str:
    if tiling is None:
        return ""
    told = f"; frames larger than {size_text(tiling.tile)} px in tiles of that size"
    return told if tiling.is_exact else f"{told}, blended: the network looks at the whole frame"


def _onnxruntime(
    bundle: Bundle, graph: Graph, name: str, threads: int | None, side_by_side: int
) -> Backend:
    try:
        from .backends.onnxruntime import OnnxRuntimeBackend  # 0.1 s: only who runs a model pays
    except BROKEN as error:
        raise EngineError(
            f"onnxruntime cannot be loaded ({first_line(error)}); install it again with: "
            f"{MEND_ONNXRUNTIME}; crispstream doctor shows what else is wrong"
        ) from error
    return OnnxRuntimeBackend(
        bundle.graph_bytes(graph),
        precision=graph.precision,
        device="cuda" if name == CUDA else "cpu",
        threads=threads,
        side_by_side=1 if bundle.states else side_by_side,
        states=bundle.states,
    )


def _tensorrt(
    bundle: Bundle, graph: Graph, flavour: str, cuda_graph: bool, on_build: Progress | None
) -> Backend:
    from .backends.tensorrt.backend import TensorRTBackend
    from .obtain import EngineSource
    from .wish import Wish

    gpu = find_gpu()
    if isinstance(gpu, str):
        raise EngineError(gpu)
    # The graph is here with its certificate, or because it was allowed without.
    wish = Wish(bundle, graph, flavour, gpu, allow_uncertified=True, on_build=on_build)
    return TensorRTBackend(
        EngineSource(wish),
        flavour=flavour,
        precision=graph.precision,
        states=bundle.states,
        cuda_graph=cuda_graph,
    )


def _refuse_for_bicubic(precision: str, backend: str) -> None:
    if (precision, backend) != ("auto", "auto"):
        raise UsageError(
            f"bicubic has no graph to run as {precision} on {backend}; "
            "leave precision and backend at auto, or choose a model"
        )
