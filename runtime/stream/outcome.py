"""What a run of the loop came to."""

from collections.abc import Mapping
from dataclasses import dataclass

from crispstream.runtime.latency import Latencies


@dataclass(frozen=True)
class StreamReport:
    """What a run did and how long everything took."""

    frames: int
    """Frames written."""
    dropped: int
    """Frames that a newer one replaced before the restorer was free."""
    damaged: int
    """Pieces of the input that did not decode while later ones did."""
    stopped: bool
    """Whether the run was asked to stop before the source's end."""
    elapsed_seconds: float
    """From the call until the output was finished."""
    frames_per_second: float
    """Frames written over elapsed seconds."""
    first_frame_ms: float
    """From the call until the first frame was written; 0 without frames."""
    cpu_seconds: float
    """CPU time of all threads of the process during the run."""
    latencies: Mapping[str, Mapping[str, float]]
    """Stage -> count, mean_ms, p50_ms, p95_ms, p99_ms, max_ms; in the order of `STAGES`."""
    peak_depths: Mapping[str, int]
    """The most frames that ever waited: before the restorer (`slot`), before the sink (`queue`)."""
    histograms: tuple[Latencies, ...] = ()
    """The distributions behind `latencies`: the loop's and the restorer's."""
