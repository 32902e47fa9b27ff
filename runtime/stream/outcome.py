"""What a run of the loop came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crispstream.runtime.latency import Latencies

from .health import Event


@dataclass(frozen=True)
class SinkOutcome:
    """What became of one sink."""

    name: str
    """Its address, without credentials."""
    written: int
    """Frames it took."""
    dropped: int
    """Restored frames it did not: it was busy, or had failed."""
    peak_depth: int
    """The most frames that ever waited for it."""
    error: str
    """Why it failed; empty if it did not."""
    latencies: Mapping[str, Mapping[str, float]]
    """`write_wait`, `write` and `total`, as in `StreamReport`."""
    figures: Mapping[str, float]
    """What it measured itself."""


@dataclass(frozen=True)
class StreamReport:
    """What a run did and how long everything took.

    captured = frames + dropped + those that waited at the stop; frames = written + dropped of
    each sink.
    """

    frames: int
    """Frames restored."""
    dropped: int
    """Frames that were captured and came too late to be restored: by the slot or the deadline."""
    damaged: int
    """Pieces of the input that did not decode while later ones did."""
    stopped: bool
    """Whether the run was asked to stop before the source's end."""
    elapsed_seconds: float
    """From the call until the output was finished."""
    frames_per_second: float
    """Frames restored over elapsed seconds."""
    first_frame_ms: float
    """From the call until the first frame was written; 0 without frames."""
    cpu_seconds: float
    """CPU time of all threads of the process during the run."""
    latencies: Mapping[str, Mapping[str, float]]
    """Stage -> count, mean_ms, p50_ms, p95_ms, p99_ms, max_ms; in the order of `STAGES`. Those of
    writing are the first sink's."""
    peak_depths: Mapping[str, int]
    """The most frames that ever waited: before the restorer (`slot`), before any sink (`queue`)."""
    histograms: tuple[Latencies, ...] = ()
    """The distributions behind `latencies`."""
    live: bool = False
    """Whether frames came when the world made them."""
    policy: str = "all"
    """One of `slot.POLICIES`."""
    captured: int = 0
    """Frames the source gave."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """Cause -> frames: `slot`, `deadline`, `stop` (see `ledger.CAUSES`); `source`, which it knows
    it never gave and are no part of `captured`; `sink`, restored and not taken, over all sinks
    that may not skip."""
    late: int = 0
    """Frames restored later than the budget; 0 without one."""
    missed_in_a_row: int = 0
    """The longest run of frames late or dropped."""
    intervals: Mapping[str, float] = field(default_factory=dict)
    """From one frame restored to the next: count, mean_ms, p50_ms ... as for a stage."""
    jitter_ms: float = 0.0
    """How unevenly frames came out against their own times: smoothed as in RFC 3550, 6.4.1."""
    state: str = ""
    """Of the source at the end; one of `health.STATES`."""
    reconnects: int = 0
    """How often the source came back."""
    events: tuple[Event, ...] = ()
    """The source's latest changes of state."""
    sinks: tuple[SinkOutcome, ...] = ()
    """One an output, in the order given."""
