"""How durations are spread: one histogram a row over a common logarithmic axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crispstream.runtime.measure.figures import Buckets, Spread

from .charts import Strip, strips
from .scales import Log, log_around
from .words import milliseconds

_PX = 44
_TALLEST_PX = 36
_BINS = 90
_BUCKET = 1.02
"""How much wider a bucket's upper edge is than its lower one (`runtime.latency`)."""


@dataclass(frozen=True)
class Histogram:
    """What one row shows."""

    name: str
    buckets: Buckets
    p50_ms: float
    p99_ms: float
    kind: str = "work"
    """Style class of its bars."""
    group: str = ""


def histogram_of(name: str, spread: Spread, kind: str = "work", group: str = "") -> Histogram:
    """Return the row of a spread."""
    p50_ms, p99_ms = spread.median_ms, spread.percentiles_ms.get("99", spread.max_ms)
    return Histogram(name, spread.buckets, p50_ms, p99_ms, kind, group)


def distributions(title: str, histograms: Sequence[Histogram]) -> str:
    """Return the chart; rows without counts are left out, "" where all are.

    The height is the share of frames, scaled to each row's own peak; a line marks the median,
    a dashed one the 99th percentile.
    """
    shown = [row for row in histograms if row.buckets]
    if not shown:
        return ""
    edges = [edge for row in shown for edge in (row.buckets[0][0] * 0.98, row.buckets[-1][0])]
    scale = log_around(edges)
    return strips(title, [_strip(row, scale) for row in shown], scale, "ms")


def _strip(row: Histogram, scale: Log) -> Strip:
    value = f"p50 {milliseconds(row.p50_ms)} · p99 {milliseconds(row.p99_ms)} ms"
    return Strip(row.name, value, _bars(row, scale) + _marks(row, scale), _PX, row.group)


def _bars(row: Histogram, scale: Log) -> str:
    bins = _binned(row.buckets, scale)
    peak = max(bins) or 1.0
    heights = [_TALLEST_PX * count / peak for count in bins]
    return "".join(
        f'<rect class="{row.kind}" x="{100 * place / _BINS:.3f}%" y="{_PX - high:.1f}" '
        f'width="{100 / _BINS:.3f}%" height="{high:.1f}"/>'
        for place, high in enumerate(max(high, 1.0) if high else 0.0 for high in heights)
        if high
    )


def _marks(row: Histogram, scale: Log) -> str:
    lines = "".join(
        f'<line class="{kind}" x1="{place:.3f}%" x2="{place:.3f}%" y1="2" y2="{_PX}"/>'
        for kind, value_ms in (("p50", row.p50_ms), ("p99", row.p99_ms))
        for place in [100 * scale.place(value_ms)]
    )
    return f'<line class="axis" x1="0" x2="100%" y1="{_PX}" y2="{_PX}"/>{lines}'


def _binned(buckets: Buckets, scale: Log) -> list[float]:
    """Return the counts in the chart's bins; a bucket that reaches over several is shared out.

    Bins and buckets are about as wide, so whole buckets would beat against the bins.
    """
    bins = [0.0] * _BINS
    for upper_ms, count in buckets:
        begin, end = (_BINS * scale.place(edge_ms) for edge_ms in (upper_ms / _BUCKET, upper_ms))
        if end <= begin:  # below the scale
            bins[0] += count
        for index in range(int(begin), min(math.ceil(end), _BINS)):
            covered = min(end, index + 1) - max(begin, index)
            bins[index] += count * covered / (end - begin)
    return bins
