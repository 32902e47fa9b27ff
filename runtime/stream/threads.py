"""The threads of one run around the one that restores: started, joined, accounted for."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from crispstream.core.clock import Clock
from crispstream.core.errors import CrispstreamError
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies

from .ledger import Ledger
from .outcome import StreamReport
from .outlet import STAGES as _OUTLET_STAGES
from .outlet import Outlet
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


@dataclass(frozen=True)
class RunOptions:
    """What `run_stream` was asked for, as far as the threads need it."""

    policy: str
    clock: Clock
    stop: threading.Event
    until_ns: int | None
    size: tuple[int, int]
    latencies: Callable[[Sequence[str]], Latencies]


class Run:
    """The threads of one run around the one that restores."""

    def __init__(
        self,
        source: Source,
        sinks: Mapping[str, Sink],
        frames_in_flight: int,
        ledger: Ledger,
        options: RunOptions,
    ) -> None:
        """Make the slot and the outlets; nothing runs yet."""
        self._source = source
        self._ledger = ledger
        self._options = options
        self._clock = options.clock
        self.captured: Slot[Frame] = Slot(options.policy, _WAITING_FRAMES, self._replaced)
        alone = len(sinks) == 1
        self.outlets = [
            self._outlet(name, sink, frames_in_flight, alone=alone) for name, sink in sinks.items()
        ]
        # A page that somebody looks at may skip frames: they are in its own column only.
        losing = [
            outlet for outlet, sink in zip(self.outlets, sinks.values(), strict=True)
            if not sink.may_skip
        ]  # fmt: skip
        ledger.sink_losses = lambda: sum(outlet.lost for outlet in losing)
        ledger.depths = self._depths
        self._decoding = options.latencies(("decode",))
        self._errors: list[BaseException] = []
        self._source_ended = False
        self._begun_ns = 0

    def _depths(self) -> dict[str, int]:
        """Return how many frames wait now: for the restorer, and at most for any sink."""
        waiting = max((outlet.depth for outlet in self.outlets), default=0)
        return {"slot": self.captured.depth, "queue": waiting}

    def _replaced(self, older: Frame, newer: Frame) -> Frame:
        """Count a frame that gives way; what is fresh stays so, whichever frame brings it."""
        self._ledger.drop("slot")
        return replace(newer, fresh=True) if older.fresh else newer

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
            stopping=self.stopping,
            on_failure=self._sink_failed,
            latencies=self._options.latencies(_OUTLET_STAGES),
        )

    def stopping(self) -> bool:
        """Whether the run is to end after the frames in hand."""
        until_ns = self._options.until_ns
        timed_out = until_ns is not None and self._clock() >= until_ns
        return timed_out or self._options.stop.is_set()

    def run(self, restoring: Restoring) -> StreamReport:
        """Start the threads, restore on this one, finish the outputs, and report.

        Raises:
            CrispstreamError: see `run_stream`.
        """
        self._begun_ns = self._clock()
        self._ledger.histograms = self.histograms(restoring)
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

    def histograms(self, restoring: Restoring) -> tuple[Latencies, ...]:
        """Return those of all stages; of several sinks the first one's."""
        writing = (outlet.latencies for outlet in self.outlets[:1])
        return (self._decoding, *restoring.histograms, *writing)

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
            if self.stopping():
                return
            self._ledger.capture()
            if not self.captured.put(frame):
                self._ledger.drop("stop")
                return
            # Told once it waits, so that whoever looks at the queues sees it there.
            begun_ns = min(asked_ns, frame.captured_ns)
            self._decoding.span("decode", begun_ns, frame.captured_ns, serial=frame.serial)
            asked_ns = self._clock()
        self._source_ended = not self._options.stop.is_set()

    def _sink_failed(self) -> None:
        """Stop the run once no sink is left; called by a writer thread."""
        errors = [outlet.error for outlet in self.outlets if outlet.error is not None]
        # A fault in the program, not in the world, is to be seen at once.
        faults = [error for error in errors if not isinstance(error, CrispstreamError)]
        if faults or len(errors) == len(self.outlets):
            self.captured.cancel()
        else:
            _log.warning("%s; the other outputs go on", errors[-1])

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
        histograms = self.histograms(restoring)
        measured = {name: row for kept in histograms for name, row in kept.summary().items()}
        outcomes = tuple(outlet.outcome() for outlet in self.outlets)
        written = [outlet.first_written_ns for outlet in self.outlets]
        first_ns = min((at for at in written if at is not None), default=self._begun_ns)
        return StreamReport(
            frames=books.restored,
            dropped=books.dropped["slot"] + books.dropped["deadline"],
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
            live=self._source.info.live,
            policy=self._options.policy,
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
