"""The sections on the stages of a stream, as the pages of `run` and of `profile` have them."""

from collections.abc import Iterable, Mapping, Sequence

from crispstream.runtime.measure.report import (
    NEXT_FRAME,
    NEXT_FRAME_NOTE,
    STAGE_NOTES,
    WAITING_STAGES,
)

from . import frame
from .chart_spread import Histogram, distributions
from .charts import waterfall

_KEY_WORK = ("work", "work on the frame")
_KEY_WAIT = ("wait", "waiting in a queue")
_KEY_TOTAL = ("all", "captured to written")


def waterfall_section(medians_ms: Mapping[str, float]) -> str:
    """Return the section of the waterfall; stages by the names that people read."""
    shown = {name: median_ms for name, median_ms in medians_ms.items() if name != NEXT_FRAME}
    keys = [_KEY_WORK]  # the camera's pace is no part of a frame's life
    keys += [_KEY_WAIT] * any(stage in WAITING_STAGES for stage in shown)
    keys += [_KEY_TOTAL] * ("total" in shown)
    return frame.section(
        "The life of a typical frame",
        f"{frame.legend(*keys)}{waterfall(shown)}",
        "Each bar is the median of a stage and starts where the one before it ended. Frames "
        "overlap: while one is in the network, the next is decoded and the last is encoded. A "
        "file is read ahead, so its frames wait as long as the queues are deep. The median "
        "total is measured on its own; medians need not add up to it.",
    )


def distribution_section(rows: Sequence[Histogram]) -> str:
    """Return the section of the stages' distributions; nothing without any counts."""
    chart = distributions("Distribution of each stage's latency", rows)
    if not chart:
        return ""
    return frame.section(
        "How latency is spread",
        frame.legend(("rule", "median (p50)"), ("rule dashed", "99th percentile")) + chart,
        "Across: the duration in ms, on a logarithmic axis that all stages share. Up: the share of "
        "frames, each stage to its own peak.",
    )


def stage_definitions(stages: Iterable[str]) -> dict[str, object]:
    """Return what the durations of stages hold; stages by the names that people read."""
    notes = {**STAGE_NOTES, NEXT_FRAME: NEXT_FRAME_NOTE}
    return {stage: notes.get(stage, "") for stage in stages}
