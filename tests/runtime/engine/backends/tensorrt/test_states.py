"""Recurrent state on the fake GPU: kept there, swapped by direction, zero after a reset."""

import threading

import numpy as np
import pytest

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError
from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import BuildOptions
from tests.helpers.fakes.fake_context import IExecutionContext
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import expected_of
from tests.helpers.fakes.rig import HEIGHT, STATES, WIDTH, Rig, assert_same, frames_of, run
from tests.helpers.graphs import with_the_frame_before

BOTH = pytest.mark.parametrize("cuda_graph", [False, True])


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


@BOTH
@pytest.mark.parametrize("in_flight", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_each_frame_sees_the_state_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch, seed: int, in_flight: int, cuda_graph: bool
) -> None:
    rig = Rig(monkeypatch, FakeGpu(seed))
    backend = rig.backend(states=STATES, cuda_graph=cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 2 * in_flight)
    frames = frames_of(15, seed=seed)
    results = run(backend, frames, slots=2 * in_flight, in_flight=in_flight)
    assert_same(results, expected_of(frames, states=2))
    backend.close()
    rig.gpu.check_clean()


@BOTH
def test_a_reset_holds_for_the_next_frame_and_not_for_those_in_flight(
    rig: Rig, cuda_graph: bool
) -> None:
    backend = rig.backend(states=STATES, cuda_graph=cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 4)
    frames = frames_of(7)
    results = []
    for number, frame in enumerate(frames):
        if number == 3:
            backend.reset()  # frames 1 and 2 are still in flight
        backend.frame(number % 4)[:] = frame
        backend.submit(number % 4)
        if number >= 2:
            backend.wait((number - 2) % 4)
            results.append(backend.restored((number - 2) % 4).copy())
    for number in (5, 6):
        backend.wait(number % 4)
        results.append(backend.restored(number % 4).copy())
    assert_same(results, expected_of(frames[:3], 2) + expected_of(frames[3:], 2))
    backend.close()
    rig.gpu.check_clean()


def test_a_reset_does_not_overtake_frames_that_wait_for_the_gpus_thread(rig: Rig) -> None:
    backend = rig.backend(states=STATES)
    backend.allocate(HEIGHT, WIDTH, 4)
    frames = frames_of(4)
    for slot, frame in enumerate(frames):
        backend.frame(slot)[:] = frame
    go_on = threading.Event()
    backend._worker.post(lambda: go_on.wait(10))
    for slot in (0, 1, 2, 3):
        if slot == 2:
            backend.reset()
        backend.submit(slot)
    go_on.set()
    for slot in (0, 1, 2, 3):
        backend.wait(slot)
    results = [backend.restored(slot) for slot in range(4)]
    assert_same(results, expected_of(frames[:2], 2) + expected_of(frames[2:], 2))
    backend.close()


def test_a_reset_before_the_first_size_and_without_states_does_no_harm(rig: Rig) -> None:
    backend = rig.backend()
    backend.reset()
    backend.allocate(HEIGHT, WIDTH, 2)
    backend.reset()
    frames = frames_of(2)
    assert_same(run(backend, frames, slots=2), expected_of(frames))
    backend.close()


@BOTH
def test_a_new_size_starts_from_zero(rig: Rig, cuda_graph: bool) -> None:
    backend = rig.backend(states=STATES, cuda_graph=cuda_graph)
    for height in (HEIGHT, 2 * HEIGHT):
        backend.allocate(height, WIDTH, 4)
        frames = frames_of(5, height=height)
        assert_same(run(backend, frames), expected_of(frames, 2))
    backend.close()
    rig.gpu.check_clean()


def test_after_a_new_size_any_slot_may_come_first_and_graphs_are_replayed(rig: Rig) -> None:
    """The Restorer goes on counting its slots, so that the first one may be odd."""
    backend = rig.backend(states=STATES)
    backend.allocate(HEIGHT, WIDTH, 4)
    frames = frames_of(6)
    results = []
    for number, frame in enumerate(frames):
        slot = (number + 3) % 4
        backend.frame(slot)[:] = frame
        backend.submit(slot)
        backend.wait(slot)
        results.append(backend.restored(slot).copy())
    assert_same(results, expected_of(frames, 2))
    assert backend.device_latencies["whole"].count == 6
    backend.close()


@BOTH
def test_slots_out_of_turn_keep_the_state_right_and_go_without_their_graph(
    rig: Rig, cuda_graph: bool
) -> None:
    backend = rig.backend(states=STATES, cuda_graph=cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 4)
    frames = frames_of(6)
    results = []
    for slot, frame in zip((0, 1, 3, 3, 0, 1), frames, strict=True):
        backend.frame(slot)[:] = frame
        backend.submit(slot)
        backend.wait(slot)
        results.append(backend.restored(slot).copy())
    assert_same(results, expected_of(frames, 2))
    # Slot 3 comes where an even one is due: it and no other is enqueued plainly.
    assert backend.device_latencies["infer"].count == (1 if cuda_graph else 6)
    backend.close()
    rig.gpu.check_clean()


def test_an_odd_number_of_slots_works_too(rig: Rig) -> None:
    backend = rig.backend(states=STATES)
    backend.allocate(HEIGHT, WIDTH, 3)
    frames = frames_of(9)
    assert_same(run(backend, frames, slots=3, in_flight=2), expected_of(frames, 2))
    backend.close()
    rig.gpu.check_clean()


@pytest.mark.parametrize("half", [False, True])
def test_a_recurrent_graph_that_was_built_is_run(rig: Rig, half: bool) -> None:
    states = (StateTensor("before", 3, 1),)
    built = build_engine(
        with_the_frame_before(half=half),
        BuildOptions.static((WIDTH, HEIGHT)),
        flavour="tensorrt",
        states=states,
    )
    rig.plan = built.plan
    backend = rig.backend(states=states)
    backend.allocate(HEIGHT, WIDTH, 4)
    frames = frames_of(5)
    before = [np.zeros_like(frames[0]), *frames[:-1]]
    sums = [np.minimum(a.astype(int) + b, 255) for a, b in zip(frames, before, strict=True)]
    right = [each.astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1) for each in sums]
    assert_same(run(backend, frames, in_flight=2), right)
    backend.close()
    rig.gpu.check_clean()


def test_a_frame_that_failed_lets_the_state_start_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = rig.backend(states=STATES, cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 4)
    frames = frames_of(6)
    results = run(backend, frames[:3])
    with monkeypatch.context() as patch:
        patch.setattr(IExecutionContext, "_enqueue", _refuse)
        backend.submit(3)
        with pytest.raises(EngineError, match="refused to run a frame, twice"):
            backend.wait(3)
    results += run(backend, frames[3:])
    assert_same(results, expected_of(frames[:3], 2) + expected_of(frames[3:], 2))
    backend.close()
    rig.gpu.check_clean()


def _refuse(self: object, stream_handle: int) -> None:
    raise KeyError("stream")
