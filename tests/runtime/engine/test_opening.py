"""What was asked for becomes a model that runs, with the reason in one line."""

from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.engine.opening import open_model
from crispstream.runtime.restorer import Restorer
from tests.helpers.bundles import tiny_graphs, write_tiny_bundle
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
