"""Several cameras in one process, on one engine.

Each camera has a thread, a source, sinks and books of its own; they share the weights of their
models, and take turns at what computes. A camera that fails ends alone.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

# Here, in one thread: several that import it at the same time, as cameras do when they open their
# sources, get halves of it ("module 'av' has no attribute 'error'", seen with PyAV 18.1).
import av  # noqa: F401

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.sizes import Size
from crispstream.runtime.engine.available import choose_backend
from crispstream.runtime.engine.building.monitor import Progress
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.ladder.rungs import BICUBIC, named_rungs

from .camera import Camera, CamerasConfig
from .faults import at
from .running import CameraReport as CameraReport
from .running import CameraRun
from .running import CameraState as CameraState
from .turns import ON_CPU, ON_GPU, Turns

_log = logging.getLogger("crispstream.stream")
TICK_SECONDS = 0.1
"""How often the cameras are looked at."""
END_SECONDS = 30.0
"""How long they have to finish their outputs."""
_LAST_SECONDS = 3.0
"""How long a camera has that waited for the engine, once there are no more turns."""
_FRAMES_WITH_SINKS = 2
"""Frames that may be with the sinks while a camera goes on: rides out a slow one."""
_ON_CPU = ("onnxruntime-cpu", BICUBIC)

States = Mapping[str, CameraState]


@dataclass(frozen=True)
class CamerasReport:
    """What became of all cameras."""

    cameras: Mapping[str, CameraReport]
    """By name, in the file's order."""
    elapsed_seconds: float
    cpu_seconds: float
    """CPU time of the process meanwhile."""
    stopped: bool
    """Whether `stop` ended any of them; not, that the time was over."""

    @property
    def failed(self) -> bool:
        """Whether any camera failed."""
        return any(camera.failed for camera in self.cameras.values())


def run_cameras(
    config: CamerasConfig,
    *,
    stop: threading.Event,
    seconds: float | None = None,
    on_tick: Callable[[States], None] | None = None,
    on_build: Progress | None = None,
    on_begin: Callable[[Sequence[CameraRun]], None] = lambda _: None,
    clock: Clock = monotonic_ns,
) -> CamerasReport:
    """Restore the streams of all cameras until they end, `stop` is set, or the time is over.

    Args:
        config: of `config.load_config`.
        stop: set it, from a signal handler for instance; all outputs are finished then.
        seconds: how long to go on at most; by default what the config says.
        on_tick: called by this thread ten times a second with the states by name.
        on_build: told how far the build of an engine is.
        on_begin: given the cameras, in the file's order, before the first one starts.
        clock: stamps frames.

    Raises:
        UsageError: with the line of the config, if a model cannot be opened; nothing is started
            then. What goes wrong later is in the report of its camera.
    """
    with ExitStack() as opened:
        models = _Models(config, opened, on_build, clock)
        places = {False: Turns(ON_GPU), True: Turns(ON_CPU)}
        runs = []
        for camera in config.cameras:
            own = models.of(camera)
            turns = places[own[0].backend_name in _ON_CPU]
            runs.append(CameraRun(camera, own, turns, clock=clock))
        on_begin(runs)
        begun_ns, cpu_begun = clock(), time.process_time()
        limit = config.seconds if seconds is None else seconds
        until_ns = None if limit is None else begun_ns + round(limit * 1e9)
        try:
            for run in runs:
                run.start()
            _wait(runs, stop, until_ns, on_tick, clock)
        finally:
            stopped = stop.is_set()
            were_told = _end(runs, tuple(places.values()), stopped=stopped)
        return CamerasReport(
            cameras={run.camera.name: run.report() for run in runs},
            elapsed_seconds=(clock() - begun_ns) / 1e9,
            cpu_seconds=time.process_time() - cpu_begun,
            stopped=stopped and were_told,
        )


def _wait(
    runs: Sequence[CameraRun],
    stop: threading.Event,
    until_ns: int | None,
    on_tick: Callable[[States], None] | None,
    clock: Clock,
) -> None:
    """Return when the cameras have ended, or shall."""
    while any(run.alive for run in runs):
        # No stop.wait(): a signal that came within it would set the event in this very thread,
        # which may hold the event's lock then, and would wait for it for ever.
        time.sleep(TICK_SECONDS)
        if stop.is_set() or (until_ns is not None and clock() >= until_ns):
            return
        if on_tick is not None:
            on_tick({run.camera.name: run.state() for run in runs})


def _end(runs: Sequence[CameraRun], places: Sequence[Turns], *, stopped: bool) -> bool:
    """Let every camera finish; return whether any had to be told to."""
    working = [run for run in runs if run.alive]
    for run in working:
        run.halt(stopped=stopped)
    _join(working, END_SECONDS)
    for turns in places:
        turns.close()
    _join(working, _LAST_SECONDS)
    for run in working:
        if run.alive:
            run.leave_behind()
    return bool(working)


def _join(runs: Sequence[CameraRun], seconds: float) -> None:
    until = time.monotonic() + seconds
    for run in runs:
        run.join(until - time.monotonic())


_Key = tuple[str, str, str, bool, Size | None]
"""Model, precision, backend, whether uncertified graphs may run, size of tiles."""


class _Models:
    """Opens each model once, however many cameras want it."""

    def __init__(
        self, config: CamerasConfig, opened: ExitStack, on_build: Progress | None, clock: Clock
    ) -> None:
        self._config = config
        self._opened = opened
        self._on_build = on_build
        self._clock = clock
        self._restorers: dict[_Key, Restorer] = {}

    def of(self, camera: Camera) -> list[Restorer]:
        """Return a camera's models, best first.

        Raises:
            UsageError: with its line, for what cannot be opened.
        """
        place = partial(self._config.place, camera.name)
        if camera.backend != "auto":
            with at(place("backend")):
                choose_backend(camera.backend)
        if not camera.has_ladder:
            with at(place("precision" if camera.precision != "auto" else "model")):
                return [self._open(camera, camera.model, camera.precision, camera.backend)]
        with at(place("ladder")):
            backend = choose_backend(camera.backend).name
            rungs = named_rungs(
                camera.ladder, camera.model, camera.precision, backend, camera.allow_uncertified
            )
            return [self._open(camera, rung.model, rung.precision, backend) for rung in rungs]

    def _open(self, camera: Camera, model: str, precision: str, backend: str) -> Restorer:
        if model == BICUBIC and camera.has_ladder:
            backend = "auto"  # it is computed, whatever runs the other rungs
        key = (model, precision, backend, camera.allow_uncertified, camera.tile)
        if key not in self._restorers:
            restorer = Restorer.open(
                model,
                precision,
                backend,
                threads=self._config.threads,
                frames_in_flight=1 + _FRAMES_WITH_SINKS,
                allow_uncertified=camera.allow_uncertified,
                on_build=self._on_build,
                tile=camera.tile,
                clock=self._clock,
            )
            self._restorers[key] = self._opened.enter_context(restorer)
            if restorer.uncertified:
                _log.warning(
                    "%s is not certified, and allow_uncertified lets it run; its frames may not "
                    "look like those of fp32",
                    restorer.rung,
                )
        return self._restorers[key]
