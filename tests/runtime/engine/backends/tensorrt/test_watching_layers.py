"""The library's times of layers: whose they are, and when there are any."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from crispstream.core.errors import EngineError, UsageError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.tensorrt.backend import TensorRTBackend
from tests.helpers.fakes.fake_context import LAYER_MS
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import plan_of
from tests.helpers.fakes.rig import HEIGHT, WIDTH, Rig

LAYERS = ({"Name": "/a/Conv", "LayerType": "CaskConvolution"}, {"Name": "/b/Relu"})


@pytest.fixture
def gpu() -> Iterator[FakeGpu]:
    gpu = FakeGpu()
    yield gpu
    gpu.check_clean()


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu) -> Rig:
    rig = Rig(monkeypatch, gpu, flavour=request.param)
    plan = plan_of(SizeRange.only((WIDTH, HEIGHT)), flavour=rig.flavour)
    rig.plan = replace(plan, layers=LAYERS)
    return rig


def once(backend: TensorRTBackend) -> None:
    backend.submit(0)
    backend.wait(0)


def test_the_layers_of_the_backend_that_is_watched_are_timed_and_no_others(rig: Rig) -> None:
    seen: list[tuple[str, float]] = []
    with closing(rig.backend(cuda_graph=False)) as watched, closing(watched.twin()) as other:
        for backend in (watched, other):
            backend.allocate(HEIGHT, WIDTH, 2)
        told = watched.watch_layers(lambda name, ms: seen.append((name, ms)))
        once(other)
        assert seen == []
        once(watched)
    assert seen == [("/a/Conv", LAYER_MS), ("/b/Relu", LAYER_MS)]
    assert json.loads(told)["Layers"] == list(LAYERS)


def test_layers_are_timed_still_after_the_buffers_were_made_anew(rig: Rig) -> None:
    seen: list[str] = []
    with closing(rig.backend(cuda_graph=False)) as backend:
        backend.allocate(HEIGHT, WIDTH, 2)
        backend.watch_layers(lambda name, ms: seen.append(name))
        backend.allocate(HEIGHT, WIDTH, 4)
        seen.clear()
        once(backend)
    assert seen == ["/a/Conv", "/b/Relu"]


def test_there_is_nothing_to_watch_before_an_engine_is_loaded(rig: Rig) -> None:
    early = rig.backend(cuda_graph=False)
    with closing(early) as backend, pytest.raises(EngineError, match="allocate first"):
        backend.watch_layers(print)


def test_cuda_graphs_are_refused(rig: Rig) -> None:
    with closing(rig.backend()) as backend, pytest.raises(UsageError, match="cuda_graph=False"):
        backend.watch_layers(print)
