"""One camera of several: its thread, from opening the source to the report, or to the error."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from crispstream.core.clock import Clock
from crispstream.core.errors import CrispstreamError, SourceError
from crispstream.core.pixels import Bytes
from crispstream.core.uris import masked
from crispstream.runtime.frame import StreamInfo
from crispstream.runtime.latency import Histogram
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.compose import open_input, open_sinks, policy_for, wait_for_source
from crispstream.runtime.stream.drift import Departure, Drift, Watch, each_of, watch_of
from crispstream.runtime.stream.ladder.ladder import Ladder, LadderUse
from crispstream.runtime.stream.ledger import Ledger, Snapshot
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.outcome import StreamReport
from crispstream.runtime.stream.sink import Sink
from crispstream.runtime.stream.source import Source
from crispstream.runtime.stream.watched import Watched

from .camera import Camera
from .keys import in_keys
from .turns import SharedRestorer, Turns

_log = logging.getLogger("crispstream.stream")


@dataclass(frozen=True)
class CameraState:
    """How a camera is at one moment."""

    name: str
    state: str
    """One of `health.STATES`, or `failed`."""
    snapshot: Snapshot | None = None
    """Its books; None until it has given a picture."""
    why: str = ""
    """Why it failed, or why it does not answer yet; never with a password."""
    ages: Histogram | None = None
    """From capture to restored, of all frames so far; None until it has given a picture."""


@dataclass(frozen=True)
class CameraReport:
    """What became of a camera."""

    camera: Camera
    source: str
    """Its address, without credentials."""
    model: str
    """Of the only or the best rung; so are precision and backend."""
    precision: str
    backend: str
    rung: str
    """Of the only or the best rung, as the books name it."""
    policy: str
    """Which `auto` has become; `auto` where the source never answered."""
    stream: StreamReport | None = None
    """None if it failed."""
    snapshot: Snapshot | None = None
    """Its books at the end; None if it never gave a picture."""
    turn_waits: Mapping[str, float] = field(default_factory=dict)
    """How long frames waited for the engine: count, mean_ms, p50_ms, p95_ms, p99_ms, max_ms."""
    ladder: LadderUse | None = None
    drift: Drift | None = None
    error: BaseException | None = None
    """What ended it before its time."""

    @property
    def name(self) -> str:
        """The camera's."""
        return self.camera.name

    @property
    def failed(self) -> bool:
        """Whether it, or one of its outputs, broke."""
        lost = any(sink.error for sink in self.stream.sinks) if self.stream else False
        return self.error is not None or lost


class CameraRun:
    """A camera's thread; `start` it, `halt` it, `join` it, and then ask for the `report`.

    Attributes:
        camera: what is asked of it.
        watched: how far it has come, to be read by any thread.
    """

    def __init__(
        self, camera: Camera, models: Sequence[Restorer], turns: Turns, *, clock: Clock
    ) -> None:
        """Share models with other cameras, best first, and places at the engine.

        Both stay the caller's. More than one model makes a ladder.
        """
        self.camera = camera
        self.watched = Watched(camera.name, models[0])
        self._models = models
        self._turns = turns
        self._clock = clock
        self._halted = threading.Event()
        self._timed_out = False
        self._thread = threading.Thread(target=self._guarded, name=camera.name, daemon=True)
        self._source_name = masked(camera.source)
        self._policy = camera.policy
        self._why = ""
        self._ladder: Ladder | None = None
        self._stream: StreamReport | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Let it begin."""
        self._thread.start()

    def halt(self, *, stopped: bool = True) -> None:
        """Tell it to finish its outputs and end; not `stopped` where the time is over."""
        self._timed_out = not stopped
        self._halted.set()

    @property
    def alive(self) -> bool:
        """Whether its thread works."""
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Wait for the end, at most so long."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))

    def leave_behind(self) -> None:
        """Count it as failed, since it did not end."""
        self._fail(
            CrispstreamError(
                "it did not end when it was told to, and was left behind; see what its source or "
                "its outputs wait for"
            )
        )

    def state(self) -> CameraState:
        """Return how it is now."""
        ledger, error = self.watched.ledger, self._error
        if ledger is None:
            state, why = ("connecting", self._why) if error is None else ("failed", str(error))
            return CameraState(self.camera.name, state, None, why)
        snapshot = ledger.snapshot()
        state = snapshot.state if self._stream is None else "ended"
        if error is not None:
            state = "failed"
        why = "" if error is None else str(error)
        return CameraState(self.camera.name, state, snapshot, why, ledger.ages)

    def report(self) -> CameraReport:
        """Return what became of it."""
        best, stream, seen = self._models[0], self._stream, self.watched
        if stream is not None and self._timed_out:
            stream = replace(stream, stopped=False)
        return CameraReport(
            camera=self.camera,
            source=self._source_name,
            model=best.name,
            precision=best.precision,
            backend=best.backend_name,
            rung=best.rung,
            policy=self._policy,
            stream=stream,
            snapshot=None if seen.ledger is None else seen.ledger.snapshot(),
            turn_waits={} if seen.turns is None else seen.turns.summary()["turn"],
            ladder=None if self._ladder is None else self._ladder.use(),
            drift=None if seen.drift is None else seen.drift.drift(),
            error=self._error,
        )

    def _guarded(self) -> None:
        """Keep the error: it is the other cameras' no concern."""
        try:
            self._run()
            self.watched.outcome = "ended"
        except KeyboardInterrupt:  # how the building of an engine is cancelled
            self._fail(CrispstreamError("it was told to end before its engine was built"))
        except BaseException as error:  # noqa: BLE001 - told in the report
            self._fail(_in_keys(error))
            known = isinstance(error, CrispstreamError | OSError)
            _log.error("camera %s: %s", self.camera.name, error, exc_info=not known)

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self.watched.outcome = "failed"

    def _run(self) -> None:
        camera = self.camera
        with ExitStack() as opened:
            source = wait_for_source(camera.source, self._open_source, self._halted, self._waiting)
            opened.callback(source.close)
            self.watched.source = source
            self._source_name = source.health.name
            self._policy = policy_for(camera.policy, source.info, camera.budget_ms)
            restorer = self._restorer(source.info)
            opened.callback(restorer.close)
            shared = SharedRestorer(restorer, self._turns, clock=self._clock)
            self.watched.turns = shared.waits
            opened.callback(shared.let_go)
            shared.reserve(source.info.width, source.info.height)
            ledger = Ledger(source.health, budget_ms=camera.budget_ms, clock=self._clock)
            sinks = self._open_sinks(source.info, ledger)
            self.watched.ledger = ledger
            self._stream = run_stream(
                source,
                shared,
                sinks,
                policy=self._policy,
                budget_ms=camera.budget_ms,
                ledger=ledger,
                clock=self._clock,
                stop=self._halted,
                limit=camera.limit,
                watch=self._looks_on(source.info),
                is_cut=_cut_detector() if restorer.recurrent else None,
                on_outcome=None if self._ladder is None else self._ladder.observe,
                output_size=camera.sink_options.size,
            )

    def _open_source(self) -> Source:
        camera = self.camera
        return open_input(
            camera.source,
            self._clock,
            options=camera.source_options,
            roi=camera.roi,
            stop=self._halted,
        )

    def _open_sinks(self, info: StreamInfo, ledger: Ledger) -> dict[str, Sink]:
        camera = self.camera
        return open_sinks(
            camera.sinks,
            info,
            source=camera.source,
            overwrite=camera.overwrite,
            options=camera.sink_options,
            ledger=ledger,
        )

    def _waiting(self, error: SourceError) -> None:
        if str(error) != self._why and not self._halted.is_set():
            self._why = str(error)
            _log.warning("camera %s is tried again: %s", self.camera.name, error)

    def _restorer(self, info: StreamInfo) -> Restorer | Ladder:
        """Return what restores this camera's frames alone, with the weights of all."""
        self.watched.drift = watch_of(self._models, self._drifted)
        if not self.camera.has_ladder:
            (model,) = self._models
            return model.twin()
        with ExitStack() as opened:
            rungs = [opened.enter_context(model.twin()) for model in self._models]
            ladder = self._ladder = Ladder(rungs, self.camera.budget_ms or 0.0, clock=self._clock)
            self.watched.ladder = ladder.use
            opened.pop_all()
        if info.live and info.frame_rate is not None:
            ladder.keep_up_with(float(info.frame_rate))
        return ladder

    def _looks_on(self, info: StreamInfo) -> Watch | None:
        """Return what looks at each frame: the watch on drift, and a ladder's eye on the pace."""
        pace = self._ladder.watch if self._ladder is not None and info.live else None
        return each_of(self.watched.drift, pace)

    def _drifted(self, rung: str, departures: Sequence[Departure]) -> None:
        figures = ", ".join(left.figure for left in departures)
        _log.warning(
            "camera %s has left what %s was calibrated for (%s); collect frames of it and "
            "calibrate again: crispstream data collect SOURCE -o set/",
            self.camera.name,
            rung,
            figures,
        )


def _in_keys(error: BaseException) -> BaseException:
    """Return an error that names keys where it named options of a command."""
    if isinstance(error, CrispstreamError) and error.args:
        error.args = (in_keys(str(error)), *error.args[1:])
    return error


def _cut_detector() -> Callable[[Bytes], bool]:
    from crispstream.runtime.stream.cut import CutDetector  # few networks are recurrent

    return CutDetector()
