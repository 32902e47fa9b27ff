"""Tiled equals untiled, byte for byte, on ONNX Runtime's CPU: pitfall 25."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.pixels import Bytes, mirrored, padded_size
from crispstream.core.sizes import Size
from crispstream.runtime.engine.backends.base import Backend
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.tiling.backend import TiledBackend
from crispstream.runtime.engine.tiling.plan import Tiling
from crispstream.runtime.restorer import Restorer
from tests.helpers.bundles import tiny_graphs, write_tiny_bundle
from tests.helpers.graphs import summed_x4
from tests.helpers.pictures import soft_picture

MULTIPLE = 4
CHECK_FRAME = Path(__file__).parents[4] / "runtime/bundles/edge-n/check/gopro.png"


def frame_of(width: int, height: int) -> Bytes:
    """A real frame's corner, mirrored to the size multiple as the Restorer does."""
    frame_hwc = cv2.imread(str(CHECK_FRAME))[:height, :width]
    return mirrored(frame_hwc, *padded_size(height, width, MULTIPLE))


def restored_by(backend: Backend, frame_hwc: Bytes) -> Bytes:
    backend.allocate(*frame_hwc.shape[:2], 2)
    np.copyto(backend.frame(0), frame_hwc)
    backend.submit(0)
    backend.wait(0)
    return backend.restored(0).copy()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-cpu", "int8"])
@pytest.mark.parametrize("name", ["edge-n", "edge-s"])
def test_shipped_networks_tiled_equal_untiled(name: str, precision: str) -> None:
    bundle = find_model(name)
    graph_bytes = bundle.graph_bytes(bundle.graph(precision))
    whole = OnnxRuntimeBackend(graph_bytes, precision=precision, threads=1)
    least = Tiling((320, 180), bundle.halo_px, MULTIPLE).smallest_side
    for frame_size, tile in (
        ((least + 8, least + 4), (least, least)),
        ((189, 131), (136, 120)),
        ((190, 121), (144, 124)),
        ((127, 179), (160, 112)),
    ):
        frame_hwc = frame_of(*frame_size)
        tiled = TiledBackend(whole.twin(), Tiling(tile, bundle.halo_px, MULTIPLE))
        assert (restored_by(tiled, frame_hwc) == restored_by(whole, frame_hwc)).all()


def test_a_halo_that_is_too_short_shows() -> None:
    bundle = find_model("edge-n")
    whole = OnnxRuntimeBackend(
        bundle.graph_bytes(bundle.graph("fp32")), precision="fp32", threads=1
    )
    frame_hwc = frame_of(190, 121)
    short = TiledBackend(whole.twin(), Tiling((40, 40), bundle.halo_px - 12, MULTIPLE))
    assert (restored_by(short, frame_hwc) != restored_by(whole, frame_hwc)).any()


@pytest.mark.parametrize("size", [(61, 47), (40, 90), (17, 33), (5, 3)])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("side_by_side", [1, 2])
def test_the_restorer_tiles_frames_of_any_size(
    tmp_path: Path, size: Size, precision: str, side_by_side: int
) -> None:
    path = write_tiny_bundle(tmp_path / "b", tiny_graphs(), halo_px=2, certified=("fp16",)).path
    width, height = size
    frames = [soft_picture(seed, height, width) for seed in range(5)]
    with Restorer.open(path, precision, "onnxruntime", threads=1) as restorer:
        expected = [restorer.restore(frame).copy() for frame in frames]
    with Restorer.open(
        path, precision, "onnxruntime", threads=2, tile=(24, 16), side_by_side=side_by_side
    ) as restorer:
        for frame in frames[:2]:
            restorer.submit(frame)
        got = []
        for frame in frames[2:]:
            got.append(restorer.collect().copy())
            restorer.submit(frame)
        got += [restorer.collect().copy(), restorer.collect()]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_graph_of_one_size_takes_larger_frames_in_tiles_and_pads_smaller_ones(
    tmp_path: Path,
) -> None:
    fixed = write_tiny_bundle(
        tmp_path / "fixed", {"fp32": summed_x4(16, 24)}, halo_px=2, frame_size=(24, 16)
    )
    free = write_tiny_bundle(tmp_path / "free", {"fp32": summed_x4()})
    with (
        Restorer.open(fixed.path, threads=1) as tiled,
        Restorer.open(free.path, threads=1) as whole,
    ):
        assert tiled.why.endswith("; frames larger than 24x16 px in tiles of that size")
        for width, height in ((24, 16), (53, 31), (24, 31), (90, 16)):
            frame_hwc = soft_picture(1, height, width)
            np.testing.assert_array_equal(tiled.restore(frame_hwc), whole.restore(frame_hwc))
        for width, height in ((10, 7), (50, 7), (10, 31), (1, 1)):
            frame_hwc = soft_picture(1, height, width)
            padded = mirrored(frame_hwc, max(height, 16), max(width, 24))
            expected = whole.restore(padded)[: 4 * height, : 4 * width]
            np.testing.assert_array_equal(tiled.restore(frame_hwc), expected)
