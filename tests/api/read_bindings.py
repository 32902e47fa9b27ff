"""Write down the public names of Python bindings, from the real ones, without their libraries.

    pip download --no-deps tensorrt-cu12-bindings==10.3.0
    python tests/api/read_bindings.py tensorrt_cu12_bindings-10.3.0-*.whl \\
        --module tensorrt_bindings --name tensorrt > tests/api/tensorrt-10.3.json

    pip install --target packages cuda-bindings==13.5.0
    python tests/api/read_bindings.py packages \\
        --module cuda.bindings.driver > tests/api/cuda-bindings-13.5.json

    python tests/api/read_bindings.py --module tensorrt_rtx > tests/api/tensorrt-rtx-1.7.json

The first argument is a wheel made for the Python that runs this, a folder of packages, or left out
for an installed package. Where the package's own libraries are missing, empty ones with the same
names are made: importing needs their symbols to exist and calls none. That takes Linux, `gcc`, `nm`
and `readelf`. There are no wheels of pycuda: it was built with CUDA_ENABLE_CURAND = False in its
siteconf.py, against a libcuda.so that was empty too.

Lists "Builder", "Builder.create_network", "BuilderFlag.TF32", "float32": module-level names, and
the attributes of classes, inherited ones too. Leaves out names with a leading underscore, imported
modules, and what every Python object, exception and enum has.
"""

import argparse
import ctypes
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

_NEEDED = re.compile(r"\(NEEDED\)\s+Shared library: \[(.+)\]")
_ORDINARY = {"builtins", "enum"}
"""Modules whose classes say nothing about bindings."""


def public_names(module: ModuleType) -> set[str]:
    """Return the module's names and, dotted, those inside its classes."""
    found: set[str] = set()
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or isinstance(value, ModuleType):
            continue
        found.add(name)
        if inspect.isclass(value):
            found |= _inside(value, name, {value})
    return found


def _inside(cls: type, path: str, seen: set[type]) -> set[str]:
    found: set[str] = set()
    for name in dir(cls):
        owner = next((base for base in cls.__mro__ if name in vars(base)), cls)
        if name.startswith("_") or owner.__module__ in _ORDINARY:
            continue
        found.add(f"{path}.{name}")
        value = inspect.getattr_static(cls, name)
        if inspect.isclass(value) and value not in seen:
            found |= _inside(value, f"{path}.{name}", seen | {value})
    return found


def load(name: str, stubs: Path) -> ModuleType:
    """Import a module; libraries that it misses are made in the folder `stubs` first."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if "cannot open shared object file" not in str(error):
            raise
    package = importlib.util.find_spec(name.partition(".")[0])
    folders = (package.submodule_search_locations or []) if package else []
    parts = [part for folder in folders for part in sorted(Path(folder).rglob("*.so"))]
    for library in _missing_libraries(parts):
        made = stubs / library
        _make_stub(made, _missing_symbols(parts))
        # Once loaded, it is what the loader takes for the name it was given.
        ctypes.CDLL(str(made), mode=ctypes.RTLD_GLOBAL)
    return importlib.import_module(name)


def _missing_libraries(parts: list[Path]) -> list[str]:
    needed = {name for part in parts for name in _NEEDED.findall(_told("readelf", "-d", part))}
    return sorted(name for name in needed if not _loads(name))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _missing_symbols(parts: list[Path]) -> list[str]:
    """Return the functions that neither this process nor the C and C++ libraries have."""
    lines = "\n".join(_told("nm", "-D", "--undefined-only", part) for part in parts)
    wanted = set(re.findall(r"^\s+U (\w+)$", lines, re.MULTILINE))  # theirs have an @version
    process = ctypes.CDLL(None)
    return sorted(symbol for symbol in wanted if not hasattr(process, symbol))


def _make_stub(library: Path, symbols: list[str]) -> None:
    source = library.with_suffix(".c")
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in symbols))
    name = f"-Wl,-soname,{library.name}"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", name, "-o", library, source], check=True
    )


def _told(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _distribution(module: ModuleType) -> tuple[str, str]:
    """Return name and version of the package that the module's file came with."""
    home = Path(module.__file__ or "").resolve()
    for distribution in importlib.metadata.distributions():
        files = distribution.files or []
        if any(Path(str(distribution.locate_file(file))).resolve() == home for file in files):
            return distribution.metadata["Name"], distribution.version
    return module.__name__, str(getattr(module, "__version__", "unknown"))


def read(source: Path | None, module_name: str, shown_name: str) -> dict[str, object]:
    """Return the record of one module; changes `sys.path`, so once a process."""
    with tempfile.TemporaryDirectory() as scratch:
        if source and source.suffix == ".whl":
            zipfile.ZipFile(source).extractall(f"{scratch}/package")
            sys.path.insert(0, f"{scratch}/package")
        elif source:
            sys.path.insert(0, str(source))
        module = load(module_name, Path(scratch))
        package, version = _distribution(module)
        return {
            "module": shown_name,
            "version": version,
            "read_from": source.name if source and source.is_file() else f"{package} {version}",
            "names": sorted(public_names(module)),
        }


def main() -> None:
    """Write the record to standard output, one name a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?", type=Path, help="wheel or folder of packages")
    parser.add_argument("--module", required=True, help="module to import")
    parser.add_argument("--name", help="module name to write, where it is another")
    asked = parser.parse_args()
    if asked.source and not asked.source.exists():
        parser.error(f"there is no {asked.source}; give a wheel, a folder of packages, or nothing")
    record = read(asked.source, asked.module, asked.name or asked.module)
    sys.stdout.write(json.dumps(record, indent=0) + "\n")


if __name__ == "__main__":
    main()
