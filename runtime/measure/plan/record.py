"""What `crispstream plan` worked out, as a record: kind "plan"."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crispstream.core.sizes import Size

KIND = "plan"
SCHEMA = 1
"""Raised when a key changes its name or meaning, not when one is added."""


@dataclass(frozen=True)
class Device:
    """What a device can do at best. Dense rates, without sparsity."""

    name: str
    """What `--device` takes: "orin-nano"."""
    title: str
    """In words: "Jetson Orin Nano Super 8 GB, 25 W"."""
    tera_macs: Mapping[str, float]
    """Precision -> 10^12 multiply-accumulates a second (half of the FLOPS or OPS)."""
    memory_gb_per_second: float
    """10^9 bytes a second."""
    memory_gb: float
    """10^9 bytes; of an integrated GPU it is the whole system's."""
    launch_us: float
    """What a layer takes at least, in microseconds: starting a kernel."""
    sources: tuple[str, ...]
    """Where the figures are from, with what was worked out from what."""
    measured: bool = False
    """Whether they were measured on the spot, and so are what real layers reach."""
    kind: str = "gpu"
    """gpu or cpu: what its engine fuses; see `fusing`."""
    passes_gb_per_second: Mapping[str, float] = field(default_factory=dict)
    """Operator -> 10^9 bytes a second that it reaches on small frames, where measured; with "/int8"
    behind it in graphs with INT8 layers. Others: `memory_gb_per_second`."""
    large_passes_gb_per_second: Mapping[str, float] = field(default_factory=dict)
    """The same on large frames, which no cache holds; between, by the logarithm of the pixels."""
    passes_px: tuple[int, int] = (0, 0)
    """Pixels of the small and the large frames."""


@dataclass(frozen=True)
class PlannedLayer:
    """One step of the engine: a layer with what is fused into it."""

    name: str
    """Of the ONNX node that gives it its name."""
    nodes: tuple[str, ...]
    """All nodes in it."""
    op: str
    precision: str
    shape: tuple[int, ...]
    macs: int
    bytes: int
    """Activations read and written, and weights."""
    intensity: float
    """Multiply-accumulates a byte."""
    roof_ms: float
    """No less than this on the device."""
    bound: str
    """What sets it: compute, memory or launch."""
    measured_ms: float | None = None
    """From a profile; None without, or where the engine joined it with another."""
    achieved: float | None = None
    """Roof over measured: 1 is the roof."""

    @property
    def lost_ms(self) -> float | None:
        """What the layer takes beyond its roof."""
        return None if self.measured_ms is None else self.measured_ms - self.roof_ms


@dataclass(frozen=True)
class Sustained:
    """What a model keeps up with on the device, by its roof."""

    model: str
    precision: str
    size: Size
    roof_ms: float
    frames_per_second: float
    """At the roof."""
    expected_frames_per_second: float
    """At the share of the roof that `PlanRecord.expected_share` says."""


@dataclass(frozen=True)
class PlanRecord:
    """A plan: one graph on one device."""

    model: str
    precision: str
    graph_sha256: str
    size: Size
    """(width, height) of the frames, px."""
    device: Device
    layers: tuple[PlannedLayer, ...]
    macs: int
    bytes: int
    roof_ms: float
    """Sum over the layers."""
    expected_share: float
    """Of the roof that such networks reach: an assumption on GPUs, 1 where rates were measured."""
    memory_mb: Mapping[str, float]
    """What for -> 10^6 bytes: weights, activations, frames."""
    sustained: tuple[Sustained, ...]
    created: str
    """UTC, ISO 8601."""
    profile: str = ""
    """Which profile the measured times are of; "" for none."""
    notes: tuple[str, ...] = ()
    kind: str = field(default=KIND, init=False)
    schema: int = field(default=SCHEMA, init=False)
