"""What a number was measured on: processor, GPU, system, versions of what did the work."""

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from crispstream.core.machine import usable_cores
from crispstream.runtime.engine.device.gpu import Gpu, find_gpu

_ABSENT = "not installed"
_ALWAYS = {
    "crispstream": ("crispstream",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "av": ("av",),
    "numpy": ("numpy",),
}
"""Package -> the distributions that bring it."""
_ON_GPUS = {
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11"),
    "tensorrt_rtx": ("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
    "pycuda": ("pycuda",),
    "cuda-bindings": ("cuda-bindings",),
}
"""Likewise; they are told where they are installed. NVIDIA has a distribution of TensorRT for each
version of CUDA."""


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
    """Package -> version, for those that touch a frame; those for GPUs where they are installed."""
    gpu: str = ""
    """Name of the first GPU, as its driver tells it; "" without one, or without pycuda."""
    driver: str = ""
    """Version of its driver: "580.65.06"; "CUDA 12.6" where only that is known; else ""."""


def host_facts() -> Host:
    """Ask this machine; what it does not tell is left empty."""
    gpu = _gpu()
    return Host(
        processor=_processor(),
        cores=usable_cores(),
        system=f"{platform.system()} {_kernel()} {platform.machine()}",
        python=platform.python_version(),
        packages=_packages(),
        gpu="" if gpu is None else gpu.name,
        driver="" if gpu is None else gpu.driver,
    )


def _gpu() -> Gpu | None:
    try:
        found = find_gpu()
    except Exception:  # noqa: BLE001 (a record is written at the end of a run, whatever is broken)
        return None
    return found if isinstance(found, Gpu) else None


def _packages() -> dict[str, str]:
    told = {name: _version(name, having) or _ABSENT for name, having in _ALWAYS.items()}
    on_gpus = {name: _version(name, having) for name, having in _ON_GPUS.items()}
    return told | {name: version for name, version in on_gpus.items() if version}


def _kernel() -> str:
    """Return the system's release without the builder's suffix."""
    return platform.release().partition("-")[0]


def _version(module: str, distributions: Sequence[str]) -> str:
    """Return what was installed; else what the module itself says, if it is loaded; else ""."""
    installed = next(filter(None, map(_installed, distributions)), "")
    return installed or str(getattr(sys.modules.get(module), "__version__", ""))


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


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
