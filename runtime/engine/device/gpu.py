"""What GPU there is: the facts that an engine is bound to."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crispstream.core.errors import CrispstreamError

from .driver import load_cuda

_VERSION_FILE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU and its driver."""

    name: str
    """As the driver calls it: "NVIDIA GeForce RTX 4070"."""
    compute_capability: tuple[int, int]
    """(8, 9) for instance."""
    driver: str
    """Version of the driver, "580.65.06"; "CUDA 12.6" where only what it supports is known."""
    memory_bytes: int
    integrated: bool
    """Whether it shares its memory with the CPU, as on a Jetson."""
    multiprocessors: int = field(kw_only=True)
    """How many there are: modules of one name and compute capability differ in it (Orin)."""

    def as_json(self) -> dict[str, str]:
        """Return what an engine's record and key hold; memory in GiB, rounded."""
        major, minor = self.compute_capability
        return {
            "name": self.name,
            "compute_capability": f"{major}.{minor}",
            "driver": self.driver,
            "multiprocessors": str(self.multiprocessors),
            "memory_gib": f"{self.memory_bytes / 2**30:.0f}",
        }


def find_gpu(index: int = 0) -> Gpu | str:
    """Return the GPU, or one sentence why there is none that engines could run on.

    Takes a few milliseconds where there is no driver, and makes no context where there is.
    """
    try:
        cuda = load_cuda()
    except CrispstreamError as error:
        return str(error)
    try:
        count = cuda.Device.count()
        if index >= count:
            return f"there is no GPU {index}: the driver sees {count}; choose one from 0 on"
        return _described(cuda, cuda.Device(index))
    except cuda.Error as error:
        return f"the NVIDIA driver tells nothing of GPU {index} ({error}); check with nvidia-smi"


def _described(cuda: Any, device: Any) -> Gpu:  # noqa: ANN401 (untyped library)
    major, minor = device.compute_capability()
    return Gpu(
        name=str(device.name()),
        compute_capability=(int(major), int(minor)),
        driver=_driver_version() or _cuda_version(int(cuda.get_driver_version())),
        memory_bytes=int(device.total_memory()),
        integrated=bool(device.get_attribute(cuda.device_attribute.INTEGRATED)),
        multiprocessors=int(device.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT)),
    )


def _driver_version() -> str:
    """Return "580.65.06" as the kernel module tells it, "" where it does not, as in WSL."""
    try:
        told = _VERSION_FILE.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    match = re.search(r"\s(\d{3,}\.\d+(?:\.\d+)?)\s", told)
    return match[1] if match else ""


def _cuda_version(number: int) -> str:
    """Return what cuDriverGetVersion means.

    >>> _cuda_version(12060)
    'CUDA 12.6'
    """
    return f"CUDA {number // 1000}.{number % 1000 // 10}"
