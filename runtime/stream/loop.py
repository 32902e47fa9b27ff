"""The life of a frame: source -> slot -> restorer -> one outlet a sink, each on its own thread.

    capture thread      caller's thread                      a writer thread a sink
    source -> frame  => submit, collect -> restored frame => sink

One clock stamps every step. Whichever stage fails, the others stop, the outputs are finished as
far as they came, and the caller gets that stage's error. A sink that fails while another works
on is left behind, and counted.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import CrispstreamError, UsageError
from crispstream.core.pixels import SCALE, Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies

from .ledger import Ledger
from .outcome import StreamReport as StreamReport
from .outlet import STAGES as _OUTLET_STAGES
from .outlet import Outlet
from .restoring import FrameRestorer as FrameRestorer
from .restoring import Restoring
from .sink import Sink
from .slot import Slot
from .source import Source

STAGES = ("decode", "wait", "copy_in", "infer", "copy_out", *_OUTLET_STAGES)
"""In the order a frame meets them; `total` runs from captured to written."""
_WAITING_FRAMES = 2
"""Depth of the slot under `all`: one in hand for the engine, one for a slow decode."""
_BUFFERED = 4
"""Restored frames that may wait for one of several sinks of a live stream: rides out a slow one."""
_CAPTURE_END_SECONDS = 10.0
"""How long a source is waited for; it promises 2 s."""
_log = logging.getLogger("crispstream.stream")


def run_stream(
    source: Source,
    restorer: FrameRestorer,
    sinks: Sink | Mapping[str, Sink],
    *,
    policy: str = "all",
    budget_ms: float | None = None,
    ledger: Ledger | None = None,
    clock: Clock = monotonic_ns,
    on_frame: Callable[[int, Latencies], None] | None = None,
    stop: threading.Event | None = None,
    limit: int | None = None,
    seconds: float | None = None,
    in_flight: int = 1,
    watch: Callable[[Frame], None] | None = None,
    is_cut: Callable[[Bytes], bool] | None = None,
    on_outcome: Callable[[int, bool], None] | None = None,
    output_size: tuple[int, int] | None = None,
) -> StreamReport:
    """Restore a stream to its end and close the sinks; source and restorer stay the caller's.

    Args:
        source: read by a thread of its own.
        restorer: used by the calling thread only.
        sinks: one, or several by the names they have in the report; each is written and closed
            by a thread of its own.
        policy: `all` (files: nothing lost), `latest` (live: newest wins) or `deadline` (newest
            wins, and what cannot be in time is skipped).
        budget_ms: from capture to restored; frames beyond are late. `deadline` needs it.
        ledger: counts the frames; by default a new one.
        clock: stamps every step; the source's should be the same.
        on_frame: called by the calling thread with the count of frames and the latencies.
        stop: set it, from a signal handler for instance, to finish after the frames in hand.
        limit: frames to restore at most.
        seconds: how long to read the source at most.
        in_flight: frames to keep inside the restorer. 1 is right where `submit` does the work
            itself (CPU); 2 overlaps copies with the work of a device, for a frame of delay.
        watch: called by the calling thread with each frame once it is on its way, so that it
            holds up the next frame at most.
        is_cut: asked about each frame whether a new scene begins, for recurrent state.
        on_outcome: called by the calling thread for each frame restored or skipped for the
            deadline, with its age in ns and whether it missed the budget.
        output_size: (width, height) that the sinks were opened for; by default 4 x the source.

    Raises:
        CrispstreamError: what a stage raised, after the outputs were finished as far as they
            came; a sink's error only where no sink is left.
        UsageError: for an unknown policy, or an `in_flight` the restorer does not allow.
    """
    if not 1 <= in_flight <= restorer.frames_in_flight:
        raise UsageError(
            f"in_flight is {in_flight}, the restorer was opened for 1 to "
            f"{restorer.frames_in_flight}; open it with more frames_in_flight"
        )
    if policy == "deadline" and budget_ms is None:
        raise UsageError("the policy deadline needs a budget; give --budget-ms, such as 33")
    books = ledger or Ledger(source.health, budget_ms=budget_ms, clock=clock)
    until_ns = None if seconds is None else clock() + round(seconds * 1e9)
    named = sinks if isinstance(sinks, Mapping) else {"sink": sinks}
    size = output_size or (SCALE * source.info.width, SCALE * source.info.height)
    options = _Options(policy, clock, stop or threading.Event(), until_ns, size)
    run = _Run(source, named, restorer.frames_in_flight, books, options)
    restoring = Restoring(
        restorer,
        run.captured,
        run.outlets,
        books,
        clock=clock,
        skips_late=policy == "deadline",
        limit=limit,
        in_flight=in_flight,
        stopping=run.stopping,
        on_frame=on_frame,
        watch=watch,
        is_cut=is_cut,
        on_outcome=on_outcome,
    )
    return run.run(restoring)


@dataclass(frozen=True)
class _Options:
    policy: str
    clock: Clock
    stop: threading.Event
    until_ns: int | None
    size: tuple[int, int]


class _Run:
    """The threads of one run around the one that restores."""

    def __init__(
        self,
        source: Source,
        sinks: Mapping[str, Sink],
        frames_in_flight: int,
        ledger: Ledger,
        options: _Options,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._options = options
        self._clock = options.clock
        self.captured: Slot[Frame] = Slot(
            options.policy, _WAITING_FRAMES, lambda frames: ledger.drop("slot", frames)
        )
        alone = len(sinks) == 1
        self.outlets = [
            self._outlet(name, sink, frames_in_flight, alone=alone) for name, sink in sinks.items()
        ]
        self._decoding = Latencies(("decode",))
        self._errors: list[BaseException] = []
        self._source_ended = False
        self._begun_ns = 0

    def _outlet(self, name: str, sink: Sink, frames_in_flight: int, *, alone: bool) -> Outlet:
        keeps_all = self._options.policy == "all" and not sink.may_skip
        return Outlet(
            name,
            sink,
            self._options.size,
            depth=frames_in_flight if keeps_all else 1 if alone or sink.may_skip else _BUFFERED,
            # A sink that is alone holds up nobody: the slot drops what it is too slow for.
            lossless=keeps_all or alone,
            patient=keeps_all,
            clock=self._clock,
            on_failure=self._sink_failed,
        )

    def stopping(self) -> bool:
        """Whether the run is to end after the frames in hand."""
        until_ns = self._options.until_ns
        timed_out = until_ns is not None and self._clock() >= until_ns
        return timed_out or self._options.stop.is_set()

    def run(self, restoring: Restoring) -> StreamReport:
        self._begun_ns = self._clock()
        cpu_begun = time.process_time()
        capture = threading.Thread(target=self._guarded_capture, name="capture", daemon=True)
        try:
            capture.start()
            for outlet in self.outlets:
                outlet.start()
            self._restore(restoring)
            self._finish(capture, restoring)
        except BaseException:  # an interrupt; it may come while the writers still work
            self._abandon(capture)
            raise
        self._raise_first()
        return self._report(time.process_time() - cpu_begun, restoring)

    def _restore(self, restoring: Restoring) -> None:
        try:
            restoring.run()
        except BaseException as error:  # noqa: BLE001 - raised once everything is finished
            self._errors.append(error)
        finally:
            self.captured.cancel()
            self._source.stop()

    def _finish(self, capture: threading.Thread, restoring: Restoring) -> None:
        capture.join(_CAPTURE_END_SECONDS if self._source.info.live else None)
        if capture.is_alive():
            _log.warning("%s did not end and was left behind", self._source.health.name)
        self._ledger.drop("stop", self.captured.statistics().discarded)
        complete = self._source_ended and not restoring.limit_reached and not self._errors
        for outlet in self.outlets:
            outlet.end(complete=complete)
        for outlet in self.outlets:
            outlet.join()

    def _abandon(self, capture: threading.Thread) -> None:
        """Let the threads end after the frame in hand, and wait for them."""
        self.captured.cancel()
        self._source.stop()
        for leave in (Outlet.abandon, Outlet.join):
            for outlet in self.outlets:
                leave(outlet)
        if capture.ident is not None:
            capture.join(_CAPTURE_END_SECONDS)

    def _guarded_capture(self) -> None:
        """Keep its error for the caller, since a thread cannot raise there."""
        try:
            self._capture()
        except BaseException as error:  # noqa: BLE001
            self._errors.insert(0, error)
        finally:
            self._source.health.enter("ended")
            self.captured.end()

    def _capture(self) -> None:
        """Read the source; what it gave before it broke is still restored."""
        asked_ns, health = self._clock(), self._source.health
        for frame in self._source:
            if health.state == "connecting":  # a file, which knows no other state
                health.enter("live")
            self._decoding.record("decode", max(0, frame.captured_ns - asked_ns))
            if self.stopping():
                return
            self._ledger.capture()
            if not self.captured.put(frame):
                self._ledger.drop("stop")
                return
            asked_ns = self._clock()
        self._source_ended = not self._options.stop.is_set()

    def _sink_failed(self) -> None:
        """Stop the run once no sink is left; called by a writer thread."""
        for outlet in self.outlets:
            if outlet.error is not None and not isinstance(outlet.error, CrispstreamError):
                break  # a fault in the program, not in the world: it is to be seen
            if outlet.error is None:
                _log.warning("a sink failed; the others go on")
                return
        self.captured.cancel()

    def _raise_first(self) -> None:
        if self._errors:
            raise self._errors[0]
        errors = [outlet.error for outlet in self.outlets if outlet.error is not None]
        faults = [error for error in errors if not isinstance(error, CrispstreamError)]
        if faults or len(errors) == len(self.outlets) > 0:
            raise (faults or errors)[0]

    def _report(self, cpu_seconds: float, restoring: Restoring) -> StreamReport:
        elapsed_seconds = (self._clock() - self._begun_ns) / 1e9
        books, health = self._ledger.snapshot(), self._source.health
        writing = (outlet.latencies for outlet in self.outlets[:1])
        histograms = (self._decoding, *restoring.histograms, *writing)
        measured = {name: row for kept in histograms for name, row in kept.summary().items()}
        outcomes = tuple(outlet.outcome() for outlet in self.outlets)
        written = [outlet.first_written_ns for outlet in self.outlets]
        first_ns = min((at for at in written if at is not None), default=self._begun_ns)
        return StreamReport(
            frames=books.restored,
            dropped=books.captured - books.restored,
            damaged=self._source.damaged,
            stopped=self._options.stop.is_set(),
            elapsed_seconds=elapsed_seconds,
            frames_per_second=books.restored / elapsed_seconds if elapsed_seconds > 0 else 0.0,
            first_frame_ms=(first_ns - self._begun_ns) / 1e6,
            cpu_seconds=cpu_seconds,
            latencies={stage: measured[stage] for stage in STAGES if stage in measured},
            intervals=measured["interval"],
            peak_depths={
                "slot": self.captured.statistics().peak_depth,
                "queue": max((outcome.peak_depth for outcome in outcomes), default=0),
            },
            histograms=histograms,
            captured=books.captured,
            drops=books.dropped,
            late=books.late,
            missed_in_a_row=books.missed_in_a_row,
            jitter_ms=restoring.jitter_ms,
            state=health.state,
            reconnects=health.reconnects,
            events=health.events,
            sinks=outcomes,
        )
