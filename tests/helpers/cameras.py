"""Files of cameras for tests: small synthetic streams, restored by bicubic."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crispstream.runtime.stream.cameras.camera import CamerasConfig
from crispstream.runtime.stream.cameras.cameras import (
    CamerasReport,
    CameraState,
    States,
    run_cameras,
)
from crispstream.runtime.stream.cameras.config import load_config

FILE = "synth://pattern?size=32x16&frames=12"
LIVE = "synth://pattern?size=32x16&frames=1000000&fps=50&live=1"
GUARD_SECONDS = 60.0
DOOR = '[camera.door]\nsource = "synth://pattern"\nsinks = "null://"\n'


def load(folder: Path, text: str, **environ: str) -> CamerasConfig:
    """Write a file of cameras and read it."""
    path = folder / "cameras.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environ)


def camera(name: str, source: str, sinks: str = "null://", more: str = "") -> str:
    """Return a camera's table."""
    return f"[camera.{name}]\nsource = '{source}'\nsinks = '{sinks}'\n{more}\n"


def run(
    folder: Path, text: str, *, until: Callable[[States], bool] | None = None, **options: Any
) -> CamerasReport:
    """Run a file of cameras to its end, or until the states are as they should be."""
    path = folder / "cameras.toml"
    path.write_text(f"model = 'bicubic'\n{text}")
    stop = threading.Event()
    if until is not None:
        options["on_tick"] = lambda states: stop.set() if until(states) else None
    guard = threading.Timer(GUARD_SECONDS, stop.set)
    guard.start()
    try:
        return run_cameras(load_config(path), stop=stop, **options)
    finally:
        guard.cancel()


def restored(states: "dict[str, CameraState] | States", name: str) -> int:
    """Return how many frames a camera has restored so far."""
    snapshot = states[name].snapshot
    return 0 if snapshot is None else snapshot.restored
