"""The kit's own backends in the GPU check: with copies, end to end, one stream and several."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import numpy as np

from benchmarks.gpu_check.record import Row
from benchmarks.gpu_check.steps import NotRun
from benchmarks.gpu_check.timing import Variant
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.base import Backend
from crispstream.runtime.engine.backends.tensorrt.backend import TensorRTBackend
from crispstream.runtime.engine.opening import Opened
from crispstream.runtime.restorer import Restorer

IN_FLIGHT = 2
"""Frames in work at once, as a Restorer has by default."""

_SLOTS = 2 * IN_FLIGHT

Work = Callable[[int], None]
"""Restores so many frames; returns when the last is done."""


class Plain:
    """A function that restores a frame, in the form of a backend: to be judged like one."""

    device_latencies = None

    def __init__(self, restore: Callable[[Bytes], Bytes], name: str, precision: str) -> None:
        """`restore` takes bytes [H,W,3] and returns bytes [4H,4W,3]."""
        self.name = name
        self.precision = precision
        self._restore = restore
        self._frames: list[Bytes] = []
        self._restored: dict[int, Bytes] = {}

    def allocate(self, height: int, width: int, slots: int) -> None:
        """Make the frames of the slots."""
        self._frames = [np.zeros((height, width, 3), np.uint8) for _ in range(slots)]

    def frame(self, slot: int) -> Bytes:
        """Return a slot's frame."""
        return self._frames[slot]

    def restored(self, slot: int) -> Bytes:
        """Return a slot's restored frame."""
        return self._restored[slot]

    def submit(self, slot: int) -> None:
        """Restore at once."""
        self._restored[slot] = self._restore(self._frames[slot])

    def wait(self, slot: int) -> None:
        """It is done already."""

    def reset(self) -> None:
        """There is no state."""

    def twin(self) -> "Plain":
        """Return another one of the same function."""
        return Plain(self._restore, self.name, self.precision)

    def close(self) -> None:
        """Let go of the frames."""
        self._frames, self._restored = [], {}


class Crew:
    """Streams of frames side by side, each on a thread of its own."""

    def __init__(self, makers: Sequence[Callable[[], Work]]) -> None:
        """Make the work of each stream on its thread."""
        self._pools = [ThreadPoolExecutor(1) for _ in makers]
        self._works: list[Work] = []
        try:
            for pool, make in zip(self._pools, makers, strict=True):
                self._works.append(pool.submit(make).result())
        except BaseException:
            self.close()
            raise

    def burst(self, frames: int) -> float:
        """Restore at least so many frames, shared out; return the seconds for so many."""
        each = -(-frames // len(self._pools))
        begun = time.perf_counter()
        running = [
            pool.submit(work, each) for pool, work in zip(self._pools, self._works, strict=True)
        ]
        for future in running:
            future.result()
        seconds = time.perf_counter() - begun
        return seconds * frames / (each * len(self._pools))

    def close(self) -> None:
        """End the threads."""
        for pool in self._pools:
            pool.shutdown()


def kit_variant(
    backend: Backend, row: Row, frames: Sequence[Bytes], open_until: ExitStack
) -> Variant:
    """Return a row of a backend, "copies" or "end-to-end", on as many twins as it has streams.

    The twins are closed when `open_until` ends; `backend` is left to its owner.

    Raises:
        EngineError: if the backend takes no frames of this size.
        NotRun: if the row is one of CUDA graphs, and the backend does without.
    """
    twins = [backend.twin() for _ in range(row.streams)]
    for twin in twins:
        open_until.callback(twin.close)
    maker = _slot_work if row.regime == "copies" else _restorer_work
    crew = Crew([partial(maker, twin, frames) for twin in twins])
    open_until.callback(crew.close)
    if row.cuda_graph and not all(map(_has_graphs, twins)):
        raise NotRun("frames cannot be captured into CUDA graphs here; see the warnings")
    return Variant(row, crew.burst, more=lambda: _on_device(twins[0]))


def _has_graphs(backend: Backend) -> bool:
    """TensorRT-RTX captures its own graphs and tells nobody."""
    if isinstance(backend, TensorRTBackend) and backend.name == "tensorrt":
        return backend.replays_graphs
    return True


def _on_device(backend: Backend) -> dict[str, object]:
    """Return the median of every stage as the device measured it, where it does."""
    if backend.device_latencies is None:
        return {}
    stages = backend.device_latencies.summary()
    return {"device_ms": {name: told["p50_ms"] for name, told in stages.items() if told["count"]}}


def _slot_work(backend: Backend, frames: Sequence[Bytes]) -> Work:
    """Frames lie in the slots already: what is left is submit and wait."""
    height, width, _ = frames[0].shape
    backend.allocate(height, width, _SLOTS)
    for slot in range(_SLOTS):
        backend.frame(slot)[:] = frames[slot % len(frames)]

    def run(count: int) -> None:
        for index in range(count):
            if index >= IN_FLIGHT:
                backend.wait((index - IN_FLIGHT) % _SLOTS)
            backend.submit(index % _SLOTS)
        for index in range(max(0, count - IN_FLIGHT), count):
            backend.wait(index % _SLOTS)

    return run


def _restorer_work(backend: Backend, frames: Sequence[Bytes]) -> Work:
    """Frames lie in the caller's memory; results are handed over as views."""
    height, width, _ = frames[0].shape
    restorer = Restorer(Opened(backend, "check", 1), frames_in_flight=IN_FLIGHT)
    restorer.reserve(width, height)

    def run(count: int) -> None:
        for index in range(count):
            if restorer.in_flight == IN_FLIGHT:
                restorer.collect()
            restorer.submit(frames[index % len(frames)])
        while restorer.in_flight:
            restorer.collect()

    return run
