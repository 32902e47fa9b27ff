"""What `crispstream profile` found, as a record: kind "profile"."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crispstream.core.sizes import Size
from crispstream.runtime.measure.figures import Moment, Observer, Spread
from crispstream.runtime.measure.host import Host

KIND = "profile"
SCHEMA = 1
"""Raised when a key changes its name or meaning, not when one is added."""


@dataclass(frozen=True)
class LayerTime:
    """What one layer of the engine took, and which layers of the graph it is."""

    name: str
    """As the engine calls it."""
    nodes: tuple[str, ...]
    """ONNX nodes that it computes; empty for those the engine added itself, such as reorders."""
    op: str
    """The engine's operator or layer type."""
    precision: str
    """What it computes in; "" where the engine does not tell."""
    shape: tuple[int, ...]
    """Of its output; () where the engine does not tell."""
    spread: Spread
    share: float
    """Of the time of all layers together, medians."""
    macs: int = 0
    """Multiply-accumulates for one frame, of the nodes together."""
    bytes: int = 0
    """Activations read and written, and weights, of the nodes together."""


@dataclass(frozen=True)
class LayerProfile:
    """The layers of an engine, timed in runs of their own: timing layers costs time."""

    how: str
    """What timed them: "ONNX Runtime's profiler", "TensorRT's IProfiler"."""
    frames: int
    layers: tuple[LayerTime, ...]
    """In order of execution."""
    engine_ms: float
    """Median of a whole frame while layers were timed."""
    plain_ms: float
    """Median of a whole frame without, in turns with the others."""

    @property
    def layers_ms(self) -> float:
        """Sum of the layers' medians."""
        return sum(layer.spread.median_ms for layer in self.layers)

    @property
    def added_share(self) -> float:
        """Share of the layers' time in what the engine added: reorders, copies, casts."""
        return sum(layer.share for layer in self.layers if not layer.nodes)


@dataclass(frozen=True)
class Depths:
    """How many frames waited at one place, sampled whenever one came or went."""

    name: str
    """`slot`: before the restorer; `queue`: before a sink."""
    mean: float
    """Over time."""
    max: int
    moments: tuple[Moment, ...] = ()
    """Depth over time; its `_ms` fields hold frames here."""


@dataclass(frozen=True)
class ProfileRecord:
    """The profile of a stream."""

    run: Mapping[str, Any]
    """What `crispstream run --report` writes: stages, drops by cause, host, distributions."""
    graph_sha256: str
    """Of the ONNX graph that ran; "" for bicubic."""
    size: Size
    """(width, height) of the frames as the graph took them, after padding, px."""
    stages: Mapping[str, Spread]
    """Stage -> its durations; `measure.report.STAGE_NOTES` says what they hold."""
    timeline: tuple[Moment, ...]
    """Captured to written, over the run."""
    depths: tuple[Depths, ...]
    engine_ms: float
    """Median of the network in this run: by the device's clock where it has one, else the time
    that the loop was held by it."""
    end_to_end_ms: float
    """Median from captured to written."""
    engine_busy: float
    """Share of the elapsed time in which the loop, or the device, was with the network."""
    layers: LayerProfile | None
    """None where it was not asked for, or nothing can tell."""
    observer: Observer
    host: Host
    created: str
    """UTC, ISO 8601."""
    notes: tuple[str, ...] = ()
    kind: str = field(default=KIND, init=False)
    schema: int = field(default=SCHEMA, init=False)

    @property
    def efficiency(self) -> float:
        """How much of the time is the network's: 1 where nothing else takes any.

        Of a stream that may drop frames, the share of a frame's way from captured to written. Where
        all are kept they wait as long as queues are deep, and what counts is how many come through:
        the share of the elapsed time.
        """
        if self.run["policy"] == "all":
            return min(1.0, self.engine_busy)
        return self.engine_ms / self.end_to_end_ms if self.end_to_end_ms else 0.0
