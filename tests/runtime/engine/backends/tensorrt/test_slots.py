"""Where frames lie: pinned or not, and on the GPU one pair of buffers a slot, or one for all."""

import pytest

from crispstream.runtime.engine.backends.tensorrt import backend as backend_module
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import expected_of
from tests.helpers.fakes.rig import HEIGHT, STATES, WIDTH, Rig, assert_same, frames_of, run


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("code", [801, 2, 712])  # not supported, no memory, registered already
def test_memory_that_cannot_be_pinned_is_copied_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, integrated: bool, code: int
) -> None:
    rig = Rig(monkeypatch, FakeGpu(integrated=integrated, pin_refused=code))
    backend = rig.backend()
    backend.allocate(HEIGHT, WIDTH, 4)
    frames = frames_of(8)
    assert_same(run(backend, frames, in_flight=2), expected_of(frames))
    assert [record.message for record in caplog.records] == [
        f"the driver did not pin memory for frames (CUDA error {code}): copies are slower"
    ]
    backend.close()
    rig.gpu.check_clean()


def test_memory_pinned_for_some_slots_only_is_not_worked_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(monkeypatch, FakeGpu(integrated=True))
    backend = rig.backend()
    rig.gpu.fail_creation = sum(rig.gpu.created.values()) + 8
    backend.allocate(HEIGHT, WIDTH, 4)
    assert "did not pin memory for frames (CUDA error 2)" in caplog.text
    frames = frames_of(8)
    assert_same(run(backend, frames, in_flight=2), expected_of(frames))
    assert rig.gpu.ran["htod"] > 8
    backend.close()
    rig.gpu.check_clean()


@pytest.mark.parametrize(
    ("flavour", "cuda_graph", "buffers"),
    [
        ("tensorrt", True, 2),
        ("tensorrt", False, 8),
        ("tensorrt-rtx", True, 2),
        ("tensorrt-rtx", False, 8),
    ],
)
def test_graphs_work_in_one_pair_of_buffers_and_overlapping_frames_in_a_pair_each(
    monkeypatch: pytest.MonkeyPatch, flavour: str, cuda_graph: bool, buffers: int
) -> None:
    rig = Rig(monkeypatch, FakeGpu(), flavour=flavour)
    backend = rig.backend(cuda_graph=cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 4)
    assert rig.gpu.live["mem_alloc"] == buffers
    frames = frames_of(9)
    assert_same(run(backend, frames, in_flight=3), expected_of(frames))
    backend.close()
    rig.gpu.check_clean()


def test_without_cuda_bindings_frames_overlap(
    rig_without_graphs: Rig,
) -> None:
    backend = rig_without_graphs.backend()
    backend.allocate(HEIGHT, WIDTH, 4)
    assert rig_without_graphs.gpu.live["Stream"] == 3
    assert rig_without_graphs.gpu.live["mem_alloc"] == 8
    backend.close()


@pytest.fixture
def rig_without_graphs(monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = Rig(monkeypatch, FakeGpu())
    monkeypatch.setattr(backend_module, "load_graphs", lambda: "no CUDA graphs: none here")
    return rig


def test_after_graphs_were_given_up_the_next_size_overlaps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, FakeGpu())
    rig.gpu.skip = lambda _: "network"
    backend = rig.backend(states=STATES)
    backend.allocate(HEIGHT, WIDTH, 4)
    run(backend, frames_of(1))
    assert (rig.gpu.live["Stream"], rig.gpu.live["execution context"]) == (1, 2)
    backend.allocate(2 * HEIGHT, WIDTH, 4)
    assert (rig.gpu.live["Stream"], rig.gpu.live["execution context"]) == (3, 1)
    frames = frames_of(8, height=2 * HEIGHT)
    assert_same(run(backend, frames, in_flight=2), expected_of(frames, 2))
    backend.close()
    rig.gpu.check_clean()
