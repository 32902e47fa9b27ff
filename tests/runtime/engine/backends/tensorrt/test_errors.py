"""What goes wrong on the fake GPU: a sentence is said, and nothing is left behind."""

import threading

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.backends.tensorrt.backend import Plan
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import expected_of
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

BOTH = pytest.mark.parametrize("cuda_graph", [False, True])


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


@pytest.mark.parametrize("integrated", [False, True])
def test_whatever_cannot_be_made_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, integrated: bool
) -> None:
    """Each thing in turn, from the context to the last buffer; the next try works."""
    whole = Rig(monkeypatch, FakeGpu(integrated=integrated))
    assert _refusal(whole) == ""
    sentences = []
    for number in range(1, sum(whole.gpu.created.values()) + 1):
        rig = Rig(monkeypatch, FakeGpu(integrated=integrated))
        rig.gpu.fail_creation = number
        sentences.append(_refusal(rig))
        rig.gpu.check_clean()
    assert "gave no context" in sentences[0]
    refused = [sentence for sentence in sentences[1:] if sentence]
    assert all("memory" in sentence.lower() for sentence in refused)
    # Graphs, and memory that is pinned, can be done without.
    spared = whole.gpu.created["executable"] + whole.gpu.created["host_register"]
    assert len(refused) == len(sentences) - 1 - spared
    assert worker_threads() == []


def _refusal(rig: Rig) -> str:
    """Return what was refused at first, "" for nothing; then see that everything works."""
    refused = ""
    try:
        backend = rig.backend(states=STATES)
    except EngineError as error:
        return str(error)
    try:
        backend.allocate(HEIGHT, WIDTH, 2)
    except EngineError as error:
        refused = str(error)
    if refused:
        assert rig.gpu.live["Stream"] == rig.gpu.live["mem_alloc"] == 0
        backend.allocate(HEIGHT, WIDTH, 2)
    frames = frames_of(4)
    assert_same(run(backend, frames, slots=2), expected_of(frames, 2))
    backend.close()
    return refused


@BOTH
@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_lost_context_is_told_at_once_and_ever_after(
    rig: Rig, in_flight: int, cuda_graph: bool
) -> None:
    backend = rig.backend(cuda_graph=cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 4)
    rig.gpu.break_at_network = rig.gpu.networks_run + 5
    with pytest.raises(EngineError, match=r"context is lost \(.*illegal memory.*restart the proc"):
        run(backend, frames_of(20), in_flight=in_flight)
    kept = backend.restored(0)
    for again in (
        lambda: backend.submit(0),
        lambda: backend.wait(0),
        lambda: backend.allocate(HEIGHT, WIDTH, 2),
    ):
        with pytest.raises(EngineError, match="context is lost"):
            again()
    backend.close()
    backend.close()
    rig.gpu.check_clean(lost=True)
    assert kept.shape == (4 * HEIGHT, 4 * WIDTH, 3)
    assert worker_threads() == []


def test_a_context_that_is_lost_while_closing_does_no_more_harm(rig: Rig) -> None:
    backend = rig.backend(cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 4)
    rig.gpu.break_at_network = rig.gpu.networks_run + 1
    backend.submit(0)
    backend.close()
    rig.gpu.check_clean(lost=True)


def test_a_frame_that_cannot_be_started_fails_and_no_other(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = rig.backend(cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 4)
    context = type.__getattribute__(vars(rig.trt)["IExecutionContext"], "__mro__")[1]
    frames = frames_of(4)
    for slot, frame in enumerate(frames):
        backend.frame(slot)[:] = frame
    backend.submit(0)
    backend.wait(0)
    with monkeypatch.context() as patch:
        patch.setattr(context, "_enqueue", _nothing_is_set)
        backend.submit(1)
        with pytest.raises(EngineError, match=r"refused to run a frame, twice; it said: .*stream"):
            backend.wait(1)
    for slot in (2, 3):
        backend.submit(slot)
    for slot in (2, 3):
        backend.wait(slot)
    results = [backend.restored(slot) for slot in (0, 2, 3)]
    assert_same(results, expected_of([frames[0], frames[2], frames[3]]))
    backend.close()
    rig.gpu.check_clean()


def _nothing_is_set(self: object, stream_handle: int) -> None:
    raise KeyError("stream")


def test_a_frame_that_is_refused_once_is_tried_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = rig.backend(cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 2)
    context = type.__getattribute__(vars(rig.trt)["IExecutionContext"], "__mro__")[1]
    enqueue, refused = vars(context)["_enqueue"], []

    def refuse_once(self: object, stream_handle: int) -> None:
        if not refused:
            refused.append(stream_handle)
            raise KeyError("stream")
        enqueue(self, stream_handle)

    monkeypatch.setattr(context, "_enqueue", refuse_once)
    frames = frames_of(3)
    assert_same(run(backend, frames, slots=2), expected_of(frames))
    assert len(refused) == 1
    backend.close()


def test_waiting_for_nothing_is_refused(rig: Rig) -> None:
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    with pytest.raises(EngineError, match="no frame is in work in slot 1; submit one first"):
        backend.wait(1)
    backend.close()


def test_a_closed_backend_says_so(rig: Rig) -> None:
    backend = rig.backend()
    backend.close()
    with pytest.raises(EngineError, match="closed; open the model again"):
        backend.allocate(HEIGHT, WIDTH, 2)


def test_no_driver_is_an_error_and_leaves_no_thread(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.gpu.device_count = 0
    with pytest.raises(EngineError, match=r"driver did not start .*no CUDA-capable device"):
        rig.backend()
    assert worker_threads() == []


def test_a_shutdown_from_another_thread_ends_a_wait(rig: Rig) -> None:
    """A supervisor may close while the frame loop is between two calls."""
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 4)
    backend.submit(0)
    closing = threading.Thread(target=backend.close)
    closing.start()
    closing.join()
    with pytest.raises((EngineError, IndexError)):
        backend.wait(0)
    rig.gpu.check_clean()


@pytest.mark.parametrize("answered", [False, True])
def test_an_engine_nobody_waits_for_any_more_is_kept_and_freed_by_its_thread(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    """Ctrl-C amid loading, or when it is done: the next size finds the engine, and no other."""
    backend = rig.backend()
    replies, provide = backend._worker._replies, backend._shelf._provide

    class Interrupted:
        def get(self) -> None:
            monkeypatch.setattr(backend._worker, "_replies", replies)
            if answered:
                replies.get()
            raise KeyboardInterrupt

        put = replies.put

    def provided(height: int, width: int) -> Plan:
        monkeypatch.setattr(backend._worker, "_replies", Interrupted())
        return provide(height, width)

    with monkeypatch.context() as patch:
        patch.setattr(backend._shelf, "_provide", provided)
        with pytest.raises(KeyboardInterrupt):
            backend.allocate(HEIGHT, WIDTH, 2)
    backend.allocate(HEIGHT, WIDTH, 2)
    assert len(rig.asked_for) == rig.gpu.created["engine"] == 1
    backend.close()
    rig.gpu.check_clean()
