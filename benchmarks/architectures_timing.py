"""What a frame costs: the exported graph on the CPU, the network on a GPU if there is one."""

import statistics
import time

import numpy as np
import torch

from benchmarks.architectures_network import Candidate
from crispstream.core.sizes import Size

_FRAMES, _WARM = 12, 3
_GPU_FRAMES = 50


def cpu_graph(network: Candidate) -> bytes:
    """Return the fp32 byte graph as the kit deploys it; weights do not matter to its time."""
    from crispstream.export.graph import FLOAT_OUTPUT, onnx_from_network
    from crispstream.export.surgery import simplified, without_output

    plain = onnx_from_network(network.deployed(), "fp32")  # type: ignore[arg-type]
    return without_output(simplified(plain) or plain, FLOAT_OUTPUT)


def cpu_ms(graph: bytes, size: Size, threads: int = 1) -> float:
    """Return the median milliseconds of a frame on ONNX Runtime, after a warm-up."""
    from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend

    width, height = size
    backend = OnnxRuntimeBackend(graph, precision="fp32", threads=threads)
    backend.allocate(height, width, 1)
    backend.frame(0)[:] = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    times = []
    for _ in range(_WARM + _FRAMES):
        times.append(time.perf_counter())
        backend.submit(0)
        backend.wait(0)
    backend.close()
    return 1e3 * statistics.median(np.diff(times[_WARM:]))


def has_gpu() -> bool:
    """Tell whether PyTorch sees one."""
    return torch.cuda.is_available()


@torch.inference_mode()
def gpu_ms(network: Candidate, size: Size) -> float:
    """Return the milliseconds of a frame as a replayed CUDA graph, fp16, channels last."""
    width, height = size
    fused = network.deployed().cuda().half()
    fused = fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.rand(1, 3, height, width, device="cuda", dtype=torch.float16)
    x = x.contiguous(memory_format=torch.channels_last)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(_WARM):
            fused.residual(x)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        fused.residual(x)
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    for _ in range(_GPU_FRAMES):
        graph.replay()
    ended.record()
    torch.cuda.synchronize()
    return float(begun.elapsed_time(ended)) / _GPU_FRAMES
