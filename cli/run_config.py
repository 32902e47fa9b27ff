"""`crispstream run --config FILE`: several cameras at once, a line for each."""

import json as json_text
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crispstream.core.errors import CrispstreamError
from crispstream.core.files import write_json_atomically
from crispstream.core.uris import masked

from .run_checks import check_positive, check_reports
from .run_config_text import end_lines, end_table, failures, live_table
from .run_device import on_device
from .run_metrics import served_cameras
from .run_output import SIGNALLED, finished, nobody_may_read
from .run_signals import signals_caught
from .warn import say
from .written import written

if TYPE_CHECKING:
    from crispstream.runtime.stream.cameras.camera import CamerasConfig
    from crispstream.runtime.stream.cameras.cameras import CameraReport, CamerasReport, States
    from crispstream.runtime.stream.cameras.running import CameraRun
    from crispstream.runtime.stream.ledger import Snapshot

SCHEMA = 1
"""Version of the report. Raised when a key changes its name or meaning, not when one is added."""
_REDRAW_SECONDS = 0.25
_OF_THE_PROCESS = ("kind", "schema", "host", "created", "cpu_seconds", "cpu_ms_per_frame")
"""What of a stream's report is no camera's own."""


def run_config(
    path: Path,
    *,
    device: str,
    seconds: float | None,
    report: Path | None,
    json: bool,
    metrics: str | None = None,
) -> None:
    """Run the cameras of a file until they end, the time is over, or a signal comes.

    Args:
        path: of the TOML file.
        device: `cpu` for all cameras to work there; see `run_device`.
        seconds: how long at most; by default what the file says.
        report: write the figures to this JSON file.
        json: print them as one line instead of a table.
        metrics: HOST:PORT to serve live figures at.

    Raises:
        UsageError: with its line, for whatever is wrong in the file; or for `metrics`.
        SinkError: if the report cannot be written.
        typer.Exit: with 1 if a camera failed, or 128 and the number of a signal.
    """
    from crispstream.runtime.stream.cameras.cameras import run_cameras
    from crispstream.runtime.stream.cameras.config import load_config

    check_positive("--seconds", seconds)
    config = _placed(load_config(path), device)
    _check_report(config, report)
    names = [camera.name for camera in config.cameras]
    with served_cameras(metrics, names) as watched, signals_caught() as caught:

        def begin(runs: "Sequence[CameraRun]") -> None:
            watched[:] = [run.watched for run in runs]

        building = _Building(caught.stop)
        with _shown(building, shown=not json) as show:
            figures = run_cameras(
                config,
                stop=caught.stop,
                seconds=seconds,
                on_tick=show,
                on_build=building,
                on_begin=begin,
            )
    content = as_json(figures, path)
    if report is not None:
        _write(content, report)
    # After SIGHUP there may be nobody to read it.
    with nobody_may_read() if caught.signal_number else nullcontext():
        if caught.signal_number:
            name = signal.Signals(caught.signal_number).name
            say(f"stopped by {name}; {finished(failed=figures.failed)}")
        try:
            _print(figures, content, json=json)
        finally:  # also where nobody reads the figures
            for sentence in failures(figures):
                say(f"error: {sentence}")
    if caught.signal_number:
        raise typer.Exit(SIGNALLED + caught.signal_number)
    if figures.failed:
        raise typer.Exit(CrispstreamError.exit_code)


def _placed(config: "CamerasConfig", device: str) -> "CamerasConfig":
    return replace(config, cameras=tuple(on_device(each, device) for each in config.cameras))


def _check_report(config: "CamerasConfig", report: Path | None) -> None:
    for camera in config.cameras:
        for sink in camera.sinks:
            check_reports(report, None, camera.source, sink)


class _Building:
    """Follows the building of engines, which it cancels once the run shall end."""

    def __init__(self, stop: threading.Event) -> None:
        self.note = ""
        self._stop = stop

    def __call__(self, phase: str, done: int, steps: int) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt
        self.note = "" if done == steps else f"building an engine: {phase} {done} of {steps}"


@contextmanager
def _shown(building: _Building, *, shown: bool) -> "Iterator[Callable[[States], None]]":
    """Show the cameras as a table on standard error where that is a terminal."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)  # standard output is for the result
    if not (shown and console.is_terminal):
        yield lambda _: None
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        drawn_last = 0.0

        def show(states: "States") -> None:
            nonlocal drawn_last
            now = time.monotonic()
            if now - drawn_last >= _REDRAW_SECONDS:
                drawn_last = now
                live.update(live_table(states, building.note), refresh=True)

        yield show


def as_json(figures: "CamerasReport", path: Path) -> dict[str, Any]:
    """Return the report for JSON; cameras by name."""
    from crispstream.runtime.measure.host import host_facts

    return {
        "schema": SCHEMA,
        "config": str(path),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": asdict(host_facts()),
        "elapsed_seconds": figures.elapsed_seconds,
        "cpu_seconds": figures.cpu_seconds,
        "stopped": figures.stopped,
        "failed": figures.failed,
        "cameras": {name: _camera(camera) for name, camera in figures.cameras.items()},
    }


def _camera(camera: "CameraReport") -> dict[str, Any]:
    return {
        "source": camera.source,
        "sinks": [masked(sink) for sink in camera.camera.sinks],
        "model": camera.model,
        "precision": camera.precision,
        "backend": camera.backend,
        "policy": camera.policy,
        "failed": camera.failed,
        "error": str(camera.error) if camera.error is not None else "",
        "turn_waits": dict(camera.turn_waits),
        "books": None if camera.snapshot is None else _books(camera.snapshot),
        "run": _run(camera),
    }


def _run(camera: "CameraReport") -> dict[str, Any] | None:
    """Return what `crispstream run` reports of one stream; None for a camera that broke."""
    from crispstream.runtime.measure.report import report_from_run

    if camera.stream is None:
        return None
    content = report_from_run(
        camera.stream,
        source=camera.source,
        sink=", ".join(masked(sink) for sink in camera.camera.sinks),
        model=camera.model,
        precision=camera.precision,
        backend=camera.backend,
        drift=camera.drift,
        budget_ms=camera.camera.budget_ms,
        ladder=camera.ladder,
    ).as_json()
    return {key: value for key, value in content.items() if key not in _OF_THE_PROCESS}


def _write(content: dict[str, Any], path: Path) -> None:
    with written(path):
        write_json_atomically(path, content)


def _print(figures: "CamerasReport", content: dict[str, Any], *, json: bool) -> None:
    from rich.console import Console

    if json:
        typer.echo(json_text.dumps(content))
    else:
        console = Console()
        console.print(end_table(figures))
        for line in end_lines(figures):
            console.print(line, highlight=False, markup=False)


def _books(books: "Snapshot") -> dict[str, Any]:
    """Return the books without the rate of the last second, which at the end says nothing."""
    return {key: value for key, value in asdict(books).items() if key != "frames_per_second"}
