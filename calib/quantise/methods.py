"""From a histogram to the range that INT8 shall cover: max, percentile, MSE, entropy.

Each method returns a `Range`. What lies outside is clipped; a narrower range has finer steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from .histogram import Floats, Histogram

PERCENTILE = 99.99
"""Share of the values, in percent, that the method percentile keeps. Measured against others in
benchmarks/calibration_methods.py."""

_SHARES = np.linspace(1.0, 0.1, 91)  # of the full range, for the search of MSE
_KL_BINS = 2048
_KL_LEVELS = 128  # of the magnitude, as NVIDIA's entropy calibration has it


@dataclass(frozen=True)
class Range:
    """What the quantised values of a tensor span. Zero is always part of it."""

    amax: float
    """Symmetric INT8 covers -amax to amax."""
    low: float
    """Unsigned 8-bit covers low..high; at most 0."""
    high: float
    """At least 0."""


def range_max(seen: Histogram) -> Range:
    """Cover all that was seen."""
    return Range(max(-seen.low, seen.high), seen.low, seen.high)


def range_percentile(seen: Histogram) -> Range:
    """Leave out the farthest values: `PERCENTILE` of them stay, by magnitude or at each end."""
    values, counts = seen.magnitudes()
    amax = float(np.interp(PERCENTILE / 100, np.cumsum(counts) / counts.sum(), values))
    shares = np.cumsum(seen.counts) / seen.counts.sum()
    ends = ((100 - PERCENTILE) / 100, PERCENTILE / 100)
    low, high = np.interp(ends, shares, seen.centres)
    return Range(amax, max(seen.low, min(0.0, float(low))), min(seen.high, max(0.0, float(high))))


def range_mse(seen: Histogram) -> Range:
    """Make the mean square of rounding and clipping smallest, by trying shares of the range."""
    full = range_max(seen)
    used = seen.counts > 0
    values, counts = seen.centres[used], seen.counts[used]
    symmetric = [_square(values, counts, -full.amax * s, full.amax * s, 254) for s in _SHARES]
    affine = [_square(values, counts, full.low * s, full.high * s, 255) for s in _SHARES]
    share = float(_SHARES[int(np.argmin(affine))])
    amax = full.amax * float(_SHARES[int(np.argmin(symmetric))])
    return Range(amax, full.low * share, full.high * share)


def range_entropy(seen: Histogram) -> Range:
    """Lose the least information, by Kullback-Leibler divergence of the magnitudes.

    S. Migacz, "8-bit Inference with TensorRT", GTC 2017.
    """
    values, counts = seen.magnitudes()
    edge = float(values[-1] + values[0])
    coarse = counts.reshape(_KL_BINS, -1).sum(1)
    coarse[0] = coarse[1]  # zeros, of which ReLU makes most, cost nothing in any range
    last = int(np.flatnonzero(coarse)[-1]) + 1
    ends = range(min(_KL_LEVELS, last), last + 1)
    best = min(ends, key=lambda end: _divergence(coarse, end))
    amax = min(edge * best / _KL_BINS, max(-seen.low, seen.high))
    return Range(amax, max(seen.low, -amax), min(seen.high, amax))


METHODS: Mapping[str, Callable[[Histogram], Range]] = MappingProxyType(
    {
        "mse": range_mse,
        "percentile": range_percentile,
        "entropy": range_entropy,
        "max": range_max,
    }
)
"""Name -> method; the first is the default."""


def _square(values: Floats, counts: Floats, low: float, high: float, steps: int) -> float:
    """Return the summed square error of `steps` equal steps from low to high."""
    step = (high - low) / steps
    offset = np.round(low / step)
    whole = np.clip(np.round(values / step), offset, offset + steps)
    return float(counts @ np.square(whole * step - values))


def _divergence(counts: Floats, end: int) -> float:
    """Return the divergence between magnitudes clipped after `end` bins and their 128 levels."""
    clipped = counts[:end].copy()
    clipped[-1] += counts[end:].sum()
    level = np.arange(end) * _KL_LEVELS // end
    filled = counts[:end] > 0
    totals = np.bincount(level, counts[:end], _KL_LEVELS)
    spread = np.maximum(np.bincount(level, filled, _KL_LEVELS), 1)
    coarse = np.where(filled, (totals / spread)[level], 0.0)
    there = clipped > 0
    p = clipped[there] / clipped.sum()
    # Over all values: what is clipped is missing here, or a range of one bin would lose nothing.
    q = np.maximum(coarse[there] / counts.sum(), 1e-12)
    return float((p * np.log(p / q)).sum())
