"""Engines of the GPU check whose frames stay on the GPU, in PyTorch's lanes.

The kit's pipeline is left out on purpose: this is what an engine alone can do, in the same lines
and by the same events as PyTorch's own forms of the network.
"""

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from benchmarks.gpu_check.kit import Crew
from benchmarks.gpu_check.pytorch import Lane, Run, refuse_without
from benchmarks.gpu_check.record import Row
from benchmarks.gpu_check.timing import Variant
from crispstream.core.pixels import SCALE, Bytes
from crispstream.core.tensors import FRAME, RESTORED
from crispstream.runtime.engine.backends.tensorrt.backend import Plan
from crispstream.runtime.engine.backends.tensorrt.context import EngineContext
from crispstream.runtime.engine.backends.tensorrt.engine import LoadedEngine
from crispstream.runtime.engine.native import load_flavour


def resident_variant(
    plan: Plan,
    flavour: str,
    row: Row,
    frames: Sequence[Bytes],
    device: str,
    open_until: ExitStack,
) -> Variant:
    """Return a row of an engine, on as many contexts as the row has streams.

    Raises:
        RuntimeError: if PyTorch, whose memory the frames lie in, has no such device, or the engine
            cannot be captured into a CUDA graph.
        EngineError: if the library refuses.
    """
    refuse_without(device)
    engine = LoadedEngine(load_flavour(flavour), flavour, plan, cuda_graph=row.cuda_graph)
    open_until.callback(engine.close)
    # TensorRT-RTX captures graphs of its own, inside of what is enqueued.
    captured = row.cuda_graph and flavour == "tensorrt"

    def lane() -> Lane:
        context = EngineContext(engine)
        open_until.callback(context.close)
        return Lane(frames, device, _run_of(context, frames[0], device), cuda_graph=captured)

    if row.streams == 1:
        single = lane()
        return Variant(row, single.resident, single.clock)
    crew = Crew([lambda: lane().work for _ in range(row.streams)])
    open_until.callback(crew.close)
    return Variant(row, crew.burst)


def _run_of(context: EngineContext, frame_hwc: Bytes, device: str) -> Run:
    """Return a context in the form of PyTorch's networks: on the current stream of its thread."""
    height, width, _ = frame_hwc.shape
    large = (1, SCALE * height, SCALE * width, 3)
    restored = torch.empty(large, dtype=torch.uint8, device=device)
    fitted = False

    def run(x: Tensor) -> Tensor:
        nonlocal fitted
        stream = torch.cuda.current_stream().cuda_stream if device == "cuda" else 0
        if not fitted:
            context.fit(width, height, stream)
            fitted = True
        context.bind(((FRAME, x.data_ptr()), (RESTORED, restored.data_ptr())))
        context.enqueue(stream)
        return restored

    return run
