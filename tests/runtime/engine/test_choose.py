"""Names and paths to bundles, and bundles to graphs."""

from pathlib import Path

import pytest

from crispstream.core.errors import BundleError, UsageError
from crispstream.runtime.engine import choose
from tests.helpers.bundles import tiny_graphs, write_tiny_bundle


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two bundles that stand for the shipped ones."""
    folder = tmp_path / "shipped"
    for name in ("edge-one", "edge-two"):
        write_tiny_bundle(folder / name, name=name)
    monkeypatch.setattr(choose, "BUNDLES", folder)
    return folder


def test_finds_shipped_bundles_by_name(shipped: Path) -> None:
    assert choose.shipped_names() == ["edge-one", "edge-two"]
    assert choose.find_model("edge-two").path == shipped / "edge-two"


def test_finds_any_bundle_by_path(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "own", name="own")
    assert choose.find_model(bundle.path).name == "own"
    assert choose.find_model(str(bundle.path)).name == "own"


def test_a_shipped_name_wins_over_a_folder(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(tmp_path / "edge-one", name="mine")
    assert choose.find_model("edge-one").name == "edge-one"
    assert choose.find_model("./edge-one").name == "mine"


def test_unknown_models_list_what_there_is(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'edge-one'.*edge-one, edge-two, bicubic"):
        choose.find_model("edge-ome")
    with pytest.raises(UsageError, match="bicubic is computed"):
        choose.find_model("bicubic")
    file = tmp_path / "model.onnx"
    file.write_bytes(b"x")
    with pytest.raises(UsageError, match="is a file; a bundle is a folder"):
        choose.find_model(file)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        choose.find_model(tmp_path)


@pytest.mark.parametrize(
    ("backend", "precision", "expected"),
    [
        ("onnxruntime", "auto", "fp32"),
        ("onnxruntime-cuda", "auto", "fp32"),
        ("onnxruntime", "fp16", "fp16"),
        ("tensorrt-rtx", "auto", "fp16"),
        ("tensorrt", "auto", "fp16"),
        ("tensorrt-rtx", "fp32", "fp32"),
    ],
)
def test_chooses_the_graph(tmp_path: Path, backend: str, precision: str, expected: str) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs())
    assert choose.choose_graph(bundle, precision, backend).precision == expected


def test_auto_takes_fp32_where_there_is_no_fp16(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    assert choose.choose_graph(bundle, "auto", "tensorrt-rtx").precision == "fp32"


def test_refuses_a_precision_that_is_not_there_or_not_for_the_backend(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs(), backends=("tensorrt-rtx",))
    with pytest.raises(BundleError, match="int8"):
        choose.choose_graph(bundle, "int8", "tensorrt-rtx")
    with pytest.raises(UsageError, match="made for tensorrt-rtx, not for onnxruntime"):
        choose.choose_graph(bundle, "fp16", "onnxruntime")


def test_unknown_backends_list_those_there_are(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    with pytest.raises(UsageError, match="auto, onnxruntime, onnxruntime-cuda"):
        choose.open_backend(bundle, backend="tensorflow")
