"""PyTorch's side of the GPU check: the deployed networks, eager, compiled, and in CUDA graphs.

What PyTorch runs is what the engines were made from: bytes in and bytes out, fp16 between, in the
memory format that its convolutions like best. Engines whose frames are to stay on the GPU run in
the same lanes, so that both are timed by the same lines. Shape letters: H height, W width.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.gpu_check.kit import IN_FLIGHT, Plain
from benchmarks.gpu_check.record import Row
from benchmarks.gpu_check.timing import Variant
from crispstream.core.pixels import SCALE, Bytes
from crispstream.export.graph import ByteGraph
from crispstream.train.models.edge import Edge
from crispstream.train.models.registry import build_network

WEIGHTS = Path(__file__).resolve().parents[2] / "train/weights"

_WARM_UPS = 3
"""Runs before a capture: libraries choose kernels and take memory in the first."""

Run = Callable[[Tensor], Tensor]
"""Enlarges uint8 [1,H,W,3] to [1,4H,4W,3], both on the device; always for the same tensor."""


class Restoring(nn.Module):
    """A deployed edge network: frame uint8 [1,H,W,3] -> restored uint8 [1,4H,4W,3]."""

    def __init__(self, model: str, precision: str) -> None:
        """Load the shipped weights.

        They are read without their recipe, whose modules need what decodes videos.
        """
        super().__init__()
        network = build_network(model)
        network.load_state_dict(load_file(WEIGHTS / f"{model}.safetensors"))
        assert isinstance(network, Edge)
        self.graph = ByteGraph(network.eval(), precision)

    def forward(self, frame: Tensor) -> Tensor:
        """Restore one frame."""
        restored: Tensor = self.graph(frame)[0]
        return restored.contiguous()


@dataclass(frozen=True)
class TorchSide:
    """A model in PyTorch on one device, in fp16.

    Attributes:
        model: its name.
        device: "cuda" or "cpu".
        frames: what is restored, bytes [H,W,3] of one size.
        network: the model itself.
    """

    model: str
    device: str
    frames: Sequence[Bytes]
    network: nn.Module

    @staticmethod
    def load(model: str, device: str, frames: Sequence[Bytes]) -> "TorchSide":
        """Load a model in fp16.

        Raises:
            RuntimeError: if this PyTorch has no such device.
        """
        refuse_without(device)
        torch.backends.cudnn.benchmark = True  # choose the fastest convolutions, once
        network = Restoring(model, "fp16").to(device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return TorchSide(model, device, frames, network)

    def compiled(self, backend: str) -> Run:
        """Return the model compiled for this size; `backend` is that of torch.compile."""
        run: Run = torch.compile(copy.deepcopy(self.network), backend=backend, dynamic=False)
        with torch.inference_mode():
            run(torch.from_numpy(self.frames[0][None]).to(self.device))
        return run

    def backend(self, run: Run, name: str) -> Plain:
        """Return a form of the model as a backend, to be judged."""

        def restore(frame_hwc: Bytes) -> Bytes:
            with torch.inference_mode():
                restored = run(torch.from_numpy(frame_hwc[None]).to(self.device))
            return np.asarray(restored[0].cpu().numpy(), np.uint8)

        return Plain(restore, name, "fp16")

    def variant(self, row: Row, run: Run) -> Variant:
        """Return a row of PyTorch.

        Raises:
            RuntimeError: if the model cannot be captured into a CUDA graph.
        """
        lane = Lane(self.frames, self.device, run, cuda_graph=row.cuda_graph)
        bursts = {
            "resident": lane.resident,
            "copies": lane.copies,
            "end-to-end": lane.end_to_end,
        }
        return Variant(row, bursts[row.regime], lane.clock if row.regime == "resident" else "host")


class Lane:
    """Runs a model frame after frame, on a CUDA stream of its own."""

    def __init__(
        self, frames: Sequence[Bytes], device: str, run: Run, *, cuda_graph: bool = False
    ) -> None:
        """Make buffers on both sides, and capture `run` if asked to.

        Raises:
            RuntimeError: if `run` cannot be captured.
        """
        self._on_gpu = device == "cuda"
        self._frames = frames
        self._run = run
        height, width, _ = frames[0].shape
        # A copy also on a CPU, where it would else be the caller's own frame.
        self._x = torch.from_numpy(frames[0][None].copy()).to(device)
        self._ins = [self._host(1, height, width, 3) for _ in range(IN_FLIGHT)]
        self._outs = [self._host(1, SCALE * height, SCALE * width, 3) for _ in range(IN_FLIGHT)]
        self._done = [_event() for _ in range(IN_FLIGHT)] if self._on_gpu else []
        self._stream = torch.cuda.Stream() if self._on_gpu else None  # type: ignore[no-untyped-call]
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream())  # for the frame
        self._replay = self._captured() if cuda_graph else None

    @property
    def clock(self) -> str:
        """What `resident` measures with."""
        return "cuda events" if self._on_gpu else "host"

    def _host(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.uint8, pin_memory=self._on_gpu)

    def _captured(self) -> Callable[[], Tensor]:
        if self._stream is None:
            raise RuntimeError("a CUDA graph needs CUDA")
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                self._run(self._x)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Threads of other backends may call CUDA meanwhile; in the usual mode that ends a capture.
        capture = torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local")
        with torch.inference_mode(), capture:
            out = self._run(self._x)

        def replay() -> Tensor:
            graph.replay()
            return out

        return replay

    def _enlarged(self) -> Tensor:
        return self._replay() if self._replay else self._run(self._x)

    def resident(self, frames: int) -> float:
        """Restore the frame that lies on the device so many times; return the seconds."""

        def work() -> None:
            for _ in range(frames):
                self._enlarged()

        with torch.inference_mode(), torch.cuda.stream(self._stream):
            return seconds_of(work, on_gpu=self._on_gpu)

    def work(self, frames: int) -> None:
        """Do as `resident`, beside other lanes: only this one is waited for."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            for _ in range(frames):
                self._enlarged()
        if self._stream is not None:
            self._stream.synchronize()

    def copies(self, frames: int) -> float:
        """Restore frames that lie in pinned memory, results back to it."""
        return self._streamed(frames, touch_host=False)

    def end_to_end(self, frames: int) -> float:
        """Restore frames of the caller's memory; results are handed over as views, complete."""
        return self._streamed(frames, touch_host=True)

    def _streamed(self, frames: int, *, touch_host: bool) -> float:
        begun = time.perf_counter()
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            for index in range(frames):
                slot = index % IN_FLIGHT
                if index >= IN_FLIGHT:
                    self._wait(slot)
                if touch_host:
                    frame = self._frames[index % len(self._frames)]
                    np.copyto(self._ins[slot].numpy()[0], frame)
                self._x.copy_(self._ins[slot], non_blocking=True)
                self._outs[slot].copy_(self._enlarged(), non_blocking=True)
                if self._on_gpu:
                    self._done[slot].record()
            for slot in range(min(frames, IN_FLIGHT)):
                self._wait(slot)
        return time.perf_counter() - begun

    def _wait(self, slot: int) -> None:
        if self._on_gpu:
            self._done[slot].synchronize()


def refuse_without(device: str) -> None:
    """Raise RuntimeError if this PyTorch has no such device, "cuda" or "cpu"."""
    if device == "cuda" and not torch.cuda.is_available():
        why = "sees no GPU" if torch.version.cuda else "was built without CUDA"
        raise RuntimeError(f"PyTorch {torch.__version__} {why}")


def seconds_of(work: Callable[[], object], *, on_gpu: bool) -> float:
    """Return what work on the current stream took: between two events, or by the clock."""
    if not on_gpu:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun
    first, last = _event(timing=True), _event(timing=True)
    torch.cuda.synchronize()
    first.record()
    work()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / 1e3


def _event(*, timing: bool = False) -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=timing)  # type: ignore[no-untyped-call]
