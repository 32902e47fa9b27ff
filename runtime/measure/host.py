"""What a number was measured on: processor, system, versions of what did the work."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from crispstream.core.machine import usable_cores

_ABSENT = "not installed"
_ONNXRUNTIME = ("onnxruntime", "onnxruntime-gpu")
"""Two distributions bring the same module."""


@dataclass(frozen=True)
class Host:
    """The facts without which a duration says nothing."""

    processor: str
    """Model name of the CPU."""
    cores: int
    """CPU cores this process may use, not those the machine has."""
    system: str
    """Operating system and machine type."""
    python: str
    """Version of the interpreter."""
    packages: dict[str, str]
    """Package -> version, for those that touch a frame."""


def host_facts() -> Host:
    """Ask this machine."""
    return Host(
        processor=_processor(),
        cores=usable_cores(),
        system=f"{platform.system()} {_kernel()} {platform.machine()}",
        python=platform.python_version(),
        packages={
            "crispstream": _version(("crispstream",)),
            "onnxruntime": _version(_ONNXRUNTIME),
            "av": _version(("av",)),
            "numpy": _version(("numpy",)),
        },
    )


def _kernel() -> str:
    """Return the system's release without the builder's suffix."""
    return platform.release().partition("-")[0]


def _version(distributions: Iterable[str]) -> str:
    found = filter(None, map(_distribution, distributions))
    return next((distribution.version for distribution in found), _ABSENT)


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the CPU's name; ARM kernels and other systems do not tell it the x86 way."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return _device_tree_model() or platform.processor() or platform.machine()


def _device_tree_model() -> str:
    """Return the board's name, which a Jetson keeps here; "" elsewhere."""
    try:
        return Path("/proc/device-tree/model").read_text(encoding="utf-8").strip("\0\n ")
    except OSError:
        return ""
