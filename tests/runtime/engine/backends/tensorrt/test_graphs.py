"""CUDA graphs of frames: captured with a guard, and watched by a canary."""

import sys

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.backends.tensorrt import graphs as tensorrt_graphs
from tests.helpers.fakes.fake_context import IExecutionContext
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import expected_of
from tests.helpers.fakes.installing import remove
from tests.helpers.fakes.rig import HEIGHT, STATES, WIDTH, Rig, assert_same, frames_of, run


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


def test_a_frame_runs_before_the_capture_and_each_slot_has_a_graph(rig: Rig) -> None:
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 4)
    assert rig.gpu.networks_run == 1
    assert rig.gpu.live["executable"] == 4
    assert rig.gpu.live["graph"] == 0
    backend.close()
    rig.gpu.check_clean()


def test_with_a_state_a_frame_runs_in_both_directions_before_the_capture(rig: Rig) -> None:
    backend = rig.backend(states=STATES)
    backend.allocate(HEIGHT, WIDTH, 4)
    assert (rig.gpu.networks_run, rig.gpu.live["executable"]) == (2, 4)
    backend.close()
    rig.gpu.check_clean()


@pytest.mark.parametrize("states", [(), STATES])
def test_in_mapped_memory_each_capture_follows_a_frame_of_its_slot(
    monkeypatch: pytest.MonkeyPatch, states: tuple
) -> None:
    enqueued: list[tuple[bool, dict[str, int]]] = []
    enqueue = IExecutionContext._enqueue

    def noted(self: IExecutionContext, stream_handle: int) -> None:
        captured = self._gpu.streams[stream_handle].captured is not None
        enqueued.append((captured, dict(self._addresses)))
        enqueue(self, stream_handle)

    monkeypatch.setattr(IExecutionContext, "_enqueue", noted)
    rig = Rig(monkeypatch, FakeGpu(integrated=True))
    backend = rig.backend(states=states)
    backend.allocate(HEIGHT, WIDTH, 4)
    captures = enqueued[1:]  # after the frame that warms up
    assert [captured for captured, _ in captures] == [False, True] * 4
    for (_, before), (_, addresses) in zip(captures[::2], captures[1::2], strict=True):
        assert before == addresses
    assert len({tuple(addresses.values()) for _, addresses in captures}) == 4
    assert rig.gpu.live["execution context"] == 1
    frames = frames_of(9)
    assert_same(run(backend, frames, in_flight=2), expected_of(frames, len(states)))
    backend.close()
    rig.gpu.check_clean()


def test_a_new_size_captures_again(rig: Rig) -> None:
    backend = rig.backend()
    for height in (HEIGHT, 2 * HEIGHT, HEIGHT):
        backend.allocate(height, WIDTH, 2)
        frames = frames_of(4, height=height)
        assert_same(run(backend, frames, slots=2), expected_of(frames))
        assert rig.gpu.live["executable"] == 2
    assert rig.gpu.created["executable"] == 6
    backend.close()
    rig.gpu.check_clean()


@pytest.mark.parametrize("states", [(), STATES])
@pytest.mark.parametrize("part", ["begin", "work", "end", "instantiate"])
def test_a_capture_that_fails_leaves_frames_without_graphs(
    rig: Rig, part: str, states: tuple, caplog: pytest.LogCaptureFixture
) -> None:
    rig.gpu.fail_capture = part
    backend = rig.backend(states=states)
    backend.allocate(HEIGHT, WIDTH, 4)
    assert not backend.replays_graphs
    frames = frames_of(8)
    assert_same(run(backend, frames, in_flight=2), expected_of(frames, len(states)))
    assert len(caplog.records) == 1
    assert "no CUDA graphs, frames are enqueued one by one" in caplog.text
    backend.close()
    rig.gpu.check_clean()


@pytest.mark.parametrize("slots", [1, 3])
def test_without_states_any_number_of_slots_is_replayed(rig: Rig, slots: int) -> None:
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, slots)
    frames = frames_of(6)
    assert_same(run(backend, frames, slots=slots), expected_of(frames))
    assert backend.device_latencies["whole"].count == 6
    backend.close()
    rig.gpu.check_clean()


def test_graphs_of_some_slots_are_of_no_use(rig: Rig) -> None:
    rig.gpu.fail_capture, rig.gpu.good_captures = "instantiate", 2
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 4)
    assert rig.gpu.created["executable"] == 2
    assert rig.gpu.live["executable"] == 0
    frames = frames_of(8)
    assert_same(run(backend, frames, in_flight=2), expected_of(frames))
    backend.close()
    rig.gpu.check_clean()


def test_without_cuda_bindings_a_sentence_says_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("cuda.bindings.driver", "cuda.bindings", "cuda"):
        monkeypatch.delitem(sys.modules, name)
    remove(monkeypatch, "cuda")
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    frames = frames_of(3)
    assert_same(run(backend, frames, slots=2), expected_of(frames))
    assert len(caplog.records) == 1
    assert "no CUDA graphs: " in caplog.text
    assert 'pip install "crispstream[cuda]"' in caplog.text
    backend.close()


def test_graphs_that_are_not_wanted_are_not_looked_for(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    backend = rig.backend(cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 2)
    assert rig.gpu.created["executable"] == 0
    assert caplog.records == []
    backend.close()


STALE = {
    "htod": "the copy of the frame to the GPU",
    "network": "the network",
    "dtoh": "the copy of the result from the GPU",
    "htod network dtoh": "the copy of the frame to the GPU",
}


@pytest.mark.parametrize("states", [(), STATES])
@pytest.mark.parametrize("skipped", STALE)
def test_a_graph_that_skips_work_is_caught_at_its_first_start(
    rig: Rig, skipped: str, states: tuple, caplog: pytest.LogCaptureFixture
) -> None:
    rig.gpu.skip = lambda _: skipped
    backend = rig.backend(states=states)
    backend.allocate(HEIGHT, WIDTH, 4)
    assert backend.replays_graphs
    frames = frames_of(8)
    assert_same(run(backend, frames, in_flight=2), expected_of(frames, len(states)))
    assert not backend.replays_graphs
    assert len(caplog.records) == 1
    assert f"did not do its work ({STALE[skipped]})" in caplog.text
    backend.close()
    rig.gpu.check_clean()


def test_a_graph_that_goes_stale_is_caught_at_the_next_check(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_graphs, "EVERY", 4)
    rig.gpu.skip = lambda start: "htod network dtoh" if start >= 6 else ""
    backend = rig.backend(states=STATES)
    backend.allocate(HEIGHT, WIDTH, 2)
    frames = frames_of(16)
    results = run(backend, frames, slots=2)
    assert_same(results[:6], expected_of(frames[:6], 2))
    # Slot 0 is checked at its starts 0 and 4, the latter being frame 8, where the state restarts.
    assert_same(results[8:], expected_of(frames[8:], 2))
    assert (results[6] != expected_of(frames[:7], 2)[6]).any()
    backend.close()
    rig.gpu.check_clean()


def test_after_a_stale_graph_no_size_is_captured_again(rig: Rig) -> None:
    rig.gpu.skip = lambda _: "network"
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    run(backend, frames_of(1), slots=2)
    backend.allocate(2 * HEIGHT, WIDTH, 2)
    assert not backend.replays_graphs
    assert rig.gpu.created["executable"] == 2
    backend.close()
    rig.gpu.check_clean()


def test_the_canary_works_on_mapped_buffers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(monkeypatch, FakeGpu(integrated=True))
    rig.gpu.skip = lambda start: "network" if start >= 2 else ""
    monkeypatch.setattr(tensorrt_graphs, "EVERY", 2)
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    frames = frames_of(8)
    results = run(backend, frames, slots=2)
    assert_same(results[:2], expected_of(frames[:2]))
    assert_same(results[4:], expected_of(frames[4:]))  # frame 4 is the second check of slot 0
    assert "did not do its work (the network)" in caplog.text
    backend.close()
    rig.gpu.check_clean()


def test_frames_smaller_than_the_canarys_bytes_are_checked_too(rig: Rig) -> None:
    backend = rig.backend()
    backend.allocate(1, 2, 2)  # 6 bytes in, 96 out
    frames = frames_of(6, width=2, height=1)
    assert_same(run(backend, frames, slots=2), expected_of(frames))
    assert backend.replays_graphs
    backend.close()
    rig.gpu.check_clean()


def test_checks_are_rare(rig: Rig) -> None:
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    run(backend, frames_of(2), slots=2)
    rig.gpu.ran.clear()
    run(backend, frames_of(1) * 2 * 255, slots=2)
    assert rig.gpu.ran["htod"] == 2 * 255  # a check sends two pieces more
    run(backend, frames_of(1) * 2, slots=2)
    assert rig.gpu.ran["htod"] == 2 * 255 + 2 * 3
    backend.close()


@pytest.mark.parametrize("states", [(), STATES])
@pytest.mark.parametrize("good_starts", [0, 3])
def test_a_graph_that_the_driver_does_not_start_any_more_is_done_without(
    rig: Rig, good_starts: int, states: tuple, caplog: pytest.LogCaptureFixture
) -> None:
    """With every frame right, and the state as it was."""
    backend = rig.backend(states=states)
    backend.allocate(HEIGHT, WIDTH, 2)
    frames = frames_of(8)
    results = run(backend, frames[:good_starts], slots=2)
    rig.gpu.fail_capture = "launch"
    for number in range(good_starts, 8):
        backend.frame(number % 2)[:] = frames[number]
        backend.submit(number % 2)
        backend.wait(number % 2)
        results.append(backend.restored(number % 2).copy())
    assert_same(results, expected_of(frames, len(states)))
    assert [record.message for record in caplog.records] == [
        "the CUDA driver refused to start a CUDA graph (CUDA_ERROR_OUT_OF_MEMORY); open the model "
        "without CUDA graphs; from now on frames are enqueued one by one"
    ]
    assert (backend.replays_graphs, rig.gpu.live["executable"]) == (False, 0)
    backend.allocate(2 * HEIGHT, WIDTH, 2)
    assert not backend.replays_graphs
    backend.close()
    rig.gpu.check_clean()


def test_a_graph_that_is_not_started_because_the_context_is_lost_is_an_error(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    run(backend, frames_of(2), slots=2)
    rig.gpu.fail_capture = "lose"
    backend.submit(0)
    with pytest.raises(EngineError, match="context is lost"):
        backend.wait(0)
    assert caplog.records == []  # nothing goes on without graphs
    backend.close()
    rig.gpu.check_clean(lost=True)
