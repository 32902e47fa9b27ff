"""The kit's backends as the GPU check times them; here the backend is one that runs anywhere."""

import threading
from contextlib import ExitStack

import numpy as np
import pytest

from benchmarks.gpu_check.kit import Crew, Plain, kit_variant
from benchmarks.gpu_check.record import Row
from crispstream.core.bicubic import upscale_x4
from crispstream.core.errors import EngineError
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.bicubic import BicubicBackend
from crispstream.runtime.latency import Latencies
from tests.helpers.pictures import soft_picture

FRAMES = [soft_picture(seed, 12, 16) for seed in range(3)]


class Counting(BicubicBackend):
    """Counts the frames of all its twins, by thread."""

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        super().__init__()
        self.counts: dict[int, int] = {} if counts is None else counts
        self.device_latencies = Latencies(("infer", "copy_out"))  # type: ignore[assignment]
        self.twins: list[Counting] = []
        self.closed = False

    def submit(self, slot: int) -> None:
        super().submit(slot)
        self.device_latencies.record("infer", 2_000_000)  # type: ignore[attr-defined]
        thread = threading.get_ident()
        self.counts[thread] = self.counts.get(thread, 0) + 1

    def twin(self) -> "Counting":
        self.twins.append(Counting(self.counts))
        return self.twins[-1]

    def close(self) -> None:
        self.closed = True
        super().close()


@pytest.mark.parametrize("regime", ["copies", "end-to-end"])
@pytest.mark.parametrize(("streams", "asked", "each"), [(1, 7, 7), (4, 8, 2), (4, 6, 2)])
def test_every_stream_restores_its_share(regime: str, streams: int, asked: int, each: int) -> None:
    backend = Counting()
    row = Row("edge-n", regime, "engine", "fp16", False, streams)
    with ExitStack() as stack:
        variant = kit_variant(backend, row, FRAMES, stack)
        assert variant.burst(asked) > 0
        assert sorted(backend.counts.values()) == [each] * streams
        assert variant.more() == {"device_ms": {"infer": pytest.approx(2.0)}}
        assert not any(twin.closed for twin in backend.twins)
    assert all(twin.closed for twin in backend.twins)
    assert not backend.closed  # that is up to its owner


def test_seconds_are_for_the_frames_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 18.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    crew = Crew([lambda: lambda _: None for _ in range(4)])
    assert crew.burst(6) == pytest.approx(6.0)  # 8 frames were done in 8 s
    monkeypatch.undo()
    crew.close()


def test_a_failure_in_a_stream_comes_out() -> None:
    def fail(_: int) -> None:
        raise EngineError("the device is gone")

    crew = Crew([lambda: fail])
    with pytest.raises(EngineError, match="gone"):
        crew.burst(1)
    crew.close()


def test_a_stream_that_cannot_start_leaves_no_thread() -> None:
    def refuse() -> None:
        raise EngineError("no memory")

    before = threading.active_count()
    with pytest.raises(EngineError, match="no memory"):
        Crew([refuse])  # type: ignore[list-item]
    assert threading.active_count() == before


def test_a_function_is_judged_like_a_backend() -> None:
    backend = Plain(upscale_x4, "bicubic", "fp16")
    backend.allocate(12, 16, 2)
    expected: list[Bytes] = []
    for slot in (0, 1):
        backend.frame(slot)[:] = FRAMES[slot]
        backend.submit(slot)
        backend.wait(slot)
        expected.append(upscale_x4(FRAMES[slot]))
    for slot in (0, 1):
        np.testing.assert_array_equal(backend.restored(slot), expected[slot])
    assert backend.twin().name == "bicubic"
    backend.close()
