"""A backend on a fake GPU with a fake TensorRT, and frames to send through it."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from crispstream.core.bundle import StateTensor
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.tensorrt.backend import Plan, TensorRTBackend

from .fake_gpu import FakeGpu
from .fake_plan import FakePlan, plan_of
from .fake_tensorrt import fake_tensorrt
from .installing import install_cuda, install_tensorrt

WIDTH, HEIGHT = 16, 8
VERSION = "10.3.0"
STATES = (StateTensor("seen", 4, 2), StateTensor("moved", 2, 4))


class Rig:
    """The fakes, installed for a test.

    Attributes:
        plan: what `provide` provides; by default an engine for the size that is asked for.
        asked_for: the (height, width) of which engines were asked for.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu, *, flavour: str = "tensorrt"
    ) -> None:
        self.gpu = gpu
        self.flavour = flavour
        self.trt = fake_tensorrt(gpu, flavour=flavour, version=VERSION)
        self.plan: FakePlan | bytes | None = None
        self.plan_options: dict[str, Any] = {}
        self.asked_for: list[tuple[int, int]] = []
        install_cuda(monkeypatch, gpu)
        install_tensorrt(monkeypatch, self.trt)

    def provide(self, height: int, width: int, states: Sequence[StateTensor] = ()) -> Plan:
        self.asked_for.append((height, width))
        plan = self.plan
        if plan is None:
            plan = plan_of(SizeRange.only((width, height)), states=states, flavour=self.flavour)
        return Plan(plan if isinstance(plan, bytes) else plan.to_bytes(), **self.plan_options)

    def backend(
        self, *, states: tuple[StateTensor, ...] = (), cuda_graph: bool = True
    ) -> TensorRTBackend:
        return TensorRTBackend(
            lambda height, width: self.provide(height, width, states),
            flavour=self.flavour,
            precision="fp16",
            states=states,
            cuda_graph=cuda_graph,
        )


def frames_of(
    count: int, *, width: int = WIDTH, height: int = HEIGHT, seed: int = 0
) -> list[Bytes]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def run(
    backend: TensorRTBackend, frames: Sequence[Bytes], *, slots: int = 4, in_flight: int = 1
) -> list[Bytes]:
    """Send frames through a backend, so many at a time, slots in turn; return copies."""
    pending: deque[int] = deque()
    results = []

    def collect() -> None:
        slot = pending.popleft()
        backend.wait(slot)
        results.append(backend.restored(slot).copy())

    for number, frame in enumerate(frames):
        slot = number % slots
        backend.frame(slot)[:] = frame
        backend.submit(slot)
        pending.append(slot)
        if len(pending) == in_flight:
            collect()
    while pending:
        collect()
    return results


def assert_same(results: Sequence[Bytes], expected: Sequence[Bytes]) -> None:
    """Fail with the number of the first frame that differs."""
    for number, (result, right) in enumerate(zip(results, expected, strict=True)):
        np.testing.assert_array_equal(result, right, err_msg=f"frame {number}")


def worker_threads() -> list[str]:
    """Return the names of the threads that own a GPU's context."""
    return [t.name for t in threading.enumerate() if t.name.startswith("crispstream-gpu")]
