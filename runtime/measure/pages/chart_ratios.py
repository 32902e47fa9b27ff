"""Ratios as intervals around 1: a point, a bar, and the line that means no difference."""

from collections.abc import Sequence
from dataclasses import dataclass

from crispstream.runtime.measure.figures import Ratio

from .charts import Strip, mark, strips
from .scales import Scale, linear_around, log_around
from .words import times

_PX = 26
_MIDDLE_PX = 14
_MOST_PAIRS = 120
_WIDE = 4.0
"""From this ratio of the largest to the smallest on, equal ratios are equal lengths."""


@dataclass(frozen=True)
class Compared:
    """One row: a ratio, and the pairs it is the median of where they are known."""

    name: str
    ratio: Ratio
    pairs: Sequence[float] = ()
    group: str = ""


def ratios(title: str, rows: Sequence[Compared]) -> str:
    """Return the chart; "" without rows."""
    if not rows:
        return ""
    scale = _scale(rows)
    return strips(title, [_strip(row, scale) for row in rows], scale, "")


def _scale(rows: Sequence[Compared]) -> Scale:
    ends = [1.0, *(end for row in rows for end in (row.ratio.low, row.ratio.high))]
    ends += [pair for row in rows for pair in _within(row)]
    if max(ends) > _WIDE * max(min(ends), 1e-3):
        return log_around([*ends, max(ends) * 1.02])
    return linear_around([min(ends) - 0.005, max(ends) + 0.005], zero_below=0)


def _within(row: Compared) -> list[float]:
    """Return the pairs between their 5th and 95th percentile, not more than can be seen."""
    ordered = sorted(row.pairs)
    cut = len(ordered) // 20
    kept = ordered[cut : len(ordered) - cut]
    return kept[:: len(kept) // _MOST_PAIRS + 1]


def _strip(row: Compared, scale: Scale) -> Strip:
    ratio = row.ratio
    value = f"{times(ratio.median)} ({times(ratio.low)} to {times(ratio.high)}) {ratio.verdict}"
    one = 100 * scale.place(1.0)
    low, high = (100 * scale.place(end) for end in (ratio.low, ratio.high))
    ticks = "".join(
        f'<line class="pair" x1="{place:.2f}%" x2="{place:.2f}%" y1="{_MIDDLE_PX - 9}" '
        f'y2="{_MIDDLE_PX + 9}"/>'
        for place in (100 * scale.place(pair) for pair in _within(row))
    )
    kind = ratio.verdict.replace(" ", "-")
    parts = (
        f'<line class="one" x1="{one:.3f}%" x2="{one:.3f}%" y1="0" y2="{_PX}"/>{ticks}'
        f'<line class="interval {kind}" x1="{low:.3f}%" x2="{high:.3f}%" y1="{_MIDDLE_PX}" '
        f'y2="{_MIDDLE_PX}"/>'
        f"{mark(scale.place(ratio.median), _MIDDLE_PX, _POINT, f'point {kind}')}"
    )
    return Strip(row.name, value, parts, _PX, row.group)


_POINT = '<circle r="4.5"/>'
