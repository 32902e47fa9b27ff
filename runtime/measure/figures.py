"""Durations as every record of this folder holds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Buckets = tuple[tuple[float, int], ...]
"""(upper edge in ms, count), shortest first; only buckets that are not empty."""

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True)
class Spread:
    """Durations of one kind, in milliseconds."""

    count: int
    mean_ms: float
    min_ms: float
    max_ms: float
    percentiles_ms: Mapping[str, float]
    """Percentile -> duration that so many percent did not exceed (nearest rank): keys "50", "90",
    "95", "99", "99.9", and what was asked for besides. From buckets 2 % wide: within 1 %."""
    jitter_ms: float
    """Mean absolute difference between one duration and the next, as they came."""
    buckets: Buckets = ()

    @property
    def median_ms(self) -> float:
        """The 50th percentile."""
        return self.percentiles_ms["50"]


@dataclass(frozen=True)
class Moment:
    """A stretch of a run."""

    begin_seconds: float
    """Since the run began."""
    seconds: float
    """How long it is."""
    count: int
    mean_ms: float
    min_ms: float
    max_ms: float


@dataclass(frozen=True)
class Reading:
    """What the machine told of itself at one moment, outside of anything timed."""

    seconds: float
    """Since the run began."""
    facts: Mapping[str, float | str]
    """Name with its unit -> value: "gpu_clock_mhz", "gpu_power_w", "gpu_temperature_c",
    "gpu_throttle" (reasons, "" for none), "cpu_clock_mhz", "cpu_temperature_c", "load_average",
    "stolen_share" ... Only what the machine tells."""


@dataclass(frozen=True)
class Ratio:
    """How one series of durations compares with another."""

    median: float
    """Median of the ratios; above 1 is slower."""
    low: float
    high: float
    """Interval of `confidence` around it."""
    pairs: int
    confidence: float = 0.99

    @property
    def verdict(self) -> str:
        """Return "slower", "faster", or "no difference" where the interval holds 1."""
        if self.low > 1:
            return "slower"
        return "faster" if self.high < 1 else "no difference"


@dataclass(frozen=True)
class Misses:
    """Frames that took longer than a deadline."""

    deadline_ms: float
    missed: int
    of: int
    in_a_row: int
    """The longest run of them."""


@dataclass(frozen=True)
class Observer:
    """What measuring itself cost."""

    share: float
    """Of the time that was measured: 0.001 is a thousandth."""
    how: str
    """How that was found out, in a sentence."""
    details: Mapping[str, float] = field(default_factory=dict)
    """Figures behind it; names end in their unit."""


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return JSON content in which numbers that JSON does not know are None.

    >>> finite({"psnr_db": [float("inf"), 40.0]})
    {'psnr_db': [None, 40.0]}
    """
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return None
    return value
