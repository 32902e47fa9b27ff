"""Tiles through the TensorRT backend on a fake GPU: one engine of the tile's size, right bytes."""

import pytest

from crispstream.runtime.engine.opening import Opened
from crispstream.runtime.engine.tiling.backend import TiledBackend
from crispstream.runtime.engine.tiling.plan import Tiling
from crispstream.runtime.restorer import Restorer
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import expected_of
from tests.helpers.fakes.rig import Rig, assert_same, frames_of


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("frames_in_flight", [1, 2, 3])
def test_frames_larger_than_the_engine_in_any_order_the_streams_allow(
    monkeypatch: pytest.MonkeyPatch, frames_in_flight: int, cuda_graph: bool
) -> None:
    rig = Rig(monkeypatch, FakeGpu(frames_in_flight))
    tiling = Tiling((16, 8), halo_px=2, size_multiple=4)
    backend = TiledBackend(rig.backend(cuda_graph=cuda_graph), tiling)
    with Restorer(
        Opened(backend, "fake", size_multiple=4), frames_in_flight=frames_in_flight
    ) as restorer:
        for width, height in ((39, 18), (15, 7), (70, 8)):
            frames = frames_of(5, width=width, height=height)
            results = []
            for frame in frames:
                if restorer.in_flight == frames_in_flight:
                    results.append(restorer.collect().copy())
                restorer.submit(frame)
            while restorer.in_flight:
                results.append(restorer.collect().copy())
            assert_same(results, expected_of(frames))
    assert rig.asked_for == [(8, 16)]
    rig.gpu.check_clean()
