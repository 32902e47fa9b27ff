"""The kit uses nothing that TensorRT 10.0 to 11.4 or TensorRT-RTX lacks, unless it asks first."""

import json
import sys
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.native import load_flavour
from tests.api import surfaces
from tests.api.surfaces import (
    ENGINE,
    FOLDER,
    ROOT,
    RTX,
    SUPPORTED,
    TENSORRT,
    TOO_OLD,
    asked_in,
    module_with,
    names_of,
    record_of,
    uses_in,
)

TRT = ("trt", "self._trt")
CUDA = ("cuda", "self._cuda", "self._bindings")
"""What the code calls the modules."""

RTX_ALONE = {"runtime/engine/available.py": ("ComputeCapability",)}
"""Names that a file takes of TensorRT-RTX alone, where the flavour is known."""


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_the_lists_are_whole_and_small(file: Path) -> None:
    record = json.loads(file.read_text(encoding="utf-8"))
    assert set(record) == {"module", "version", "read_from", "names"}
    assert record["names"] == sorted(set(record["names"]))
    assert len(record["names"]) > 500
    assert not any(word.startswith("_") for name in record["names"] for word in name.split("."))
    assert file.stat().st_size < 200_000


@pytest.mark.parametrize(
    ("name", "having"),
    [
        ("NetworkDefinitionCreationFlag.STRONGLY_TYPED", SUPPORTED),
        ("IExecutionContext.execute_async_v3", (TOO_OLD, *SUPPORTED)),
        ("IExecutionContext.execute_async_v2", (TOO_OLD,)),
        ("BuilderFlag.FP16", (TOO_OLD, *TENSORRT[:-1])),
        ("HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY", (*TENSORRT[-2:], RTX)),
        ("IRuntimeCache", (RTX,)),
    ],
)
def test_what_is_known_of_the_versions_is_in_the_lists(name: str, having: tuple[str, ...]) -> None:
    assert tuple(stem for stem in (TOO_OLD, *SUPPORTED) if name in names_of(stem)) == having


def test_tensorrt_8_6_is_refused_for_what_it_really_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", module_with(TOO_OLD))
    with pytest.raises(EngineError, match=r"8\.6\.1 cannot build strongly typed.*10\.0 or newer"):
        load_flavour("tensorrt")


@pytest.mark.parametrize("stem", SUPPORTED)
def test_supported_versions_are_not_refused(monkeypatch: pytest.MonkeyPatch, stem: str) -> None:
    flavour, module = ("tensorrt-rtx", "tensorrt_rtx") if stem == RTX else ("tensorrt", "tensorrt")
    monkeypatch.setitem(sys.modules, module, module_with(stem))
    assert load_flavour(flavour).__version__ == record_of(stem)["version"]


def test_the_code_takes_nothing_from_the_module_that_a_version_lacks() -> None:
    """Branches that no run on the fakes reaches are seen here, where they name `trt.Something`."""
    files = [file for folder in ("runtime", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    uses = [use for file in files for use in uses_in(file, *TRT)]
    assert len(uses) > 15
    lacking = [
        f"{use.where} takes {name}, which {stem} lacks"
        for use in uses
        if not use.is_guarded()
        for stem in ((RTX,) if use.name in RTX_ALONE.get(use.file, ()) else SUPPORTED)
        if (name := use.lacking(names_of(stem)))
    ]
    assert lacking == []


def test_a_name_that_is_planted_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surfaces, "ROOT", tmp_path)
    (tmp_path / "planted.py").write_text(PLANTED, encoding="utf-8")
    names = names_of("tensorrt-11.4")
    uses = uses_in(tmp_path / "planted.py", *TRT)
    assert [(use.where, use.lacking(names)) for use in uses if not use.is_guarded()] == [
        ("planted.py:2", "BuilderFlag.FP16"),
        ("planted.py:3", None),
        ("planted.py:4", "ComputeCapability"),
        ("planted.py:6", None),
    ]


PLANTED = """def first(self, trt):
    first(trt.BuilderFlag.FP16)
    first(self._trt.ProfilingVerbosity.DETAILED)
    first(trt.ComputeCapability.__members__.items())
def second(trt):
    if hasattr(trt.BuilderFlag, "FP16"):
        first(trt.BuilderFlag.FP16)
"""


@pytest.mark.parametrize("folder", ["building", "backends/tensorrt"])
def test_what_is_asked_for_is_spelled_as_in_some_version(folder: str) -> None:
    """A misspelled `hasattr` would switch off what it asks for, and nobody would notice."""
    known = {name.rpartition(".")[2] for stem in SUPPORTED for name in names_of(stem)}
    files = [file for file in (ENGINE / folder).glob("*.py")]
    asked = {(file.name, name) for file in files for name in asked_in(file)}
    assert len(asked) > 1
    assert {(file, name) for file, name in asked if name not in known} == set()


@pytest.mark.parametrize(
    ("file", "roots", "stem"),
    [
        ("driver.py", CUDA, "pycuda-2026.1"),
        ("gpu.py", CUDA, "pycuda-2026.1"),
        ("graphs.py", CUDA, "cuda-bindings-12.9"),
        ("graphs.py", CUDA, "cuda-bindings-13.5"),
    ],
)
def test_the_driver_is_called_by_names_that_its_bindings_have(
    file: str, roots: tuple[str, ...], stem: str
) -> None:
    uses = uses_in(ENGINE / "device" / file, *roots)
    assert len(uses) > 3
    assert [use for use in uses if use.lacking(names_of(stem))] == []


def test_no_other_file_of_the_device_calls_the_bindings() -> None:
    files = {file.name for file in (ENGINE / "device").glob("*.py") if uses_in(file, *CUDA)}
    assert files == {"driver.py", "gpu.py", "graphs.py"}


@pytest.mark.parametrize("stem", ["cuda-bindings-12.9", "cuda-bindings-13.5"])
def test_the_drivers_own_library_has_what_is_called_directly(stem: str) -> None:
    """NVIDIA's bindings name every call of the library, without the version of its ABI."""
    uses = uses_in(ENGINE / "device/pinned.py", "self._libcuda")
    assert len(uses) == 3
    assert [use for use in uses if use.name.removesuffix("_v2") not in names_of(stem)] == []
