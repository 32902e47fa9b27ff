"""Names and paths to bundles."""

from pathlib import Path

import pytest

from crispstream.core.errors import BundleError, UsageError
from crispstream.runtime.engine import models
from tests.helpers.bundles import write_tiny_bundle


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two bundles that stand for the shipped ones."""
    folder = tmp_path / "shipped"
    for name in ("edge-one", "edge-two"):
        write_tiny_bundle(folder / name, name=name)
    monkeypatch.setattr(models, "BUNDLES", folder)
    return folder


def test_finds_shipped_bundles_by_name(shipped: Path) -> None:
    assert models.shipped_names() == ["edge-one", "edge-two"]
    assert models.find_model("edge-two").path == shipped / "edge-two"


def test_finds_any_bundle_by_path(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "own", name="own")
    assert models.find_model(bundle.path).name == "own"
    assert models.find_model(str(bundle.path)).name == "own"


def test_a_shipped_name_wins_over_a_folder(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(tmp_path / "edge-one", name="mine")
    assert models.find_model("edge-one").name == "edge-one"
    assert models.find_model("./edge-one").name == "mine"


def test_unknown_models_list_what_there_is(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'edge-one'.*edge-one, edge-two, bicubic"):
        models.find_model("edge-ome")
    with pytest.raises(UsageError, match="bicubic is computed"):
        models.find_model("bicubic")
    file = tmp_path / "model.onnx"
    file.write_bytes(b"x")
    with pytest.raises(UsageError, match="is a file; a bundle is a folder"):
        models.find_model(file)
    engine = tmp_path / "edge-one 2.engine"
    engine.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"is an engine; keep it with: crispstream engines add '/"):
        models.find_model(engine)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        models.find_model(tmp_path)
