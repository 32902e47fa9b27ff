"""Streams, events and buffers over the fake driver."""

import errno
import mmap
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.device.driver import Driver
from crispstream.runtime.engine.device.graphs import Graphs, load_graphs
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.installing import install_cuda, remove


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    fake = FakeGpu()
    install_cuda(monkeypatch, fake)
    return fake


@pytest.fixture
def driver(gpu: FakeGpu) -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.close()
    gpu.check_clean()


def test_bytes_go_to_the_gpu_and_back(driver: Driver) -> None:
    stream, there = driver.stream(), driver.device_buffer(96)
    sent, got = driver.host_buffer((4, 8, 3)), driver.host_buffer((4, 8, 3))
    sent.array[:] = np.arange(96).reshape(4, 8, 3)
    driver.copy_to_device(there.pointer, sent.array, stream.native)
    driver.copy_to_host(got.array, there.pointer, stream.native)
    stream.synchronise()
    np.testing.assert_array_equal(got.array, sent.array)
    for thing in (sent, got, there, stream):
        thing.close()


def test_an_event_orders_two_streams_and_times_them(driver: Driver) -> None:
    first, second = driver.stream(), driver.stream()
    begin, end = driver.event(), driver.event()
    there, host = driver.device_buffer(16), driver.host_buffer((16,))
    driver.fill(there.pointer, 7, 16, first.native)
    begin.record(first)
    second.wait_for(begin)
    driver.copy_to_host(host.array, there.pointer, second.native)
    end.record(second)
    end.synchronise()
    assert np.all(host.array == 7)
    assert end.milliseconds_since(begin) == 0.5  # what the fake GPU takes for the copy
    for thing in (host, there, begin, end, first, second):
        thing.close()


def test_closing_twice_does_no_harm(driver: Driver) -> None:
    for thing in (driver.device_buffer(8), driver.host_buffer((8,)), driver.event()):
        thing.close()
        thing.close()


def test_pinned_memory_outlives_everything(gpu: FakeGpu) -> None:
    driver = Driver()
    buffer = driver.host_buffer((2, 2, 3))
    view = buffer.array[:1]
    view[:] = 9
    buffer.close()
    driver.close()
    del buffer, driver
    gpu.check_clean()
    assert np.all(view == 9)
    view[:] = 3


def test_mapped_memory_has_an_address_on_the_gpu(driver: Driver) -> None:
    stream = driver.stream()
    mapped, plain = (driver.host_buffer((8,), mapped=each) for each in (True, False))
    assert plain.pointer is None
    assert mapped.pointer is not None
    driver.fill(mapped.pointer, 5, 8, stream.native)
    stream.synchronise()
    assert np.all(mapped.array == 5)
    for thing in (mapped, plain, stream):
        thing.close()


def test_missing_memory_is_said_in_mebibytes(gpu: FakeGpu, driver: Driver) -> None:
    gpu.fail_creation = sum(gpu.created.values()) + 1
    with pytest.raises(EngineError, match=r"no 3 MiB of memory for a buffer, 1024 of 8192 MiB"):
        driver.device_buffer(3 << 20)


@pytest.mark.parametrize("mapped", [False, True])
def test_memory_that_the_driver_does_not_pin_is_there_all_the_same(
    gpu: FakeGpu, driver: Driver, mapped: bool
) -> None:
    gpu.pin_refused = 2
    buffer = driver.host_buffer((8,), mapped=mapped)
    assert (buffer.pin_error, buffer.pointer) == (2, None)
    buffer.array[:] = 7
    buffer.close()
    gpu.pin_refused = 0
    buffer = driver.host_buffer((8,))
    assert buffer.pin_error == 0
    buffer.close()


def test_a_driver_that_pins_nothing_because_its_context_is_lost_says_so(gpu: FakeGpu) -> None:
    driver = Driver()
    gpu.pin_refused = 700

    def lose(self: object, *_: object) -> int:
        gpu.sticky = "an illegal memory access was encountered"
        return 700

    driver._libcuda.cuMemHostRegister_v2 = lose.__get__(driver._libcuda)
    with pytest.raises(EngineError, match=r"pins no memory \(CUDA error 700\); restart"):
        driver.host_buffer((8,))
    driver.close()
    gpu.check_clean(lost=True)


def test_missing_memory_of_the_computer_is_said_too(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", full)
    with pytest.raises(EngineError, match=r"no 2 MiB of memory for a buffer \(Cannot allocate"):
        driver.host_buffer((2 << 20,))


def test_a_gpu_that_is_not_there_is_named(gpu: FakeGpu) -> None:
    with pytest.raises(EngineError, match=r"GPU 4 gave no context \(.*invalid device ordinal"):
        Driver(4)
    gpu.check_clean()


def test_a_graph_does_again_what_was_captured(gpu: FakeGpu, driver: Driver) -> None:
    graphs = load_graphs()
    assert isinstance(graphs, Graphs)
    stream, there = driver.stream(), driver.device_buffer(8)
    sent, got = driver.host_buffer((8,)), driver.host_buffer((8,))

    def work() -> None:
        driver.copy_to_device(there.pointer, sent.array, stream.native)
        driver.copy_to_host(got.array, there.pointer, stream.native)

    graph = graphs.capture(stream.handle, work)
    assert gpu.ran["htod"] == 0
    for value in (3, 4):
        sent.array[:] = value
        graph.launch()
        stream.synchronise()
        assert np.all(got.array == value)
    for thing in (graph, graph, sent, got, there, stream):
        thing.close()


def test_a_capture_whose_work_fails_is_ended(gpu: FakeGpu, driver: Driver) -> None:
    graphs = load_graphs()
    assert isinstance(graphs, Graphs)
    stream, there = driver.stream(), driver.device_buffer(8)

    def work() -> None:
        driver.fill(there.pointer, 1, 8, stream.native)
        raise KeyError("work")

    with pytest.raises(KeyError, match="work"):
        graphs.capture(stream.handle, work)
    driver.fill(there.pointer, 1, 8, stream.native)  # runs, and is not captured
    stream.synchronise()
    assert gpu.ran["memset"] == 1
    there.close()
    stream.close()


@pytest.mark.parametrize("part", ["begin", "end", "instantiate"])
def test_a_refused_capture_names_the_drivers_error(gpu: FakeGpu, driver: Driver, part: str) -> None:
    graphs = load_graphs()
    assert isinstance(graphs, Graphs)
    gpu.fail_capture = part
    stream = driver.stream()
    with pytest.raises(EngineError, match=r"refused .* \(CUDA_ERROR_\w+\); open the model without"):
        graphs.capture(stream.handle, lambda: None)
    stream.close()


def test_memory_taken_during_a_capture_breaks_it(gpu: FakeGpu, driver: Driver) -> None:
    graphs = load_graphs()
    assert isinstance(graphs, Graphs)
    stream = driver.stream()
    with pytest.raises(EngineError, match="CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"):
        graphs.capture(stream.handle, lambda: driver.device_buffer(8).close())
    stream.close()
    assert gpu.faults == ["mem_alloc while a graph is captured"]
    gpu.faults.clear()


def test_without_bindings_a_sentence_tells_why(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cuda.bindings.driver", "cuda.bindings", "cuda"):
        monkeypatch.delitem(sys.modules, name)
    remove(monkeypatch, "cuda")
    said = load_graphs()
    assert isinstance(said, str)
    assert 'pip install "crispstream[cuda]"' in said
