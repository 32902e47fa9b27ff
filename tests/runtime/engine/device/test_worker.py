"""The thread that owns the GPU's context."""

import threading
from collections.abc import Callable, Iterator

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.device.driver import Driver
from crispstream.runtime.engine.device.worker import GpuWorker
from tests.helpers.fakes.fake_gpu import FakeCudaError, FakeGpu
from tests.helpers.fakes.installing import install_cuda
from tests.helpers.fakes.rig import worker_threads


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    fake = FakeGpu()
    install_cuda(monkeypatch, fake)
    return fake


@pytest.fixture
def worker(gpu: FakeGpu) -> Iterator[GpuWorker]:
    worker = GpuWorker(Driver)
    yield worker
    worker.close()
    assert worker_threads() == []


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def test_calls_run_in_one_other_thread_with_the_context(gpu: FakeGpu, worker: GpuWorker) -> None:
    threads = {worker.call(threading.get_ident) for _ in range(3)}
    assert len(threads) == 1
    assert threads.isdisjoint({threading.get_ident()})
    assert worker.call(lambda: len(gpu.stack())) == 1
    worker.close()
    gpu.check_clean()


def test_a_call_comes_after_all_that_was_posted(worker: GpuWorker) -> None:
    done: list[int] = []
    for number in range(200):  # more than may wait
        worker.post(lambda number=number: done.append(number))
    assert worker.call(lambda: list(done)) == list(range(200))


def test_what_a_posted_function_raises_comes_with_the_next_call(worker: GpuWorker) -> None:
    worker.post(raising(ValueError("first")))
    worker.post(raising(ValueError("second")))
    ran: list[int] = []
    with pytest.raises(ValueError, match="first"):
        worker.call(lambda: ran.append(1))
    assert ran == [1]
    assert worker.call(lambda: 5) == 5


def test_errors_of_a_call_are_raised_where_it_was_made(worker: GpuWorker) -> None:
    with pytest.raises(KeyError, match="mine"):
        worker.call(raising(KeyError("mine")))
    with pytest.raises(EngineError, match=r"CUDA driver refused: cuX failed: invalid argument; ch"):
        worker.call(raising(FakeCudaError("cuX failed: invalid argument")))
    assert worker.call(lambda: 5) == 5


@pytest.mark.parametrize(
    "words",
    [
        "an illegal memory access was encountered",
        "unspecified launch failure",
        "uncorrectable ECC error encountered",
        "the launch timed out and was terminated",
        "unknown error",
    ],
)
def test_errors_that_spoil_the_context_end_the_work(
    gpu: FakeGpu, worker: GpuWorker, words: str
) -> None:
    for _ in range(2):
        with pytest.raises(EngineError, match=rf"context is lost \(cuX failed: {words}\); restart"):
            worker.call(raising(FakeCudaError(f"cuX failed: {words}")))
    with pytest.raises(EngineError, match="context is lost"):
        worker.post(lambda: None)
    worker.close()
    worker.close()
    gpu.check_clean(lost=True)


def test_a_context_that_no_longer_answers_is_lost_whatever_the_words(
    gpu: FakeGpu, worker: GpuWorker
) -> None:
    def spoil() -> None:
        gpu.sticky = "a new kind of error"
        raise EngineError("the library refused")

    with pytest.raises(EngineError, match=r"context is lost \(the library refused\)"):
        worker.call(spoil)


def test_calls_on_their_way_when_the_context_is_lost_are_answered(worker: GpuWorker) -> None:
    lost = FakeCudaError("cuX failed: unspecified launch failure")
    begun, go_on = threading.Event(), threading.Event()

    def spoil() -> None:
        begun.set()
        assert go_on.wait(10)
        raise lost

    said: list[str] = []

    def wait() -> None:
        try:
            worker.call(lambda: None)
        except EngineError as error:
            said.append(str(error))

    worker.post(spoil)
    assert begun.wait(10)
    waiting = threading.Thread(target=wait)
    waiting.start()
    go_on.set()
    waiting.join(10)
    assert not waiting.is_alive()
    assert "context is lost" in said[0]


def test_a_start_that_fails_is_raised_and_leaves_no_thread() -> None:
    with pytest.raises(EngineError, match="no such GPU"):
        GpuWorker(raising(EngineError("no such GPU")))  # type: ignore[arg-type]
    assert worker_threads() == []


def test_closing_finishes_what_was_posted_and_refuses_more(gpu: FakeGpu, worker: GpuWorker) -> None:
    done: list[int] = []
    worker.post(lambda: done.append(1))
    worker.close()
    worker.close()
    assert done == [1]
    with pytest.raises(EngineError, match="closed; open the model again"):
        worker.call(lambda: None)
    gpu.check_clean()


def test_a_call_that_ctrl_c_interrupts_does_not_spoil_the_next(
    worker: GpuWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = worker._replies

    class Interrupted:
        def get(self) -> None:
            monkeypatch.setattr(worker, "_replies", replies)
            raise KeyboardInterrupt

        put = replies.put

    monkeypatch.setattr(worker, "_replies", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        worker.call(lambda: "the answer nobody waits for")
    assert worker.call(lambda: 5) == 5


def test_what_a_failed_function_held_dies_in_the_thread(gpu: FakeGpu, worker: GpuWorker) -> None:
    """An error keeps the frames it passed, and who catches it keeps the error."""

    def work() -> None:
        stream = worker.driver.stream()
        raise ValueError(f"stream {stream.handle}")

    with pytest.raises(ValueError, match="stream") as caught:
        worker.call(work)
    assert gpu.live["Stream"] == 0
    assert caught.value.__traceback__ is not None
