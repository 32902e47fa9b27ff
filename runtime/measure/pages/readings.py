"""What the machine told of itself: clocks, power, temperatures, throttling."""

from collections import Counter
from collections.abc import Sequence

from crispstream.runtime.measure.figures import Moment, Reading

from .chart_lines import Panel
from .frame import section, table
from .words import figure, percent

_UNITS = {"mhz": "MHz", "w": "W", "c": "°C", "mb": "MB", "ms": "ms"}
_SHORT = {"gpu": "GPU", "cpu": "CPU"}
_GROUP = "the machine"


def title_of(fact: str) -> tuple[str, str]:
    """Return (what a fact is called, its unit) from a name that ends in the unit.

    >>> title_of("gpu_clock_mhz"), title_of("load_average"), title_of("stolen_share")
    (('GPU clock', 'MHz'), ('load average', ''), ('stolen', '%'))
    """
    words = fact.split("_")
    unit = "%" if words[-1] == "share" else _UNITS.get(words[-1], "")
    named = words[:-1] if unit and len(words) > 1 else words
    return " ".join(_SHORT.get(word, word) for word in named), unit


def _numbers(readings: Sequence[Reading]) -> dict[str, list[tuple[float, float]]]:
    """Return fact -> (seconds, value) of each reading that has a number for it."""
    found: dict[str, list[tuple[float, float]]] = {}
    for reading in readings:
        for fact, value in reading.facts.items():
            if not isinstance(value, str):
                shown = 100 * value if fact.endswith("_share") else value
                found.setdefault(fact, []).append((reading.seconds, shown))
    return found


def readings_panels(readings: Sequence[Reading]) -> list[Panel]:
    """Return a panel for each fact that changed over the run."""
    panels = []
    for fact, points in _numbers(readings).items():
        values = [value for _, value in points]
        if len(values) > 1 and min(values) < max(values):
            name, unit = title_of(fact)
            told = f"{figure(min(values))} to {figure(max(values))} {unit}".strip()
            panels.append(Panel(name, told, _held(points), _GROUP, unit, cut=False))
    return panels


def _held(points: Sequence[tuple[float, float]]) -> list[Moment]:
    """Return readings as stretches: each holds until the next."""
    ends = [seconds for seconds, _ in points[1:]] + [points[-1][0]]
    return [
        Moment(seconds, max(end - seconds, 0.0), 1, value, value, value)
        for (seconds, value), end in zip(points, ends, strict=True)
    ]


def readings_section(readings: Sequence[Reading]) -> str:
    """Return the table of what was read; nothing where the machine tells nothing."""
    rows = [
        (", ".join(filter(None, title_of(fact))), *_span(points), len(points))
        for fact, points in _numbers(readings).items()
    ]
    said = _words(readings)
    if not rows and not said:
        return ""
    heads = ("reading", "lowest", "middle", "highest", "readings")
    figures = table(heads, rows, kind="many") if rows else ""
    words = table(("state", "readings"), said) if said else ""
    return section(
        "What the machine told", figures + words, "Read between timed frames, never in one."
    )


def _span(points: Sequence[tuple[float, float]]) -> tuple[str, str, str]:
    values = sorted(value for _, value in points)
    return figure(values[0]), figure(values[len(values) // 2]), figure(values[-1])


def _words(readings: Sequence[Reading]) -> list[tuple[str, str]]:
    """Return (fact and what it was, in how many readings) of facts that are words."""
    counts: dict[str, Counter[str]] = {}
    for reading in readings:
        for fact, value in reading.facts.items():
            if isinstance(value, str):
                counts.setdefault(fact, Counter())[value or "none"] += 1
    return [
        (f"{title_of(fact)[0]}: {value}", f"{count} ({percent(count / sum(by_value.values()))})")
        for fact, by_value in counts.items()
        for value, count in by_value.most_common()
    ]
