"""The libraries that build and run engines: their Python modules, and what they say.

`tensorrt` and `tensorrt_rtx` are one API in two packages, so what uses them is handed the module.
What only one of them or only some versions have is asked for with `hasattr`, never by comparing
versions.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from crispstream.core.errors import EngineError, MissingExtraError, UsageError
from crispstream.core.optional import require
from crispstream.core.registry import did_you_mean

TENSORRT, RTX = "tensorrt", "tensorrt-rtx"

FLAVOURS = {TENSORRT: ("tensorrt", "tensorrt"), RTX: ("tensorrt_rtx", "rtx")}
"""Flavour -> the Python module, and the extra that brings it. Better ones first."""

_REINSTALL = {
    TENSORRT: "install it again with: pip install --force-reinstall tensorrt",
    RTX: "install it again with: pip install --force-reinstall tensorrt-rtx-cu13",
}

JETPACKS_OWN = (
    "on a Jetson it comes with JetPack: sudo apt install python3-libnvinfer, and make the "
    "environment with: python3 -m venv --system-site-packages venv"
)

_SHORT = {
    "cpu": "onnxruntime",
    "cuda": "onnxruntime-cuda",
    "ort": "onnxruntime",
    "rtx": RTX,
    "trt": TENSORRT,
    "trt-rtx": RTX,
}
"""What backends are called elsewhere, too far from their names for a guess by letters."""


@dataclass(slots=True)
class Heard:
    """What a library said while somebody listened."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    table: list[str] = field(default_factory=list)
    """Lines with the layers of an engine."""

    def first_error(self) -> str:
        """Return the first error line, "" for none; those that follow only repeat it."""
        return self.errors[0].strip() if self.errors else ""


_loggers: dict[str, Any] = {}
_listeners: list[Heard] = []
_changing = threading.Lock()


def is_jetson() -> bool:
    """Return whether this is a Jetson, whose TensorRT comes with the system."""
    return Path("/etc/nv_tegra_release").exists()


def load_flavour(flavour: str) -> ModuleType:
    """Return the Python module of a flavour, if it can do what the kit needs.

    Raises:
        UsageError: if the flavour is unknown.
        MissingExtraError: if the package is not installed.
        EngineError: if it lacks its libraries, is older than TensorRT 10, or is somebody else's.
    """
    if flavour not in FLAVOURS:
        known = ("auto", *FLAVOURS)
        raise UsageError(
            f"no engine can be built for '{flavour}'; {meant(flavour, known)}"
            f"choose one of {', '.join(known)}"
        )
    module, extra = FLAVOURS[flavour]
    try:
        trt = require(module, extra)
    except MissingExtraError as error:
        if flavour != TENSORRT or not is_jetson():
            raise
        raise MissingExtraError(f"TensorRT is not seen by this Python; {JETPACKS_OWN}") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(
            f"{flavour} is installed, but its libraries cannot be loaded ({error}); "
            f"{_REINSTALL[flavour]}",
            str(error),
        ) from error
    _refuse_what_only_has_the_name(trt, module, extra)
    if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        raise EngineError(
            f"TensorRT {trt.__version__} cannot build strongly typed networks, where the graph "
            "alone decides the precision; install TensorRT 10.0 or newer"
        )
    return trt


def _refuse_what_only_has_the_name(trt: ModuleType, module: str, extra: str) -> None:
    """Refuse a folder or a file of this name that Python has found in place of the library."""
    if hasattr(trt, "NetworkDefinitionCreationFlag"):
        return
    if getattr(trt, "__file__", None) is None:  # a folder without __init__.py is a package too
        raise MissingExtraError(
            f"this needs the Python package '{module}', which is not installed (the folder "
            f"{next(iter(trt.__path__), module)} only has its name); "
            f'install it with: pip install "crispstream[{extra}]"'
        )
    raise EngineError(
        f"the Python package '{module}' at {trt.__file__} is not NVIDIA's; rename it, or start "
        "from another folder"
    )


def compute_capabilities(trt: ModuleType) -> dict[tuple[int, int], Any]:
    """Return (8, 6) -> the library's value for every kind of GPU it names; {} for TensorRT."""
    if not hasattr(trt, "ComputeCapability"):
        return {}
    found = {}
    for name, value in trt.ComputeCapability.__members__.items():
        if match := re.fullmatch(r"SM(\d+)(\d)", name):
            found[int(match[1]), int(match[2])] = value
    return found


def meant(name: str, known: Sequence[str]) -> str:
    """Return a question with the backend that a wrong name stands for, "" where none is near.

    >>> meant("tensorrt_rtx", ["auto", "tensorrt", "tensorrt-rtx"]), meant("coreml", ["auto"])
    ("did you mean 'tensorrt-rtx'? ", '')
    >>> meant("trt", ["auto", "tensorrt", "tensorrt-rtx"])
    "did you mean 'tensorrt'? "
    """
    spelt = name.strip().lower().replace("_", "-")
    return did_you_mean(_SHORT.get(spelt, spelt), known)


def logger_of(trt: ModuleType, flavour: str) -> Any:  # noqa: ANN401 (class made at run time)
    """Return the flavour's logger: the library uses only the first of a process."""
    if flavour not in _loggers:

        class Logger(trt.ILogger):  # type: ignore[name-defined,misc]
            """Hands errors, warnings and the table of layers to who listens."""

            def log(self, severity: Any, message: str) -> None:  # noqa: ANN401
                for heard in _listeners:
                    if severity <= trt.ILogger.ERROR:
                        heard.errors.append(message)
                    elif severity == trt.ILogger.WARNING:
                        heard.warnings.append(message)
                    elif "LayerType: " in message:
                        heard.table.extend(message.splitlines())

        _loggers[flavour] = Logger()
    return _loggers[flavour]


@contextmanager
def listening() -> Iterator[Heard]:
    """Collect what the libraries say meanwhile, on every thread of theirs."""
    heard = Heard()
    with _changing:
        _listeners.append(heard)
    try:
        yield heard
    finally:
        with _changing:
            _listeners[:] = [other for other in _listeners if other is not heard]
