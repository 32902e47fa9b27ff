"""What a bench came to, in sentences."""

from crispstream.runtime.measure.bench.record import SCOPES, BenchRecord
from crispstream.runtime.measure.figures import Ratio

from .frame import Html, text
from .words import joined, milliseconds, percent, times

SCOPE_NAMES = {"engine": "engine alone", "copies": "with copies", "end_to_end": "end to end"}
"""Scope -> what people read."""


def verdicts(record: BenchRecord) -> list[Html]:
    """Return a sentence for each scope in which variants were compared, as markup."""
    lines = []
    for scope in SCOPES:
        compared = {
            name: by_scope[scope] for name, by_scope in record.ratios.items() if scope in by_scope
        }
        if compared and scope in record.variants[0].scopes:
            said = _verdict(record, scope, compared)
            lines.append(Html(f'<span class="soft">{_capital(SCOPE_NAMES[scope])}</span> {said}'))
    return lines


def _capital(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}:"


def _verdict(record: BenchRecord, scope: str, compared: dict[str, Ratio]) -> str:
    """Return who is fastest; those whose intervals overlap with the fastest's share the place."""
    first = record.variants[0].name
    beside = f"{text(first)} at {_median(record, first, scope)}"
    faster = [ratio for ratio in compared.values() if ratio.verdict == "faster"]
    if not faster:
        return _unbeaten(beside, compared)
    best = min(faster, key=lambda ratio: ratio.median)
    level = {
        name: ratio
        for name, ratio in compared.items()
        if ratio.verdict == "faster" and ratio.low <= best.high
    }
    names = [f"<strong>{text(name)}</strong> at {_median(record, name, scope)}" for name in level]
    verb = "is fastest, and takes" if len(level) == 1 else "are fastest, and take"
    return f"{joined(names)} {verb} {_intervals(level)} times as long as {beside}."


def _unbeaten(beside: str, compared: dict[str, Ratio]) -> str:
    """Return what there is to say where nothing is faster than the first."""
    slower = {name: ratio for name, ratio in compared.items() if ratio.verdict == "slower"}
    same = {name: ratio for name, ratio in compared.items() if name not in slower}
    said = []
    if same:
        said.append(f"no difference between {beside} and {_names(same)}: {_intervals(same)} times")
    if slower:
        lead = "" if same else f"<strong>{beside}</strong> is fastest: "
        verb = "takes" if len(slower) == 1 else "take"
        said.append(f"{lead}{_names(slower)} {verb} {_intervals(slower)} times as long")
    return f"{'; '.join(said)}."


def _names(compared: dict[str, Ratio]) -> str:
    return joined([text(name) for name in compared])


def _intervals(compared: dict[str, Ratio]) -> str:
    return joined(
        [
            f"{times(ratio.median)} ({percent(ratio.confidence)} interval {times(ratio.low)} to "
            f"{times(ratio.high)})"
            for ratio in compared.values()
        ]
    )


def _median(record: BenchRecord, name: str, scope: str) -> str:
    variant = next(variant for variant in record.variants if variant.name == name)
    return f"{milliseconds(variant.scopes[scope].spread.median_ms)} ms"
