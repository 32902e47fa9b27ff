"""The reader of bindings: what it lists, and the empty libraries that it makes."""

import importlib.util
import shutil
import subprocess
import sys
from enum import IntEnum
from pathlib import Path
from types import ModuleType

import pytest

from tests.api import read_bindings
from tests.api.surfaces import RTX, names_of, record_of


class Level(IntEnum):
    LOW = 1


class Base:
    inherited = 1


class Engine(Base):
    Kind = Level
    _hidden = 2

    @property
    def size(self) -> int:
        return 0


class Failure(Exception):  # noqa: N818 (bindings do not follow our naming)
    code = 1


def test_names_are_those_that_bindings_add() -> None:
    module = ModuleType("bindings")
    vars(module).update(Engine=Engine, Failure=Failure, float32=object(), os=sys, _private=1)
    assert sorted(read_bindings.public_names(module)) == [
        "Engine",
        "Engine.Kind",
        "Engine.Kind.LOW",
        "Engine.inherited",
        "Engine.size",
        "Failure",
        "Failure.code",
        "float32",
    ]


def test_a_class_that_holds_itself_is_read_once() -> None:
    module = ModuleType("bindings")
    around = type("Around", (), {})
    around.itself = around  # type: ignore[attr-defined]
    vars(module).update(Around=around)
    assert read_bindings.public_names(module) == {"Around", "Around.itself"}


@pytest.mark.skipif(
    sys.platform != "linux" or not all(map(shutil.which, ("gcc", "nm", "readelf"))),
    reason="makes libraries with gcc",
)
def test_missing_libraries_are_made_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "crisp_needy"
    package.mkdir()
    gone = tmp_path / "libcrispgone.so.3"
    _compile("int crisp_gone(void) { return 7; }", gone, f"-Wl,-soname,{gone.name}")
    _compile(
        "int crisp_gone(void); int use(void) { return crisp_gone(); }", package / "n.so", str(gone)
    )
    gone.unlink()
    (package / "__init__.py").write_text(LOADS_ITS_LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "stubs").mkdir()
    module = read_bindings.load("crisp_needy", tmp_path / "stubs")
    assert module.library.use() == 0


def test_other_import_errors_are_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="no_such_bindings"):
        read_bindings.load("no_such_bindings", tmp_path)


def test_the_committed_list_is_what_the_reader_reads() -> None:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip('TensorRT-RTX is not installed: pip install "crispstream[rtx]"')
    committed = record_of(RTX)
    import tensorrt_rtx

    if tensorrt_rtx.__version__ != committed["version"]:
        pytest.skip(f"TensorRT-RTX {committed['version']} is not the one installed")
    assert read_bindings.public_names(tensorrt_rtx) == names_of(RTX)
    assert read_bindings.read(None, "tensorrt_rtx", "tensorrt_rtx") == committed


LOADS_ITS_LIBRARY = """
import ctypes
from pathlib import Path
try:
    library = ctypes.CDLL(str(Path(__file__).with_name("n.so")))
except OSError as error:
    raise ImportError(str(error)) from error
"""


def _compile(source: str, library: Path, *options: str) -> None:
    code = library.with_suffix(".c")
    code.write_text(source)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, code, *options], check=True)
