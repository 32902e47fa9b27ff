"""Loading a library: what is not installed, and what only has its name."""

import importlib
import sys
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError, MissingExtraError, UsageError
from crispstream.runtime.engine import native
from crispstream.runtime.engine.native import load_flavour


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python looks into first, without any TensorRT loaded."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])  # no library that may be installed here
    # What is imported under this name now is forgotten after the test.
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.delitem(sys.modules, "tensorrt")
    importlib.invalidate_caches()
    return tmp_path


def test_a_folder_of_its_name_is_not_the_library(working_folder: Path) -> None:
    (working_folder / "tensorrt").mkdir()
    with pytest.raises(MissingExtraError, match=r"'tensorrt', which is not installed") as missing:
        load_flavour("tensorrt")
    assert f"(the folder {working_folder / 'tensorrt'} only has its name)" in str(missing.value)
    assert str(missing.value).endswith('install it with: pip install "crispstream[tensorrt]"')


def test_a_file_of_its_name_is_not_the_library(working_folder: Path) -> None:
    (working_folder / "tensorrt.py").write_text("answer = 42\n")
    with pytest.raises(EngineError, match=r"tensorrt\.py is not NVIDIA's; rename it"):
        load_flavour("tensorrt")


def test_an_unknown_flavour_is_answered_with_a_guess_and_all_names() -> None:
    expected = r"'trt'; did you mean 'tensorrt'\? choose one of auto, tensorrt, tensorrt-rtx$"
    with pytest.raises(UsageError, match=expected):
        load_flavour("trt")


def test_on_a_jetson_tensorrt_comes_from_jetpack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(native, "is_jetson", lambda: True)
    with pytest.raises(MissingExtraError, match=r"python3-libnvinfer.*--system-site-packages"):
        native.load_flavour("tensorrt")
