"""The sections on the stages of a stream, as the pages of `run` and of `profile` have them."""

from collections.abc import Iterable, Mapping, Sequence

from crispstream.runtime.measure.report import (
    NEXT_FRAME,
    NEXT_FRAME_NOTE,
    STAGE_NOTES,
)

from . import frame
from .chart_spread import Histogram, distributions
from .charts import IN_FLIGHT, IN_FLIGHT_NOTE, stage_kind, waterfall

_KEY_WORK = ("work", "work on the frame")
_KEY_WAIT = ("wait", "waiting in a queue")
_KEY_FLIGHT = ("flight", "in flight, while the loop is with another frame")
_KEY_TOTAL = ("all", "captured to written")
_UNTOLD = 0.02
"""Up to this share of the total, what is in no stage is not worth a bar."""


def waterfall_section(means_ms: Mapping[str, float]) -> str:
    """Return the section of the waterfall; stages by the names that people read."""
    shown = with_in_flight({stage: ms for stage, ms in means_ms.items() if stage != NEXT_FRAME})
    keys = [_KEY_WORK]  # the camera's pace is no part of a frame's life
    keys += [_KEY_WAIT] * any(stage_kind(stage) == "wait" for stage in shown)
    keys += [_KEY_FLIGHT] * (IN_FLIGHT in shown)
    keys += [_KEY_TOTAL] * ("total" in shown)
    return frame.section(
        "The life of a frame, on average",
        f"{frame.legend(*keys)}{waterfall(shown)}",
        "Each bar is the mean of a stage and starts where the one before it ended: means, unlike "
        "medians, add up to that of the total. Frames overlap: while one is in the network, the "
        "next is decoded and the last is encoded. A file is read ahead, so its frames wait as "
        "long as the queues are deep.",
    )


def with_in_flight(means_ms: Mapping[str, float]) -> dict[str, float]:
    """Return the means of the stages with what of the total is in none of them, behind `infer`.

    While several frames are in flight, one is in the engine, or computed, while the loop is with
    another, and no stage holds that time. Up to `_UNTOLD` of the total it is left out.

    >>> with_in_flight({"decode": 5.0, "wait": 1.0, "infer": 6.0, "write": 1.0, "total": 10.0})
    {'decode': 5.0, 'wait': 1.0, 'infer': 6.0, 'in flight, loop with another frame': 2.0, \
'write': 1.0, 'total': 10.0}
    """
    inside = (ms for stage, ms in means_ms.items() if stage not in ("decode", NEXT_FRAME, "total"))
    rest_ms = means_ms.get("total", 0.0) - sum(inside)
    if rest_ms <= _UNTOLD * means_ms.get("total", 0.0):
        return dict(means_ms)
    stages = list(means_ms.items())
    place = list(means_ms).index("infer") + 1 if "infer" in means_ms else 0
    return dict([*stages[:place], (IN_FLIGHT, rest_ms), *stages[place:]])


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
    notes = {**STAGE_NOTES, NEXT_FRAME: NEXT_FRAME_NOTE, IN_FLIGHT: IN_FLIGHT_NOTE}
    return {stage: notes.get(stage, "") for stage in stages}
