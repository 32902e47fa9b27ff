"""The ONNX Runtime backend: same bytes as a plain run, straight into its own buffers."""

import os

import numpy as np
import onnxruntime as ort
import pytest

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import BundleError, EngineError, FrameError, UsageError
from crispstream.core.machine import usable_cores
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from tests.helpers.graphs import float_contract, nearest_x4, small_net, with_the_frame_before


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def plain_run(graph: bytes, frame_hwc: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"frame": frame_hwc[None]})[0][0]


@pytest.mark.parametrize("half", [False, True])
def test_bytes_equal_a_plain_session(half: bool) -> None:
    graph, frame = small_net(half=half), noise(20, 36)
    backend = OnnxRuntimeBackend(graph, precision="fp32", threads=1)
    backend.allocate(20, 36, slots=1)
    backend.frame(0)[:] = frame
    backend.submit(0)
    backend.wait(0)
    np.testing.assert_array_equal(backend.restored(0), plain_run(graph, frame))
    backend.close()


def test_slots_are_independent_and_outputs_land_in_the_bound_buffer() -> None:
    backend = OnnxRuntimeBackend(nearest_x4(), precision="fp32", threads=1)
    backend.allocate(8, 12, slots=3)
    outputs = [backend.restored(slot) for slot in range(3)]
    for slot in range(3):
        backend.frame(slot)[:] = slot + 1
        backend.submit(slot)
    for slot in range(3):
        assert np.all(outputs[slot] == slot + 1)
        assert np.shares_memory(outputs[slot], backend.restored(slot))
    backend.close()


def test_arrays_handed_out_survive_a_new_size() -> None:
    backend = OnnxRuntimeBackend(nearest_x4(), precision="fp32", threads=1)
    backend.allocate(8, 12, slots=1)
    backend.frame(0)[:] = 7
    backend.submit(0)
    before = backend.restored(0)
    backend.allocate(16, 16, slots=1)
    backend.frame(0)[:] = 9
    backend.submit(0)
    assert np.all(before == 7)
    assert backend.restored(0).shape == (64, 64, 3)
    backend.close()


def test_a_static_graph_refuses_other_sizes() -> None:
    backend = OnnxRuntimeBackend(nearest_x4(16, 32), precision="fp32", threads=1)
    backend.allocate(16, 32, slots=1)
    with pytest.raises(FrameError, match="takes frames of 32x16 px only, not 64x16"):
        backend.allocate(16, 64, slots=1)
    backend.close()


def test_refusals_say_what_was_wrong() -> None:
    with pytest.raises(EngineError, match="refused the graph") as caught:
        OnnxRuntimeBackend(b"not a graph", precision="fp32")
    assert "ONNXRuntimeError" in caught.value.native_log
    with pytest.raises(BundleError, match="crispstream export"):
        OnnxRuntimeBackend(float_contract(), precision="fp32")
    with pytest.raises(UsageError, match="threads is 0"):
        OnnxRuntimeBackend(nearest_x4(), precision="fp32", threads=0)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_cuda_that_is_not_there_is_refused_not_replaced() -> None:
    with pytest.raises(EngineError, match="onnxruntime-gpu"):
        OnnxRuntimeBackend(nearest_x4(), precision="fp32", device="cuda")


def test_usable_cores_heeds_the_affinity() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        assert usable_cores() == len(os.sched_getaffinity(0))


def test_frames_side_by_side_are_the_same_bytes_in_order() -> None:
    graph = small_net()
    backend = OnnxRuntimeBackend(graph, precision="fp32", threads=2, side_by_side=2)
    backend.allocate(20, 36, slots=4)
    for slot in range(4):
        backend.frame(slot)[:] = noise(20, 36, seed=slot)
        backend.submit(slot)
    for slot in range(4):
        backend.wait(slot)
        np.testing.assert_array_equal(
            backend.restored(slot), plain_run(graph, noise(20, 36, seed=slot))
        )
    backend.close()


def test_an_error_beside_other_frames_reaches_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = OnnxRuntimeBackend(nearest_x4(), precision="fp32", threads=1, side_by_side=2)
    backend.allocate(8, 12, slots=1)

    def fails(slot: int) -> None:
        raise EngineError(f"slot {slot} broke")

    monkeypatch.setattr(backend, "_run", fails)
    backend.submit(0)
    with pytest.raises(EngineError, match="slot 0 broke"):
        backend.wait(0)
    backend.close()


def test_no_frame_at_a_time_is_refused() -> None:
    with pytest.raises(UsageError, match="side_by_side 0"):
        OnnxRuntimeBackend(nearest_x4(), precision="fp32", threads=1, side_by_side=0)


BEFORE = (StateTensor("before", channels=3, divisor=1),)


def recurrent(*, half: bool = False) -> OnnxRuntimeBackend:
    graph = with_the_frame_before(half=half)
    return OnnxRuntimeBackend(graph, precision="fp32", threads=1, states=BEFORE)


def levels_of(backend: OnnxRuntimeBackend, levels: list[int], slots: int = 4) -> list[int]:
    """Send flat frames of these levels through the slots in turn; return the results' levels."""
    results = []
    for number, level in enumerate(levels):
        slot = number % slots
        backend.frame(slot)[:] = level
        backend.submit(slot)
        backend.wait(slot)
        results.append(int(backend.restored(slot)[0, 0, 0]))
    return results


@pytest.mark.parametrize("half", [False, True])
def test_state_goes_from_frame_to_frame_until_reset(half: bool) -> None:
    backend = recurrent(half=half)
    backend.allocate(8, 12, slots=4)
    assert levels_of(backend, [1, 10, 100, 20, 2, 3]) == [1, 11, 110, 120, 22, 5]
    backend.reset()
    assert levels_of(backend, [7, 8]) == [7, 15]
    backend.allocate(8, 16, slots=2)
    assert levels_of(backend, [5, 6], slots=2) == [5, 11]
    backend.close()


def test_a_twin_has_buffers_and_state_of_its_own_and_outlives_the_first() -> None:
    first = recurrent()
    second = first.twin()
    for backend in (first, second):
        backend.allocate(8, 12, slots=2)
    assert levels_of(first, [1, 2], slots=2) == [1, 3]
    assert levels_of(second, [50, 5], slots=2) == [50, 55]
    assert levels_of(first, [4], slots=2) == [6]
    first.close()
    assert levels_of(second, [7], slots=2) == [12]
    second.close()


def test_states_that_the_bundle_does_not_name_are_refused() -> None:
    with pytest.raises(BundleError, match=r"states are .*state_in_before.*, expected \[\]"):
        OnnxRuntimeBackend(with_the_frame_before(), precision="fp32")
    with pytest.raises(BundleError, match=r"expected \['state_in_before'\]"):
        OnnxRuntimeBackend(nearest_x4(), precision="fp32", states=BEFORE)


def test_recurrent_frames_are_never_side_by_side() -> None:
    graph = with_the_frame_before()
    with pytest.raises(UsageError, match="side_by_side 1"):
        OnnxRuntimeBackend(graph, precision="fp32", states=BEFORE, threads=2, side_by_side=2)
