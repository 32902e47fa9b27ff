"""Running an ONNX graph on the CPU and looking at the tensors inside.

Shape letters: H height, W width. Memory stays bounded: tensors that would not fit together are
looked at in several runs of the same frame.

Of a recurrent graph each frame is run as a short sequence that begins from zeros, see
`core.sequences`, and what is looked at is its first frame and some with the memory in place.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from crispstream.core.errors import EngineError
from crispstream.core.pixels import Bytes
from crispstream.core.sequences import FRAMES, Array, Carried, moving
from crispstream.core.tensors import FRAME

from .graph import GraphView

Floats = npt.NDArray[np.float32]

TOGETHER_BYTES = 300 << 20
"""Tensors handed out by one run may take so much."""

LOOKED_AT = (0, 2, 4, FRAMES - 1)
"""Places in the sequence of a recurrent graph that are looked at: once from zeros, as after a cut,
and three times while it runs steadily."""


def session_of(
    onnx_bytes: bytes, *, literally: bool = False, threads: int = 0, shared: bool = False
) -> Any:  # noqa: ANN401
    """Start ONNX Runtime on the CPU.

    `literally`: each Q/DQ pair is computed as it stands, around floating-point operators, and not
    fused into integer ones: that is how TensorRT's flavour is judged. `threads` 0 is all cores.
    `shared`: sessions of one process take their memory from one place, see `_shared_memory`.

    Raises:
        EngineError: if ONNX Runtime refuses the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if shared:
        _shared_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.enable_mem_pattern = False
    if literally:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise EngineError(
            f"ONNX Runtime refused the graph; it said: {str(error).splitlines()[0]}", str(error)
        ) from error


@cache
def _shared_memory() -> None:
    """Let sessions share one arena that grows by no more than it is asked for.

    An arena of its own keeps in each session what its largest run ever took: 19 GB with frames of
    1920x1080 and edge-s, where the shared one takes 3.5, and no arena at all twice the time.
    """
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    as_requested = onnxruntime.OrtArenaCfg({"arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(memory, as_requested)


def with_outputs(view: GraphView, names: Sequence[str]) -> bytes:
    """Return a copy of the model whose outputs are these tensors."""
    types = view.tensor_types()
    model = onnx.ModelProto()
    model.CopyFrom(view.model)
    del model.graph.output[:]
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, types[name], None))
    data: bytes = model.SerializeToString()
    return data


class Observer:
    """Gives tensors of a graph, frame by frame."""

    def __init__(self, view: GraphView, names: Sequence[str], *, literally: bool = False) -> None:
        """Prepare to look at the tensors `names`."""
        self._view = view
        self._names = list(names)
        self._literally = literally
        self._sessions: dict[tuple[str, ...], Any] = {}
        self._shapes: dict[tuple[int, int], dict[str, tuple[int, ...]]] = {}

    def tensors(self, frame_hwc: Bytes) -> Iterator[tuple[str, Floats]]:
        """Yield (name, values in fp32) of each tensor for one frame [H,W,3].

        Of a recurrent graph each tensor comes once for each of `LOOKED_AT`.
        """
        if not self._view.state_inputs:
            yield from self._seen(frame_hwc, {FRAME: frame_hwc[None]})
            return
        step = self._session(self._view.state_outputs())
        carried = Carried(step)
        for place, moved_hwc in enumerate(moving(frame_hwc)):
            feed = carried.feed(moved_hwc)
            if place in LOOKED_AT:
                yield from self._seen(moved_hwc, feed)
            carried.keep(step.run(carried.outputs, feed))

    def _seen(self, frame_hwc: Bytes, feed: Mapping[str, Array]) -> Iterator[tuple[str, Floats]]:
        for names in self._grouped(frame_hwc):
            made = tuple(name for name in names if name not in feed)
            values = self._session(made).run(made, feed) if made else ()
            found = dict(zip(made, values, strict=True))
            for name in names:
                yield name, np.asarray(found.pop(name, feed.get(name)), np.float32)

    def _session(self, names: tuple[str, ...]) -> Any:  # noqa: ANN401
        if names not in self._sessions:
            graph = with_outputs(self._view, names)
            self._sessions[names] = session_of(graph, literally=self._literally, shared=True)
        return self._sessions[names]

    def _grouped(self, frame_hwc: Bytes) -> list[tuple[str, ...]]:
        """Share the tensors out over runs, each within `TOGETHER_BYTES` on such a frame."""
        shapes = self._shapes_for(frame_hwc.shape[1], frame_hwc.shape[0])
        groups: list[list[str]] = []
        room = 0
        for name in self._names:
            size = 4 * math.prod(shapes.get(name, (TOGETHER_BYTES // 4,)))
            if not groups or size > room:
                groups.append([])
                room = TOGETHER_BYTES
            groups[-1].append(name)
            room -= size
        return [tuple(names) for names in groups]

    def _shapes_for(self, width: int, height: int) -> dict[str, tuple[int, ...]]:
        if (width, height) not in self._shapes:
            self._shapes[width, height] = self._view.shapes(width, height)
        return self._shapes[width, height]
