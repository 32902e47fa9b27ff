"""The fakes find what they are there to find: each of these programs is wrong in one way."""

import ctypes
import threading
from collections.abc import Callable

import numpy as np
import pytest

from crispstream.core.sizes import SizeRange
from tests.helpers.fakes.fake_bindings import fake_bindings
from tests.helpers.fakes.fake_cuda import fake_pycuda
from tests.helpers.fakes.fake_gpu import FakeCudaError, FakeGpu
from tests.helpers.fakes.fake_libcuda import FakeLibcuda
from tests.helpers.fakes.fake_plan import plan_of
from tests.helpers.fakes.fake_tensorrt import fake_tensorrt
from tests.helpers.fakes.surface import FakeModule, Surface

NON_BLOCKING = 1


class Program:
    """A thread's use of the fake driver, without the kit between."""

    def __init__(self, seed: int = 0) -> None:
        self.gpu = FakeGpu(seed)
        self.cuda: FakeModule = fake_pycuda(self.gpu, Surface())
        self.context = self.cuda.Device(0).retain_primary_context()
        self.context.push()

    def fault(self) -> str:
        with pytest.raises(AssertionError) as caught:
            self.gpu.check_clean()
        return str(caught.value)


@pytest.fixture
def program() -> Program:
    return Program()


def copied(seed: int, *, waits: bool) -> bool:
    """Fill memory on one stream and copy it on by another; return whether that came out right."""
    program = Program(seed)
    program.gpu.pin_refused = 801
    first, second = (program.cuda.Stream(NON_BLOCKING) for _ in range(2))
    filled = program.cuda.Event(0)
    memory, result = program.cuda.mem_alloc(64), np.zeros(64, np.uint8)
    program.cuda.memset_d8_async(int(memory), 7, 64, first)
    filled.record(first)
    if waits:
        second.wait_for_event(filled)
    program.cuda.memcpy_dtoh_async(result, int(memory), second)
    second.synchronize()
    first.synchronize()
    memory.free()
    return bool(np.all(result == 7))


def test_a_missing_wait_shows_for_some_seed_and_a_wait_holds_for_all() -> None:
    assert not all(copied(seed, waits=False) for seed in range(10))
    assert all(copied(seed, waits=True) for seed in range(10))


def test_use_after_free_is_found(program: Program) -> None:
    stream, memory = program.cuda.Stream(NON_BLOCKING), program.cuda.mem_alloc(8)
    program.cuda.memset_d8_async(int(memory), 0, 8, stream)
    stream.synchronize()
    memory.free()
    with pytest.raises(FakeCudaError):
        program.cuda.memset_d8_async(int(memory), 0, 8, stream)
    assert "use of freed device memory" in program.fault()


def test_memory_freed_too_early_or_twice_is_found(program: Program) -> None:
    stream, memory = program.cuda.Stream(NON_BLOCKING), program.cuda.mem_alloc(8)
    program.cuda.memset_d8_async(int(memory), 0, 8, stream)
    memory.free()
    with pytest.raises(FakeCudaError, match="invalid resource handle"):
        memory.free()
    assert "freed while queued work needs it" in program.fault()


def test_leaks_are_found(program: Program) -> None:
    memory = program.cuda.mem_alloc(8)
    program.context.detach()
    assert program.fault() == "not given back: {'mem_alloc': 1}"
    del memory


def test_a_context_that_is_kept_is_found(program: Program) -> None:
    assert "threads with a context" in program.fault()


def test_bytes_beyond_a_buffer_are_found(program: Program) -> None:
    stream, memory = program.cuda.Stream(NON_BLOCKING), program.cuda.mem_alloc(8)
    with pytest.raises(FakeCudaError):
        program.cuda.memset_d8_async(int(memory) + 1, 0, 8, stream)
    assert "where there are not so many" in program.fault()


def test_a_copy_of_memory_that_is_not_pinned_is_found(program: Program) -> None:
    stream, memory = program.cuda.Stream(NON_BLOCKING), program.cuda.mem_alloc(8)
    program.cuda.memcpy_htod_async(int(memory), np.zeros(8, np.uint8), stream)
    assert "not pinned" in program.fault()


def test_work_on_the_default_stream_breaks_a_capture_of_a_blocking_one(program: Program) -> None:
    memory = program.cuda.mem_alloc(8)
    streams = [program.cuda.Stream(flags) for flags in (0, NON_BLOCKING)]
    for stream in streams:
        stream._stream.captured = []
    program.cuda.memset_d8_async(int(memory), 0, 8)
    assert [stream._stream.broken for stream in streams] == [True, False]
    assert "memset on the default stream" in program.fault()


def test_a_stream_dropped_with_work_in_it_is_found(program: Program) -> None:
    stream, memory = program.cuda.Stream(NON_BLOCKING), program.cuda.mem_alloc(8)
    program.cuda.memset_d8_async(int(memory), 0, 8, stream)
    del stream
    assert "destroyed while work is queued" in program.fault()


def in_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_call_in_a_thread_without_the_context_is_found(program: Program) -> None:
    def work() -> None:
        with pytest.raises(FakeCudaError, match="invalid device context"):
            program.cuda.mem_alloc(8)

    in_a_thread(work)
    assert "cuMemAlloc without a context in this thread" in program.fault()


def test_something_dropped_in_another_thread_is_found(program: Program) -> None:
    held = [program.cuda.Stream(NON_BLOCKING)]
    in_a_thread(held.clear)
    assert "a Stream was dropped in another thread" in program.fault()


def test_memory_unpinned_while_a_copy_is_queued_is_found(program: Program) -> None:
    library, host = FakeLibcuda(program.gpu), np.zeros(8, np.uint8)
    address = ctypes.c_void_p(host.ctypes.data)
    stream, memory = program.cuda.Stream(NON_BLOCKING), program.cuda.mem_alloc(8)
    assert library.cuMemHostRegister_v2(address, ctypes.c_size_t(8), ctypes.c_uint(0)) == 0
    program.cuda.memcpy_htod_async(int(memory), host, stream)
    library.cuMemHostUnregister(address)
    assert "host memory freed while queued work needs it" in program.fault()


class Network:
    """An execution context of a fake engine, with memory for two frames."""

    def __init__(self, program: Program, *, own_graphs: bool = False) -> None:
        flavour = "tensorrt-rtx" if own_graphs else "tensorrt"
        trt = fake_tensorrt(program.gpu, flavour=flavour)
        plan = plan_of(SizeRange.only((8, 4)), flavour=flavour).to_bytes()
        logger = type("Logger", (trt.ILogger,), {"log": lambda self, severity, message: None})()
        engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
        config = []
        if own_graphs:
            config = [engine.create_runtime_config()]
            config[0].cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self.context = engine.create_execution_context(*config)
        self.stream = program.cuda.Stream(NON_BLOCKING)
        self.context.set_optimization_profile_async(0, self.stream.handle)
        self.context.set_input_shape("frame", (1, 4, 8, 3))
        self.frames = [program.cuda.mem_alloc(96) for _ in range(2)]
        self.restored = program.cuda.mem_alloc(16 * 96)
        self.context.set_tensor_address("restored", int(self.restored))

    def run(self, frame: int) -> None:
        self.context.set_tensor_address("frame", int(self.frames[frame]))
        self.context.execute_async_v3(self.stream.handle)


@pytest.mark.parametrize("change", ["address", "profile", "shape"])
def test_a_context_that_changes_after_a_capture_is_found(program: Program, change: str) -> None:
    network, bindings = Network(program), fake_bindings(program.gpu, Surface())
    stream = bindings.CUstream(network.stream.handle)
    mode = bindings.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    bindings.cuStreamBeginCapture(stream, mode)
    network.run(0)
    graph = bindings.cuStreamEndCapture(stream)[1]
    executable = bindings.cuGraphInstantiate(graph, 0)[1]
    network.run(0)  # the same again is fine
    network.stream.synchronize()
    assert program.gpu.faults == []
    if change == "address":
        network.run(1)
    elif change == "profile":
        network.context.set_optimization_profile_async(0, network.stream.handle)
    else:
        network.context.set_input_shape("frame", (1, 4, 8, 3))
    assert "of a context changed after a graph was captured from it" in program.gpu.faults[0]
    bindings.cuGraphExecDestroy(executable)
    program.gpu.faults.clear()
    network.run(0)
    assert program.gpu.faults == []
    network.stream.synchronize()


def test_captures_that_tensorrt_rtx_repeats_are_counted(program: Program) -> None:
    network = Network(program, own_graphs=True)
    for frame, captures in ((0, 1), (0, 1), (1, 2), (0, 3)):
        network.run(frame)
        assert program.gpu.own_captures == captures
    network.stream.synchronize()


def test_a_profile_that_is_not_there_is_raised_for_as_by_the_bindings(program: Program) -> None:
    network = Network(program)
    with pytest.raises(RuntimeError, match="Error in set optimization profile async"):
        network.context.set_optimization_profile_async(1, network.stream.handle)


def test_a_surface_refuses_what_the_library_has_not_and_notes_the_rest() -> None:
    surface = Surface(frozenset({"Runtime", "Runtime.logger", "DataType", "DataType.HALF"}))
    trt = fake_tensorrt(FakeGpu(), surface=surface)
    runtime = trt.Runtime(None)
    assert not hasattr(runtime, "get_engine_validity")
    assert not hasattr(trt, "IRuntimeConfig")
    assert not hasattr(trt.DataType, "FLOAT")
    assert int(trt.DataType.HALF) == 1
    with pytest.raises(AttributeError, match=r"has no Runtime.engine_host_code_allowed"):
        runtime.engine_host_code_allowed = True
    with pytest.raises(AssertionError, match=r"has Runtime.logger, its fake has not"):
        _ = runtime.logger
    assert surface.touched == {"Runtime", "DataType", "DataType.HALF"}
    assert "Runtime.get_engine_validity" in surface.refused


def test_without_names_only_what_the_fake_has_can_be_set() -> None:
    config = fake_tensorrt(FakeGpu()).Builder(None).create_builder_config()
    config.builder_optimization_level = 2
    with pytest.raises(AttributeError, match=r"has no IBuilderConfig.builder_optimisation_level"):
        config.builder_optimisation_level = 2


def test_what_a_user_adds_to_a_class_of_the_library_is_free() -> None:
    surface = Surface(frozenset({"IProgressMonitor", "IProgressMonitor.step_complete"}))
    trt = fake_tensorrt(FakeGpu(), surface=surface)

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined,misc]
        own = 1

        def step_complete(self, name: str, step: int) -> bool:
            return self.own == step

    assert Monitor().step_complete("build", 1)
    assert "IProgressMonitor.own" not in surface.touched | surface.refused
