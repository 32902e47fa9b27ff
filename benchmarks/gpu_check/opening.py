"""How long opening a stored engine takes beyond what its library needs; for the GPU check.

Fresh processes in turns, as a user starts them: the library alone, and a Restorer that finds the
same engine in the store and restores its first frame.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import median_and_range
from benchmarks.gpu_check.steps import Deadline, NotRun
from crispstream.core.sizes import Size, size_text
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.places import VARIABLE
from crispstream.runtime.engine.store.record import EngineRecord
from crispstream.runtime.engine.store.store import EngineStore

LIMIT_SECONDS = 1.0
"""Opening and the first frame may take so much longer than loading the engine alone."""

_ROOT = Path(__file__).resolve().parents[2]
_TURNS = 5
_LONGEST_SECONDS = 90


def opening_figures(
    plan: bytes, record: EngineRecord, size: Size, cache: Path, deadline: Deadline
) -> dict[str, Any]:
    """Keep an engine in the store of an empty cache folder, and open it again and again.

    Returns the seconds of the library alone, those of the kit, and the median of what the kit
    takes longer.

    Raises:
        NotRun: if a process fails, or the time is up before there is a pair.
        EngineError: if the engine cannot be kept.
    """
    stored = EngineStore(cache).add(EngineKey.of(record), plan, record)
    kit = ["kit", record.flavour, record.bundle, record.precision, size_text(size)]
    seconds_in_process(kit, cache)  # reads the program from a cold disk; RTX compiles its kernels
    kernels = [str(path) for path in sorted((cache / "runtime").glob("*.cache"))[:1]]
    native = ["native", record.flavour, str(stored), *kernels]
    pairs: list[tuple[float, float]] = []
    for _ in range(_TURNS):
        deadline.check()
        pairs.append((seconds_in_process(native, cache), seconds_in_process(kit, cache)))
        if deadline.left_seconds < 4 * sum(pairs[-1]):
            break
    return {
        "native_seconds": median_and_range([native for native, _ in pairs]),
        "kit_seconds": median_and_range([kit for _, kit in pairs]),
        "beyond_seconds": statistics.median(kit - native for native, kit in pairs),
    }


def seconds_in_process(arguments: Sequence[str], cache: Path) -> float:
    """Return what a process of `gpu_check.first_frame` tells.

    Raises:
        NotRun: if it fails, with the last line of what it said, or hangs.
    """
    command = [sys.executable, "-m", "benchmarks.gpu_check.first_frame", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=_ROOT,
            env=os.environ | {VARIABLE: str(cache)},
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NotRun(f"{arguments[0]}: no frame within {_LONGEST_SECONDS} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise NotRun(f"{arguments[0]}: {lines[-1][:400]}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])
