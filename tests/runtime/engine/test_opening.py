"""What was asked for becomes a model that runs, with the reason in one line."""

from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.engine.opening import open_model
from crispstream.runtime.restorer import Restorer
from tests.helpers.bundles import tiny_graphs, write_recurrent_bundle, write_tiny_bundle
from tests.helpers.graphs import nearest_x4
from tests.helpers.pictures import soft_picture


def test_unknown_backends_list_those_there_are(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    with pytest.raises(UsageError, match=r"auto, tensorrt, .*-cuda, onnxruntime"):
        open_model(bundle.path, backend="tensorflow")


def test_the_reason_names_precision_and_backend(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs())
    with Restorer.open(bundle.path, backend="onnxruntime", threads=1) as restorer:
        assert restorer.why.startswith("fp32 with onnxruntime on the CPU")


def test_twins_of_a_restorer_give_the_same_frames(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs())
    first_hwc, second_hwc = soft_picture(1, 16, 24), soft_picture(2, 16, 24)
    with Restorer.open(bundle.path, threads=1) as restorer:
        expected = [restorer.restore(frame).copy() for frame in (first_hwc, second_hwc)]
        with restorer.twin() as twin:
            restorer.submit(first_hwc)
            twin.submit(second_hwc)
            assert (twin.collect() == expected[1]).all()
            assert (restorer.collect() == expected[0]).all()
        assert (restorer.restore(second_hwc) == expected[1]).all()


def test_what_is_cut_and_how_is_in_the_reason(tmp_path: Path) -> None:
    exact = write_tiny_bundle(tmp_path / "exact", halo_px=8)
    blended = write_tiny_bundle(tmp_path / "blended", halo_px=0)
    with Restorer.open(exact.path, threads=1, tile=(64, 48)) as restorer:
        assert restorer.why.endswith("; frames larger than 64x48 px in tiles of that size")
    with Restorer.open(blended.path, threads=1, tile=(64, 48)) as restorer:
        assert restorer.why.endswith("that size, blended: the network looks at the whole frame")
    with Restorer.open(exact.path, threads=1) as restorer:
        assert "tiles" not in restorer.why


@pytest.mark.parametrize(
    ("tile", "words"),
    [
        ((16, 64), r"tiles of 16x64 px are too small.*halo of 8 px; take tiles of 20x64 px"),
        ((0, 0), r"take tiles of 20x20 px"),
        ((30, 64), r"30x64 px do not divide by 4, which this network needs; give 32x64"),
    ],
)
def test_tiles_that_cannot_be_are_refused_at_once(
    tmp_path: Path, tile: tuple[int, int], words: str
) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", halo_px=8)
    with pytest.raises(UsageError, match=words):
        open_model(bundle.path, tile=tile)


def test_a_network_of_one_size_takes_no_other_tile(tmp_path: Path) -> None:
    graphs = {"fp32": nearest_x4(32, 64)}
    bundle = write_tiny_bundle(tmp_path / "b", graphs, frame_size=(64, 32))
    with pytest.raises(UsageError, match="takes tiles of 64x32 px only, not of 64x64"):
        open_model(bundle.path, tile=(64, 64))
    open_model(bundle.path, tile=(64, 32), threads=1).backend.close()


def test_a_recurrent_network_is_not_cut(tmp_path: Path) -> None:
    bundle = write_recurrent_bundle(tmp_path / "b")
    with pytest.raises(UsageError, match="is recurrent and cannot be cut into tiles"):
        open_model(bundle.path, tile=(64, 64))
    with Restorer.open("bicubic", tile=(64, 64)) as restorer:  # cuts nothing, needs no engine
        assert restorer.restore(soft_picture(1, 70, 70)).shape == (280, 280, 3)
