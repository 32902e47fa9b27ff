"""The machine as the checks see it: files, programs and packages, asked for in one place.

Every answer is a plain value, and what is not there is None, so that a test can play any machine.
"""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from crispstream.core.errors import EngineError
from crispstream.core.machine import usable_cores
from crispstream.runtime.engine.available import THIS_MACHINE, Probes
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.device.pinned import open_libcuda
from crispstream.runtime.engine.native import FLAVOURS
from crispstream.runtime.engine.store.entries import entries_in
from crispstream.runtime.engine.store.places import cache_folder

_PROGRAM_SECONDS = 5.0
"""A driver that hangs holds up nvidia-smi for ever."""


class Platform(NamedTuple):
    """What the operating system calls itself."""

    system: str
    """"Linux"."""
    kernel: str
    architecture: str
    """"x86_64" or "aarch64"."""
    libc: str
    """"glibc 2.36"."""


class Interpreter(NamedTuple):
    """The Python that runs this."""

    version: tuple[int, int, int]
    prefix: str
    """The folder of the environment."""
    virtual: bool


class Machine:
    """This machine. Where a thing is missing only `load` and the folders raise."""

    def __init__(self, probes: Probes = THIS_MACHINE) -> None:
        """`probes` are what `choose_backend` asks."""
        self.probes = probes

    @cached_property
    def gpu(self) -> Gpu | str:
        """The GPU, or one sentence why there is none to use."""
        return self.probes.find_gpu()

    def cache_folder(self) -> str:
        """Return where engines are kept; UsageError where there is no such place."""
        return str(cache_folder())

    def temporary_folder(self) -> str:
        """Return where temporary files go; FileNotFoundError where none may go anywhere."""
        return tempfile.gettempdir()

    def read(self, path: str) -> str | None:
        """Return the text of a file."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            return None

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that match an absolute pattern, sorted."""
        return sorted(str(found) for found in Path("/").glob(pattern.lstrip("/")))

    def run(self, *command: str) -> str | None:
        """Return what a program prints; None if it is not there, fails or hangs."""
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_PROGRAM_SECONDS, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout if done.returncode == 0 else None

    def which(self, program: str) -> str | None:
        """Return where PATH has a program."""
        return shutil.which(program)

    def version_of(self, distribution: str) -> str | None:
        """Return the version of an installed distribution."""
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return None

    def load(self, module: str) -> ModuleType:
        """Import a module; raises what that raises."""
        return import_module(module)

    def driver_cuda(self) -> tuple[int, int] | None:
        """Return the newest CUDA that the driver supports, (12, 6); None without its library."""
        number = ctypes.c_int()
        try:
            open_libcuda().cuDriverGetVersion(ctypes.byref(number))
        except EngineError:
            return None
        return number.value // 1000, number.value % 1000 // 10

    def platform(self) -> Platform:
        """Return the operating system's own names."""
        system, _, release, _, architecture, _ = platform.uname()
        return Platform(
            system, release.partition("-")[0], architecture, " ".join(platform.libc_ver())
        )

    def interpreter(self) -> Interpreter:
        """Return the Python that runs this."""
        major, minor, micro = sys.version_info[:3]
        return Interpreter((major, minor, micro), sys.prefix, sys.prefix != sys.base_prefix)

    def cores(self) -> tuple[int, int]:
        """Return the cores that this process may use, and all there are."""
        return usable_cores(), os.cpu_count() or 1

    def may_write(self, folder: str) -> bool:
        """Return whether files can be made in a folder, or it in the nearest that exists.

        It is tried: permissions tell nothing to root, and a disk may be mounted read-only.
        """
        try:
            tempfile.TemporaryFile(dir=_nearest(folder)).close()
        except OSError:
            return False
        return True

    def free_bytes(self, folder: str) -> int:
        """Return the free space of the disk that has a folder, or will have it."""
        return shutil.disk_usage(_nearest(folder)).free

    def sizes_of(self, pattern: str) -> Sequence[int]:
        """Return the sizes in bytes of the files that match an absolute pattern."""
        return [Path(path).stat().st_size for path in self.glob(pattern)]

    def damaged_engines(self, cache_folder: str) -> Mapping[str, str]:
        """Return the names of kept engines that are damaged, and what is wrong with each.

        Their hashes are not checked, which would take reading all of them.
        """
        cache = Path(cache_folder)
        entries = entries_in(cache / "engines", cache / "runtime", hashed=False)
        return {entry.name: entry.damage for entry in entries if entry.damage}

    @property
    def in_container(self) -> bool:
        """Whether Docker or Podman started this."""
        return any(self.read(mark) is not None for mark in ("/.dockerenv", "/run/.containerenv"))

    @property
    def flavours(self) -> list[str]:
        """The flavours of TensorRT whose Python module is installed."""
        return [
            flavour for flavour, (module, _) in FLAVOURS.items() if self.probes.is_installed(module)
        ]


def _nearest(folder: str) -> Path:
    """Return the folder, or the nearest above it that exists."""
    there = Path(folder).absolute()
    while not _is_there(there) and there != there.parent:
        there = there.parent
    return there


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # of a folder above it
        return False
