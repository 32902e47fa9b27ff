"""Engines on a real GPU give the right bytes: every precision, graphs, twins, states, sizes."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from crispstream.core.bundle import StateTensor
from crispstream.core.pixels import SCALE, Bytes
from crispstream.runtime.engine.backends.base import Backend
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.trust.recheck import recheck
from tests.gpu.conftest import Build, Open
from tests.helpers.graphs import nearest_x4, small_net, with_the_frame_before
from tests.helpers.pictures import soft_picture

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

SIZE = (64, 48)
BEFORE = (StateTensor("before", 3, 1),)


def frames_of(count: int, size: tuple[int, int] = SIZE, seed: int = 0) -> list[Bytes]:
    width, height = size
    return [soft_picture(seed + index, height, width) for index in range(count)]


def restored(backend: Backend, frames: Sequence[Bytes], slots: int = 4) -> list[Bytes]:
    """Send frames through the slots in turn, two in flight."""
    height, width, _ = frames[0].shape
    backend.allocate(height, width, slots)
    results = []
    for index in range(len(frames) + 1):
        if index < len(frames):
            backend.frame(index % slots)[:] = frames[index]
            backend.submit(index % slots)
        if index:
            backend.wait((index - 1) % slots)
            results.append(backend.restored((index - 1) % slots).copy())
    return results


def repeated(frame_hwc: Bytes) -> Bytes:
    return frame_hwc.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_shipped_model_restores_as_fp32_does(build: Build, opened: Open, precision: str) -> None:
    bundle = find_model("edge-n")
    graph = bundle.graph(precision)
    engine = build(bundle.graph_bytes(graph), (320, 180))
    verdict = recheck(bundle, graph, opened(engine, precision), (320, 180))
    assert verdict.passed, verdict.reason


def test_with_a_cuda_graph_every_byte_is_the_same(build: Build, opened: Open, flavour: str) -> None:
    engine = build(small_net(half=True), SIZE)
    frames = frames_of(9)
    with_graph, without = opened(engine), opened(engine, cuda_graph=False)
    expected = restored(without, frames)
    found = restored(with_graph, frames)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert not without.replays_graphs
    if flavour == "tensorrt":  # TensorRT-RTX captures graphs of its own and tells nobody
        assert with_graph.replays_graphs, "frames ran without graphs: is cuda-bindings installed?"


def test_twins_on_threads_do_not_disturb_each_other(build: Build, opened: Open) -> None:
    first = opened(build(nearest_x4(), SIZE))
    second = first.twin()
    streams = {seed: frames_of(40, seed=seed) for seed in (100, 200)}
    results: dict[int, list[Bytes]] = {}

    def run(backend: Backend, seed: int) -> None:
        results[seed] = restored(backend, streams[seed])

    threads = [threading.Thread(target=run, args=pair) for pair in ((first, 100), (second, 200))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    second.close()
    for seed, frames in streams.items():
        for got, frame in zip(results[seed], frames, strict=True):
            np.testing.assert_array_equal(got, repeated(frame))
    np.testing.assert_array_equal(restored(first, frames_of(1))[0], repeated(frames_of(1)[0]))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_state_goes_from_frame_to_frame_until_reset(
    build: Build, opened: Open, half: bool, cuda_graph: bool
) -> None:
    engine = build(with_the_frame_before(half=half), SIZE, states=BEFORE)
    backend = opened(engine, states=BEFORE, cuda_graph=cuda_graph)

    def levels(sent: Sequence[int]) -> list[int]:
        results = []
        for index, level in enumerate(sent):
            backend.frame(index % 4)[:] = level
            backend.submit(index % 4)
            backend.wait(index % 4)
            picture = backend.restored(index % 4)
            assert picture.min() == picture.max()
            results.append(int(picture[0, 0, 0]))
        return results

    backend.allocate(SIZE[1], SIZE[0], 4)
    assert levels([1, 10, 100, 20, 2, 3]) == [1, 11, 110, 120, 22, 5]
    backend.reset()
    assert levels([7, 8]) == [7, 15]
    twin = backend.twin()
    twin.allocate(SIZE[1], SIZE[0], 4)
    twin.frame(0)[:] = 50
    twin.submit(0)
    twin.wait(0)
    assert int(twin.restored(0)[0, 0, 0]) == 50, "a twin has a state of its own"
    twin.close()


def test_frames_may_change_in_size_between_the_profiles(build: Build, opened: Open) -> None:
    sizes = [SIZE, (32, 24)]
    backend = opened(build(nearest_x4(), *sizes))
    kept: list[tuple[Bytes, Bytes]] = []
    for size in (*sizes, *sizes):
        for got, frame in zip(
            restored(backend, frames_of(3, size)), frames_of(3, size), strict=True
        ):
            np.testing.assert_array_equal(got, repeated(frame))
        backend.frame(0)[:] = 9
        kept.append((backend.frame(0), backend.frame(0).copy()))
    for seen, then in kept:  # buffers of earlier sizes stay readable
        np.testing.assert_array_equal(seen, then)


def test_stages_are_measured_on_the_device(build: Build, opened: Open) -> None:
    backend = opened(build(nearest_x4(), SIZE), cuda_graph=False)
    restored(backend, frames_of(5))
    stages = backend.device_latencies.summary()
    assert stages["infer"]["count"] == 5
    assert stages["infer"]["max_ms"] > 0
