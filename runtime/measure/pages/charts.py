"""Charts as inline SVG: positions across in percent, so that they fit any width.

Without a viewBox nothing is scaled: text keeps its size on a telephone, only bars get shorter.
Every bar has its value as text beside it, and every chart a title and a description.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

from crispstream.runtime.measure.figures import Buckets
from crispstream.runtime.measure.report import STAGE_NOTES, WAITING_STAGES

_ROW_PX = 46
_BAR_PX = 12
_HISTOGRAM_ROW_PX = 84
_HISTOGRAM_PX = 40
_BINS = 72
_AXIS_PX = 24

Row = Mapping[str, float]


def milliseconds(value_ms: float) -> str:
    """Return a duration with three digits that matter.

    >>> milliseconds(0.0123), milliseconds(1.5), milliseconds(48.25), milliseconds(1234.5)
    ('0.012', '1.50', '48.2', '1234')
    """
    if value_ms >= 100:
        return f"{value_ms:.0f}"
    return f"{value_ms:.1f}" if value_ms >= 10 else f"{value_ms:.{2 if value_ms >= 0.1 else 3}f}"


def waterfall(stages: Mapping[str, Row]) -> str:
    """Return the life of a typical frame: the median of each stage, one after the other.

    Medians of stages do not add up to the median of the total, so the total has its own bar
    from the moment of capture, which is where decode ends.
    """
    steps = [name for name in stages if name != "total"]
    starts = dict(zip(steps, _starts([stages[name]["p50_ms"] for name in steps]), strict=True))
    captured_ms = stages["decode"]["p50_ms"] if "decode" in stages else 0.0
    if "total" in stages:
        starts["total"] = captured_ms
    end_ms = max((starts[name] + stages[name]["p50_ms"] for name in starts), default=0.0)
    rows = [
        _bar_row(index, name, starts[name], stages[name]["p50_ms"], end_ms or 1.0)
        for index, name in enumerate(starts)
    ]
    spoken = "; ".join(f"{name} {milliseconds(stages[name]['p50_ms'])} ms" for name in starts)
    title = "Waterfall of the stages"
    return _svg("waterfall", title, f"Medians in order: {spoken}.", _ROW_PX * len(rows), rows)


def _starts(durations_ms: Sequence[float]) -> list[float]:
    return [sum(durations_ms[:index]) for index in range(len(durations_ms))]


def _bar_row(index: int, name: str, start_ms: float, median_ms: float, end_ms: float) -> str:
    top = index * _ROW_PX
    left, width = 100 * start_ms / end_ms, 100 * median_ms / end_ms
    bar_top = top + 24
    return (
        _label(top + 16, name, f"{milliseconds(median_ms)} ms")
        + f'<rect class="track" x="0" y="{bar_top}" width="100%" height="{_BAR_PX}" rx="3"/>'
        + f'<rect class="{_kind(name)}" x="{left:.3f}%" y="{bar_top}" '
        f'width="{max(width, 0.35):.3f}%" height="{_BAR_PX}" rx="2">'
        f"<title>{escape(STAGE_NOTES.get(name, name))}</title></rect>"
    )


def distributions(histograms: Mapping[str, Buckets], stages: Mapping[str, Row]) -> str:
    """Return one histogram a stage over a common logarithmic axis.

    The height is the share of frames, scaled to each stage's own peak; a line marks the median,
    a dashed one the 99th percentile.
    """
    low_ms, high_ms = _decades(histograms)
    rows = [
        _histogram_row(index, name, histograms[name], stages[name], low_ms, high_ms)
        for index, name in enumerate(histograms)
    ]
    height = _HISTOGRAM_ROW_PX * len(rows)
    rows.insert(0, _axis(height, low_ms, high_ms))  # first is behind
    title = "Distribution of each stage's latency"
    spoken = "; ".join(
        f"{name}: median {milliseconds(stages[name]['p50_ms'])} ms, "
        f"99 % within {milliseconds(stages[name]['p99_ms'])} ms"
        for name in histograms
    )
    return _svg("distribution", title, f"{spoken}.", height + _AXIS_PX, rows)


def _decades(histograms: Mapping[str, Buckets]) -> tuple[float, float]:
    """Return the powers of ten around all buckets, from a microsecond up."""
    edges = [upper_ms for buckets in histograms.values() for upper_ms, _ in buckets]
    low = math.floor(math.log10(max(min(edges) * 0.98, 1e-3)))
    high = math.ceil(math.log10(max(max(edges), 2e-3)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _across(value_ms: float, low_ms: float, high_ms: float) -> float:
    """Return the place of a duration on the logarithmic axis, 0 to 1, clipped."""
    place = math.log(max(value_ms, low_ms) / low_ms) / math.log(high_ms / low_ms)
    return min(place, 1.0)


def _binned(buckets: Buckets, low_ms: float, high_ms: float) -> list[int]:
    """Return the counts gathered into the chart's coarser bins."""
    bins = [0] * _BINS
    for upper_ms, count in buckets:
        middle_ms = upper_ms * 0.99
        bins[min(int(_BINS * _across(middle_ms, low_ms, high_ms)), _BINS - 1)] += count
    return bins


def _histogram_row(
    index: int, name: str, buckets: Buckets, row: Row, low_ms: float, high_ms: float
) -> str:
    top = index * _HISTOGRAM_ROW_PX
    base = top + 24 + _HISTOGRAM_PX
    bins = _binned(buckets, low_ms, high_ms)
    peak = max(bins)
    bars = "".join(
        f'<rect class="{_kind(name)}" x="{100 * place / _BINS:.3f}%" '
        f'y="{base - _HISTOGRAM_PX * count / peak:.1f}" width="{100 / _BINS:.3f}%" '
        f'height="{_HISTOGRAM_PX * count / peak:.1f}"/>'
        for place, count in enumerate(bins)
        if count
    )
    values = f"p50 {milliseconds(row['p50_ms'])} · p99 {milliseconds(row['p99_ms'])} ms"
    marks = "".join(
        f'<line class="{key}" x1="{place:.3f}%" x2="{place:.3f}%" y1="{base - _HISTOGRAM_PX}" '
        f'y2="{base + 5}"/>'
        for key in ("p50", "p99")
        for place in [100 * _across(row[f"{key}_ms"], low_ms, high_ms)]
    )
    ground = f'<line class="axis" x1="0" x2="100%" y1="{base}" y2="{base}"/>'
    return _label(top + 16, name, values) + bars + ground + marks


def _axis(top: int, low_ms: float, high_ms: float) -> str:
    """Return the powers of ten below the histograms, with hairlines up through all of them."""
    decades = round(math.log10(high_ms / low_ms))
    parts = []
    for step in range(decades + 1):
        place = 100 * step / decades
        anchor = "start" if step == 0 else "end" if step == decades else "middle"
        text = f"{low_ms * 10**step:g}"
        parts.append(
            f'<line class="grid" x1="{place:.3f}%" x2="{place:.3f}%" y1="0" y2="{top}"/>'
            f'<text class="tick" x="{place:.3f}%" y="{top + 14}" text-anchor="{anchor}">'
            f"{text}</text>"
        )
    return "".join(parts)


def _label(baseline: int, name: str, value: str) -> str:
    return (
        f'<text class="name" x="0" y="{baseline}">{escape(name)}</text>'
        f'<text class="value" x="100%" y="{baseline}" text-anchor="end">{escape(value)}</text>'
    )


def _kind(stage: str) -> str:
    """Return the style class of a stage: work, waiting, or the total."""
    return "wait" if stage in WAITING_STAGES else "all" if stage == "total" else "work"


def _svg(name: str, title: str, description: str, height_px: int, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" role="img" width="100%" height="{height_px}" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>{"".join(parts)}</svg>'
    )
