"""What `crispstream bench` found, as a record: kind "bench"."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crispstream.core.sizes import Size
from crispstream.runtime.measure.figures import Misses, Moment, Observer, Ratio, Reading, Spread
from crispstream.runtime.measure.host import Host

KIND = "bench"
SCHEMA = 1
"""Raised when a key changes its name or meaning, not when one is added."""

SCOPES = {
    "engine": "the network alone, frame and result in the engine's own buffers: on the CPU the "
    "call that runs the graph; with TensorRT the GPU's own clock around the enqueued work; with "
    "ONNX Runtime on CUDA the call, which holds both copies",
    "copies": "a frame in the caller's memory to a restored one there: copy and padding in, the "
    "network, the way back; what Restorer.restore takes, whose result is a view",
    "end_to_end": "captured to written in the stream's loop with its threads: slot, restorer, "
    "queue and an output that throws frames away; one frame under way at a time",
}
"""Scope -> what its times hold."""

TRTEXEC = {
    "engine": "GPU Compute Time of trtexec 10 and 11, with TensorRT",
    "copies": "Latency of trtexec 10 (H2D + GPU compute + D2H); of trtexec 11 only with "
    "--includeDataTransfers, for it leaves copies out and replays CUDA graphs",
    "end_to_end": "trtexec has no such figure",
}
"""Scope -> the figure of trtexec that it is to be compared with."""


@dataclass(frozen=True)
class Settings:
    """What was asked for."""

    size: Size
    """(width, height) of the frames, px."""
    seconds: float
    """How long the timed part was to take, all variants and scopes together."""
    iterations: int
    """Timed frames of each variant and scope at least."""
    warm_up_ms: float
    """How long each variant ran untimed before."""
    block: int
    """Frames of one variant before the next has its turn."""
    paced_fps: float | None = None
    """Frames came at this rate, as from a camera; None: each as soon as the one before was done."""
    idle_ms: float = 0.0
    """Pause after each frame of the free-running mode."""
    deadline_ms: float | None = None
    threads: int | None = None
    """CPU threads of the engine; None: every usable core."""
    confidence: float = 0.99
    """Of the intervals: 0.5 to 0.9999."""
    seed: int = 0
    """Of the bootstrap."""


@dataclass(frozen=True)
class Measured:
    """One scope of one variant."""

    spread: Spread
    rounds_ms: tuple[float, ...]
    """Median of each round's block, in order; rounds are paired over variants. Above 1,024 rounds,
    the means of neighbours."""
    timeline: tuple[Moment, ...]
    frames_per_second: float
    """Frames over the time they took, pauses left out."""
    misses: Misses | None = None
    """None without a deadline."""


@dataclass(frozen=True)
class Variant:
    """One of the things that were compared."""

    name: str
    """As the report calls it, each once: "edge-s int8-cpu"."""
    model: str
    precision: str
    backend: str
    graph_sha256: str
    """Of the ONNX graph; "" for bicubic."""
    why: str
    """What runs it, and why not something faster."""
    warm_up_frames: int
    """All that were not timed, but the first."""
    first_frame_ms: float
    """The very first, which is no part of anything else."""
    scopes: Mapping[str, Measured]
    """Those of `SCOPES`, in their order."""


@dataclass(frozen=True)
class BenchRecord:
    """A whole bench."""

    settings: Settings
    variants: tuple[Variant, ...]
    """The first is the one the others are compared with."""
    ratios: Mapping[str, Mapping[str, Ratio]]
    """Variant -> scope -> its times over those of the first, pair by pair of one round."""
    readings: tuple[Reading, ...]
    observer: Observer
    host: Host
    created: str
    """UTC, ISO 8601."""
    notes: tuple[str, ...] = ()
    """What a reader must know: "the GPU was throttled in 3 of 40 readings"."""
    kind: str = field(default=KIND, init=False)
    schema: int = field(default=SCHEMA, init=False)
