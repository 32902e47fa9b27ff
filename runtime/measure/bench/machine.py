"""The machine as telemetry asks it: files, programs and the process's own use of it.

What is not there is None or empty, so that a test can play any machine.
"""

import os
import subprocess
from pathlib import Path

from crispstream.core.machine import usable_cores

_PROGRAM_SECONDS = 2.0
"""nvidia-smi takes 20 to 500 ms; with a driver that hangs it does so for ever."""


class Machine:
    """This machine."""

    def read(self, path: str) -> str:
        """Return the text of a file, "" where there is none to be read."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            return ""

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

    def cores(self) -> tuple[int, ...]:
        """Return the numbers of the CPU cores that this process may use."""
        if hasattr(os, "sched_getaffinity"):
            return tuple(sorted(os.sched_getaffinity(0)))
        return tuple(range(usable_cores()))

    def own_cpu_seconds(self) -> float:
        """Return the CPU time that all threads of this process have used."""
        used = os.times()
        return used.user + used.system

    def ticks_a_second(self) -> int:
        """Return the unit of /proc/stat."""
        return os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

    def visible_gpu(self) -> str:
        """Return the GPU in use as nvidia-smi names it: a number, or the UUID that was given.

        CUDA counts like nvidia-smi where CUDA_DEVICE_ORDER is PCI_BUS_ID, and where there is one.
        """
        listed = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        return listed[0].strip() or "0"
