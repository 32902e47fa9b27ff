"""Several cameras: backends that share an engine, each with its own thread, context and buffers."""

import threading

import pytest

from crispstream.core.errors import EngineError
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import SizeRange
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import expected_of, plan_of
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


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


@pytest.mark.parametrize("first_closed", [0, 1])
def test_two_cameras_share_the_weights_and_are_closed_in_any_order(
    rig: Rig, first_closed: int
) -> None:
    cameras = [rig.backend(states=STATES)]
    cameras.append(cameras[0].twin())
    for camera in cameras:
        camera.allocate(HEIGHT, WIDTH, 4)
    assert (rig.gpu.live["engine"], rig.gpu.live["execution context"]) == (1, 4)
    assert len(rig.asked_for) == 1
    cameras.pop(first_closed).close()
    assert (rig.gpu.live["engine"], rig.gpu.live["execution context"]) == (1, 2)
    cameras[0].allocate(HEIGHT, WIDTH, 4)  # asks the engine once more
    frames = frames_of(6)
    assert_same(run(cameras[0], frames, in_flight=2), expected_of(frames, 2))
    cameras[0].close()
    rig.gpu.check_clean()
    assert worker_threads() == []


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_interleaved_frames_do_not_mix(
    monkeypatch: pytest.MonkeyPatch, seed: int, cuda_graph: bool
) -> None:
    rig = Rig(monkeypatch, FakeGpu(seed))
    one = rig.backend(states=STATES, cuda_graph=cuda_graph)
    cameras = (one, one.twin())
    streams = [frames_of(10, seed=2 * seed + n) for n in range(2)]
    results: tuple[list[Bytes], list[Bytes]] = ([], [])
    for camera in cameras:
        camera.allocate(HEIGHT, WIDTH, 4)
    for number in range(10):
        for camera, frames in zip(cameras, streams, strict=True):
            camera.frame(number % 4)[:] = frames[number]
            camera.submit(number % 4)
        for camera, collected in zip(cameras, results, strict=True):
            camera.wait(number % 4)
            collected.append(camera.restored(number % 4).copy())
    for collected, frames in zip(results, streams, strict=True):
        assert_same(collected, expected_of(frames, 2))
    for camera in cameras:
        camera.close()
    rig.gpu.check_clean()


def test_two_threads_with_a_camera_each(rig: Rig) -> None:
    one = rig.backend(states=STATES)
    cameras = [one, one.twin()]
    failures: list[BaseException] = []

    def watch(number: int) -> None:
        try:
            frames = frames_of(30, seed=number)
            cameras[number].allocate(HEIGHT, WIDTH, 4)
            assert_same(run(cameras[number], frames, in_flight=2), expected_of(frames, 2))
            cameras[number].close()
        except BaseException as error:  # noqa: BLE001 (raised in the test's thread)
            failures.append(error)

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(rig.asked_for) == 1
    rig.gpu.check_clean()


def test_a_twin_of_another_size_has_its_own_engine_unless_one_takes_both(rig: Rig) -> None:
    one = rig.backend()
    two = one.twin()
    one.allocate(HEIGHT, WIDTH, 2)
    two.allocate(2 * HEIGHT, WIDTH, 2)
    assert rig.gpu.live["engine"] == 2
    two.close()
    assert rig.gpu.live["engine"] == 1
    one.close()
    rig.plan = plan_of(SizeRange.parse("16x8:16x8:16x16"))
    one = rig.backend()
    two = one.twin()
    two.allocate(2 * HEIGHT, WIDTH, 2)
    one.allocate(HEIGHT, WIDTH, 2)
    assert rig.gpu.live["engine"] == 1
    for camera in (one, two):
        camera.close()
    rig.gpu.check_clean()


def test_a_twin_of_a_closed_backend_works(rig: Rig) -> None:
    one = rig.backend()
    one.allocate(HEIGHT, WIDTH, 2)
    two = one.twin()
    one.close()
    two.allocate(HEIGHT, WIDTH, 2)
    frames = frames_of(3)
    assert_same(run(two, frames, slots=2), expected_of(frames))
    two.close()
    rig.gpu.check_clean()


def test_a_camera_may_leave_while_another_waits_for_its_engine(rig: Rig) -> None:
    """A build takes minutes: closing must not wait for it."""
    one = rig.backend()
    two = one.twin()
    one.allocate(HEIGHT, WIDTH, 2)
    building, go_on = threading.Event(), threading.Event()
    provide = one._shelf._provide

    def slowly(height: int, width: int) -> object:
        building.set()
        assert go_on.wait(10)
        return provide(height, width)

    one._shelf._provide = slowly
    thread = threading.Thread(target=two.allocate, args=(2 * HEIGHT, WIDTH, 2))
    thread.start()
    assert building.wait(10)
    one.close()
    go_on.set()
    thread.join()
    two.close()
    rig.gpu.check_clean()


def test_no_memory_for_a_second_context_leaves_the_first_camera_alone(rig: Rig) -> None:
    one = rig.backend()
    one.allocate(HEIGHT, WIDTH, 2)
    two = one.twin()
    rig.gpu.fail_creation = sum(rig.gpu.created.values()) + 1
    with pytest.raises(EngineError, match=r"made no execution context, which needs 3 MiB"):
        two.allocate(HEIGHT, WIDTH, 2)
    two.close()
    frames = frames_of(4)
    assert_same(run(one, frames, slots=2), expected_of(frames))
    one.close()
    rig.gpu.check_clean()
