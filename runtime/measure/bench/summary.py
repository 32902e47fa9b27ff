"""A bench at a terminal: a table for each scope, comparisons in words, and what to know of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from crispstream.core.sizes import size_text
from crispstream.runtime.measure.figures import Misses, Ratio, Reading

from .record import SCOPES, TRTEXEC, BenchRecord, Measured, Variant

if TYPE_CHECKING:
    from rich.console import Console

SCOPE_NAMES = {"engine": "engine alone", "copies": "with copies", "end_to_end": "end to end"}
"""Scope -> what people read."""

WIDTH = 80
_LEAST_NAME = 16
_SHOWN = ("50", "90", "95", "99")
"""Percentiles of the table, beside what was asked for."""
_USUAL = (*_SHOWN, "99.9")


def print_bench(record: BenchRecord, console: "Console") -> None:
    """Print a bench so that it fits 80 columns."""
    console.print(_title(record), style="italic", highlight=False, markup=False)
    lines = []
    for scope in SCOPE_NAMES:
        if any(scope in variant.scopes for variant in record.variants):
            lines += ["", *table_of(record, scope)]
    for line in (*lines, "", *lines_of(record)):
        console.print(line, highlight=False, markup=False)


def _title(record: BenchRecord) -> str:
    settings = record.settings
    pace = "each frame as soon as the one before was done"
    if settings.paced_fps is not None:
        pace = f"at {settings.paced_fps:g} frames/s, as from a camera"
    elif settings.idle_ms:
        pace = f"{settings.idle_ms:g} ms after the one before"
    return f"frames of {size_text(settings.size)} px, {pace}; times in ms"


def table_of(record: BenchRecord, scope: str, width: int = WIDTH) -> list[str]:
    """Return the table of one scope, a line for each variant; two where its name is long."""
    keys = _percentiles(record)
    rows = [
        (variant.name, _cells(variant.scopes[scope], keys))
        for variant in record.variants
        if scope in variant.scopes
    ]
    heads = [*(f"p{key}" for key in keys), "max", "jitter", "frames/s"]
    widths = [
        max(map(len, column)) for column in zip(heads, *(cells for _, cells in rows), strict=True)
    ]
    room = max(_LEAST_NAME, width - sum(each + 1 for each in widths))
    longest = max(len(SCOPE_NAMES[scope]), *(len(name) for name, _ in rows))
    first = min(room, longest)
    lines = [_line(SCOPE_NAMES[scope], heads, first, widths)]
    lines.append("-" * len(lines[0]))
    for name, cells in rows:
        if len(name) > first:
            lines.append(name)
            name = ""
        lines.append(_line(name, cells, first, widths))
    return lines


def _line(name: str, cells: Sequence[str], first: int, widths: Sequence[int]) -> str:
    figures = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{name:<{first}} {' '.join(figures)}"


def _percentiles(record: BenchRecord) -> Sequence[str]:
    told = {
        key
        for variant in record.variants
        for measured in variant.scopes.values()
        for key in measured.spread.percentiles_ms
    }
    return sorted({*_SHOWN, *told.difference(_USUAL)}, key=float)


def _cells(measured: Measured, keys: Sequence[str]) -> list[str]:
    spread = measured.spread
    times = [spread.percentiles_ms.get(key, spread.max_ms) for key in keys]
    times += [spread.max_ms, spread.jitter_ms]
    return [*map(_ms, times), f"{measured.frames_per_second:.1f}"]


def _ms(milliseconds: float) -> str:
    """Return a time with three digits that count.

    >>> _ms(0.1234), _ms(12.34), _ms(1234.5)
    ('0.123', '12.3', '1234')
    """
    digits = 3 if milliseconds < 1 else 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:.{digits}f}"


def lines_of(record: BenchRecord) -> list[str]:
    """Return all but the tables, a line each; the first are what came out."""
    return [
        *_comparisons(record),
        *_misses(record),
        *(f"note: {note}" for note in record.notes),
        "",
        *_told_of_scopes(record),
        "",
        *_how(record),
        *_machine(record.readings),
    ]


def _comparisons(record: BenchRecord) -> Iterator[str]:
    found = {
        (SCOPE_NAMES[scope], name): ratios[scope]
        for scope in SCOPE_NAMES
        for name, ratios in record.ratios.items()
        if scope in ratios
    }
    if found:
        ratio = next(iter(found.values()))
        yield (
            f"time over that of {record.variants[0].name}, {100 * ratio.confidence:g} % interval, "
            f"{ratio.pairs} rounds:"
        )
        yield from _aligned({key: compared(each) for key, each in found.items()})


def compared(ratio: Ratio) -> str:
    """Return a comparison in words.

    >>> compared(Ratio(0.61, 0.6, 0.62, 40))
    '0.610 (0.600 to 0.620) faster'
    """
    return f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f}) {ratio.verdict}"


def _misses(record: BenchRecord) -> Iterator[str]:
    found = {
        (SCOPE_NAMES[scope], variant.name): variant.scopes[scope].misses
        for scope in SCOPE_NAMES
        for variant in record.variants
        if scope in variant.scopes
    }
    told = {key: _missed(misses) for key, misses in found.items() if misses is not None}
    if told:
        yield f"frames over {record.settings.deadline_ms:g} ms:"
        yield from _aligned(told)


def _missed(misses: Misses) -> str:
    if not misses.missed:
        return f"none of {misses.of}"
    share = 100 * misses.missed / misses.of
    return f"{misses.missed} of {misses.of} ({share:.2g} %), {misses.in_a_row} in a row"


def _aligned(told: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Give lines in columns; a name that is too long for them has a line of its own."""
    room = WIDTH - 3 - max(map(len, told.values())) - max(map(len, SCOPE_NAMES.values())) - 2
    width = min(room, max(len(name) for _, name in told))
    before = ""
    for (scope, name), words in told.items():
        head = f"  {'' if scope == before else scope:<12}"
        before = scope
        if len(name) > width:
            yield f"{head} {name}"
            head, name = f"  {'':<12}", ""
        yield f"{head} {name:<{width}} {words}"


def _told_of_scopes(record: BenchRecord) -> Iterator[str]:
    for scope, name in SCOPE_NAMES.items():
        if any(scope in variant.scopes for variant in record.variants):
            yield f"{name}: {SCOPES[scope]}. Beside trtexec: {TRTEXEC[scope]}."


def _how(record: BenchRecord) -> Iterator[str]:
    for variant in record.variants:
        yield f"{variant.name}: {variant.why}; {_began(variant)}"
    settings = record.settings
    counts = _counts(record)
    yield (
        f"turns: {settings.block} frames of one variant, then of the next; "
        f"{counts // settings.block} rounds, {counts} frames of each variant and scope; asked for "
        f"{settings.seconds:g} s and {settings.iterations} frames at least"
    )
    observer = record.observer
    yield f"measuring took {100 * observer.share:.2g} % of the shortest median: {observer.how}"


def _began(variant: Variant) -> str:
    return f"first frame {_ms(variant.first_frame_ms)} ms, {variant.warm_up_frames} frames untimed"


def _counts(record: BenchRecord) -> int:
    """Return how many frames each variant and scope has, after a stop the fewest."""
    counts = (each.spread.count for variant in record.variants for each in variant.scopes.values())
    return min(counts, default=0)


_FACTS = {
    "gpu_name": ("GPU", ""),
    "gpu_driver": ("driver", ""),
    "power_mode": ("power mode", ""),
    "gpu_pstate": ("state", ""),
    "gpu_clock_mhz": ("GPU clock", " MHz"),
    "gpu_memory_clock_mhz": ("memory clock", " MHz"),
    "gpu_power_w": ("power", " W"),
    "gpu_temperature_c": ("GPU", " C"),
    "cpu_clock_mhz": ("CPU clock", " MHz"),
    "cpu_temperature_c": ("CPU", " C"),
    "load_average": ("load average", ""),
    "others_share": ("other processes", " of the cores"),
    "stolen_share": ("stolen", " of the cores"),
}
"""Fact -> what it is called, and its unit; what only matters when it is odd is told in notes."""


def _machine(readings: Sequence[Reading]) -> Iterator[str]:
    told = {name: _range([r.facts[name] for r in readings if name in r.facts]) for name in _FACTS}
    parts = [f"{_FACTS[name][0]} {value}{_FACTS[name][1]}" for name, value in told.items() if value]
    if not parts:
        yield "the machine tells nothing of its clocks, temperature and load"
        return
    throttled = _throttled(readings)
    times = "once" if len(readings) == 1 else f"{len(readings)} times, between rounds"
    yield f"the machine ({times}): {', '.join(parts)}{throttled}"


def _throttled(readings: Sequence[Reading]) -> str:
    told = [
        reading.facts["gpu_throttle"] for reading in readings if "gpu_throttle" in reading.facts
    ]
    if not told:
        return ""
    slowed = sum(bool(reasons) for reasons in told)
    return f"; the GPU was throttled in {slowed} of {len(told)} readings"


def _range(values: Sequence[float | str]) -> str:
    """Return one value, or the lowest and the highest; "" for none."""
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values):
        return " and ".join(sorted({str(value) for value in values}))
    if not numbers:
        return ""
    low, high = f"{min(numbers):.4g}", f"{max(numbers):.4g}"
    return low if low == high else f"{low} to {high}"
