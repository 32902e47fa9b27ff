"""The TensorRT backend on a fake GPU: right bytes in any legal order, and everything given back."""

import sys

import numpy as np
import pytest

from crispstream.core.errors import EngineError, MissingExtraError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.base import Backend
from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.opening import Opened
from crispstream.runtime.restorer import Restorer
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import expected_of, plan_of
from tests.helpers.fakes.installing import remove
from tests.helpers.fakes.rig import (
    HEIGHT,
    STATES,
    WIDTH,
    Rig,
    assert_same,
    frames_of,
    run,
    worker_threads,
)
from tests.helpers.graphs import nearest_x4


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("in_flight", [1, 2, 3])
@pytest.mark.parametrize("seed", range(12))
def test_every_order_the_streams_allow_gives_the_right_bytes(
    monkeypatch: pytest.MonkeyPatch, seed: int, in_flight: int, cuda_graph: bool
) -> None:
    rig = Rig(monkeypatch, FakeGpu(seed))
    backend = rig.backend(cuda_graph=cuda_graph)
    slots = 2 * in_flight
    backend.allocate(HEIGHT, WIDTH, slots)
    assert backend.replays_graphs == cuda_graph
    frames = frames_of(16, seed=seed)
    assert_same(run(backend, frames, slots=slots, in_flight=in_flight), expected_of(frames))
    backend.close()
    rig.gpu.check_clean()


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_a_frame_makes_nothing_new_on_the_gpu(rig: Rig, cuda_graph: bool) -> None:
    backend = rig.backend(states=STATES, cuda_graph=cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 4)
    made = dict(rig.gpu.created)
    run(backend, frames_of(40), in_flight=2)
    assert rig.gpu.created == made
    backend.close()


def test_it_is_a_backend_and_tells_what_it_is(rig: Rig) -> None:
    backend: Backend = rig.backend()
    assert (backend.name, backend.precision) == ("tensorrt", "fp16")
    backend.close()


def test_arrays_handed_out_stay_as_they_were_when_the_size_changes_and_after_close(
    rig: Rig,
) -> None:
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    frames = frames_of(1)
    run(backend, frames, slots=2)
    before = backend.restored(0)
    backend.allocate(2 * HEIGHT, WIDTH, 2)
    larger = frames_of(1, height=2 * HEIGHT, seed=1)
    run(backend, larger, slots=2)
    after = backend.restored(0)
    backend.close()
    rig.gpu.check_clean()
    assert_same([before, after], expected_of(frames) + expected_of(larger))
    before[:] = 0  # the memory is still there, and nobody else's
    assert_same([after], expected_of(larger))


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_closing_with_frames_in_flight_waits_for_them(rig: Rig, cuda_graph: bool) -> None:
    backend = rig.backend(cuda_graph=cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 4)
    for slot in range(3):
        backend.submit(slot)
    backend.close()
    backend.close()
    rig.gpu.check_clean()
    assert worker_threads() == []


def test_a_new_size_with_frames_in_flight_waits_for_them(rig: Rig) -> None:
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 4)
    backend.submit(0)
    backend.submit(1)
    backend.allocate(HEIGHT, 2 * WIDTH, 4)
    backend.close()
    rig.gpu.check_clean()


def test_a_slot_nobody_waited_for_can_be_used_again(rig: Rig) -> None:
    backend = rig.backend(cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 1)
    backend.submit(0)
    frames = frames_of(3)
    assert_same(run(backend, frames, slots=1), expected_of(frames))
    backend.close()
    rig.gpu.check_clean()


def test_an_engine_is_asked_for_only_when_the_loaded_one_does_not_take_the_size(rig: Rig) -> None:
    rig.plan = plan_of(SizeRange.only((16, 8)), SizeRange.parse("32x16:48x24:64x32"))
    backend = rig.backend()
    for width, height in ((16, 8), (32, 16), (64, 32), (16, 8)):
        backend.allocate(height, width, 2)
        frames = frames_of(3, width=width, height=height)
        assert_same(run(backend, frames, slots=2), expected_of(frames))
    assert rig.asked_for == [(8, 16)]
    rig.plan = None
    backend.allocate(12, 20, 2)
    assert rig.asked_for == [(8, 16), (12, 20)]
    assert rig.gpu.live["engine"] == rig.gpu.live["execution context"] == 1
    backend.close()
    rig.gpu.check_clean()


def test_an_engine_that_does_not_take_the_size_either_is_refused(rig: Rig) -> None:
    rig.plan = plan_of(SizeRange.only((64, 48)), SizeRange.only((32, 24)))
    backend = rig.backend()
    with pytest.raises(
        EngineError, match=r"takes frames of 64x48 or 32x24 px, not 16x8; build it .*--size 16x8"
    ):
        backend.allocate(HEIGHT, WIDTH, 2)
    rig.plan = None
    backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    rig.gpu.check_clean()


def test_an_error_of_the_provider_is_passed_on_and_the_next_size_works(rig: Rig) -> None:
    def provide(height: int, width: int) -> None:
        raise KeyError("no such engine")

    backend = rig.backend()
    works, backend._shelf._provide = backend._shelf._provide, provide
    with pytest.raises(KeyError, match="no such engine"):
        backend.allocate(HEIGHT, WIDTH, 2)
    backend._shelf._provide = works
    backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    rig.gpu.check_clean()


def test_the_gpu_times_the_stages_of_plain_frames(rig: Rig) -> None:
    backend = rig.backend(cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 2)
    run(backend, frames_of(5), slots=2)
    stages = backend.device_latencies.summary()
    assert {stage: figures["count"] for stage, figures in stages.items()} == {
        "copy_in": 5,
        "infer": 5,
        "copy_out": 5,
        "whole": 0,
    }
    # As the fake GPU's clock has it; the frame that warms up is not counted.
    means = [stages[stage]["mean_ms"] for stage in ("copy_in", "infer", "copy_out")]
    assert means == pytest.approx([0.25, 1.0, 0.5])
    backend.close()


def test_the_gpu_times_a_graph_as_a_whole(rig: Rig) -> None:
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    run(backend, frames_of(2), slots=2)  # the first start of each graph is a checked one
    checked = backend.device_latencies["whole"].mean_ms
    run(backend, frames_of(20), slots=2)
    whole = backend.device_latencies["whole"]
    assert whole.count == 22
    assert whole.mean_ms == pytest.approx((2 * checked + 20 * 1.75) / 22)
    backend.close()


def test_an_integrated_gpu_works_in_the_frames_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda_graph in (False, True):
        rig = Rig(monkeypatch, FakeGpu(integrated=True))
        backend = rig.backend(states=STATES, cuda_graph=cuda_graph)
        backend.allocate(HEIGHT, WIDTH, 4)
        frames = frames_of(12)
        assert_same(run(backend, frames, in_flight=2), expected_of(frames, 2))
        assert rig.gpu.ran["htod"] == rig.gpu.ran["dtoh"] == 0
        assert rig.gpu.created["mem_alloc"] == 4  # two for each state
        backend.close()
        rig.gpu.check_clean()


@pytest.mark.parametrize("frames_in_flight", [1, 2, 3])
def test_the_restorer_pads_crops_and_changes_size(rig: Rig, frames_in_flight: int) -> None:
    with Restorer(
        Opened(rig.backend(), "fake", size_multiple=4), frames_in_flight=frames_in_flight
    ) as restorer:
        for width, height in ((15, 7), (18, 9)):
            frames = frames_of(7, width=width, height=height)
            results = []
            for frame in frames:
                if restorer.in_flight == frames_in_flight:
                    results.append(restorer.collect().copy())
                restorer.submit(frame)
            while restorer.in_flight:
                results.append(restorer.collect().copy())
            assert_same(results, expected_of(frames))
    assert rig.asked_for == [(8, 16), (12, 20)]
    rig.gpu.check_clean()


def test_an_engine_that_was_built_is_run(rig: Rig) -> None:
    built = build_engine(nearest_x4(), BuildOptions.static((WIDTH, HEIGHT)), flavour="tensorrt")
    rig.plan = built.plan
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    frames = frames_of(3)
    assert_same(run(backend, frames, slots=2), expected_of(frames))
    backend.close()
    rig.gpu.check_clean()


def test_a_missing_library_is_named_before_a_thread_starts(
    monkeypatch: pytest.MonkeyPatch, rig: Rig
) -> None:
    remove(monkeypatch, "tensorrt")
    with pytest.raises(MissingExtraError, match=r"'tensorrt'.*crispstream\[tensorrt\]"):
        rig.backend()
    assert worker_threads() == []


def test_without_pycuda_no_thread_is_left(monkeypatch: pytest.MonkeyPatch, rig: Rig) -> None:
    monkeypatch.delitem(sys.modules, "pycuda")
    remove(monkeypatch, "pycuda.driver")
    with pytest.raises(MissingExtraError, match=r"crispstream\[cuda\]"):
        rig.backend()
    assert worker_threads() == []


@pytest.mark.parametrize(("cuda_graph", "count"), [(False, 3), (True, 1)])
def test_streams_are_apart_from_the_default_one(rig: Rig, cuda_graph: bool, count: int) -> None:
    backend = rig.backend(cuda_graph=cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 2)
    assert [stream.non_blocking for stream in rig.gpu.streams.values()] == [True] * count
    backend.close()


def test_no_pixel_is_copied_by_the_caller(rig: Rig) -> None:
    """What `frame` and `restored` return is the memory that the GPU copies from and to."""
    backend = rig.backend(cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 2)
    pinned = [memory.content for memory in rig.gpu.memories if memory.kind == "host"]
    for slot in range(2):
        for array in (backend.frame(slot), backend.restored(slot)):
            assert any(np.shares_memory(array, memory) for memory in pinned)
    backend.close()
