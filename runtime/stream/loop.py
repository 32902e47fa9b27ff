"""The life of a frame: source -> slot -> restorer -> one outlet a sink, each on its own thread.

    capture thread      caller's thread                      a writer thread a sink
    source -> frame  => submit, collect -> restored frame => sink

One clock stamps every step. Whichever stage fails, the others stop, the outputs are finished as
far as they came, and the caller gets that stage's error. A sink that fails while another works
on is left behind, and counted.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import UsageError
from crispstream.core.pixels import SCALE, Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies

from .ledger import Ledger
from .outcome import StreamReport as StreamReport
from .restoring import STAGES as RESTORING_STAGES
from .restoring import FrameRestorer as FrameRestorer
from .restoring import Restoring
from .sink import Sink
from .slot import check_policy
from .source import Source
from .threads import STAGES as STAGES
from .threads import Run, RunOptions


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
    latencies: Callable[[Sequence[str]], Latencies] = Latencies,
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
        latencies: makes what the stages' times go to; a profiler's keeps each of them.

    Raises:
        CrispstreamError: what a stage raised, after the outputs were finished as far as they
            came; a sink's error only where no sink is left.
        UsageError: for an unknown policy, or an `in_flight` the restorer does not allow.
    """
    named = sinks if isinstance(sinks, Mapping) else {"sink": sinks}
    try:
        _check(policy, budget_ms, in_flight, restorer.frames_in_flight)
    except UsageError:
        for sink in named.values():
            sink.close(complete=False)
        raise
    books = ledger or Ledger(source.health, budget_ms=budget_ms, clock=clock)
    until_ns = None if seconds is None else clock() + round(seconds * 1e9)
    size = output_size or (SCALE * source.info.width, SCALE * source.info.height)
    options = RunOptions(policy, clock, stop or threading.Event(), until_ns, size, latencies)
    run = Run(source, named, restorer.frames_in_flight, books, options)
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
        latencies=latencies(RESTORING_STAGES),
    )
    return run.run(restoring)


def _check(policy: str, budget_ms: float | None, in_flight: int, most_in_flight: int) -> None:
    check_policy(policy)
    if not 1 <= in_flight <= most_in_flight:
        raise UsageError(
            f"in_flight is {in_flight}, the restorer was opened for 1 to {most_in_flight}; open it "
            "with more frames_in_flight"
        )
    if policy == "deadline" and budget_ms is None:
        raise UsageError("the policy deadline needs a budget; give --budget-ms, such as 33")
