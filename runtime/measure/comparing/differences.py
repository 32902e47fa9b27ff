"""What else differs between two records: settings, networks, devices, versions, clocks.

A difference of the times may come from any of these, so they are told before the times.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from crispstream.runtime.measure.bench.record import BenchRecord
from crispstream.runtime.measure.figures import Reading
from crispstream.runtime.measure.plan.record import PlanRecord
from crispstream.runtime.measure.profiling.record import ProfileRecord
from crispstream.runtime.measure.records import AnyRecord, RunRecord

from .record import Difference

_UNTOLD = ("seed", "confidence", "sources", "title")
"""Keys that change no time."""
_OF_A_VARIANT = ("model", "precision", "backend", "graph_sha256", "why")
"""`why` has the version of TensorRT that ran it."""
_OF_A_RUN = (
    "source", "sink", "model", "precision", "backend", "policy", "live", "budget_ms",
)  # fmt: skip
_OF_A_PLAN = (
    "model", "precision", "graph_sha256", "size", "device", "expected_share", "profile",
)  # fmt: skip
_HASH_DIGITS = 12

_SHARE = 0.05
"""Means of readings that are closer than this share of the larger are as good as the same."""
_FLOORS = {"_share": 0.05, "load_average": 0.5, "_c": 3.0, "_w": 1.0, "_percent": 5.0, "_ms": 1.0}
"""End of a reading's name -> difference that is nothing, however small the two are."""


def differences(a: AnyRecord, b: AnyRecord) -> tuple[Difference, ...]:
    """Return what is not the same in two records of one kind, in the order of their keys."""
    both = _variant_names(a) & _variant_names(b)
    of_a, of_b = _facts(a, both), _facts(b, both)
    return tuple(
        Difference(key, _text(key, of_a.get(key)), _text(key, of_b.get(key)))
        for key in dict.fromkeys((*of_a, *of_b))
        if (key in of_a, key in of_b) != (True, True) or not _alike(key, of_a[key], of_b[key])
    )


def _variant_names(record: AnyRecord) -> set[str]:
    return {each.name for each in record.variants} if isinstance(record, BenchRecord) else set()


def _facts(record: AnyRecord, variants: set[str]) -> dict[str, Any]:
    """Return what a record's times depend on, by the path of its key; of these variants only."""
    if isinstance(record, BenchRecord):
        told = {
            each.name: _picked(asdict(each), _OF_A_VARIANT)
            for each in record.variants
            if each.name in variants
        }
        parts: dict[str, Any] = {"settings": asdict(record.settings), "variants": told}
    elif isinstance(record, PlanRecord):
        return dict(_flat(_picked(asdict(record), _OF_A_PLAN), ""))
    elif isinstance(record, RunRecord):
        parts = _picked(asdict(record), _OF_A_RUN)
    else:
        parts = _profiled(record)
    readings = record.readings if isinstance(record, BenchRecord) else ()
    return dict(_flat(parts | {"host": asdict(record.host), "readings": _usual(readings)}, ""))


def _profiled(record: ProfileRecord) -> dict[str, Any]:
    how = record.layers.how if record.layers else "not timed"
    run = {**_picked(record.run, _OF_A_RUN), "graph_sha256": record.graph_sha256}
    return {"run": run, "size": record.size, "layers": {"how": how}}


def _picked(content: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: content[key] for key in keys if key in content}


def _flat(content: Mapping[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of everything below."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{at}{key}.")
        elif key not in _UNTOLD:
            yield f"{at}{key}", value


def _usual(readings: Sequence[Reading]) -> dict[str, float | str]:
    """Return the mean of each number that was read, and the texts that were."""
    names = dict.fromkeys(name for reading in readings for name in reading.facts)
    return {name: _usual_of([r.facts[name] for r in readings if name in r.facts]) for name in names}


def _usual_of(values: Sequence[float | str]) -> float | str:
    numbers = [value for value in values if isinstance(value, int | float)]
    if numbers:
        return fmean(numbers)
    return ", ".join(sorted({str(value) for value in values if value}))


def _alike(key: str, a: object, b: object) -> bool:
    """Whether two facts are the same; readings never are to the last digit."""
    if not (key.startswith("readings.") and isinstance(a, float) and isinstance(b, float)):
        return a == b
    floor = next((floor for end, floor in _FLOORS.items() if key.endswith(end)), 0.0)
    return abs(a - b) <= max(floor, _SHARE * max(abs(a), abs(b)))


def _text(key: str, value: object) -> str:
    """Return a fact for people; "" where there is none."""
    if isinstance(value, tuple | list):
        return ("x" if key.endswith("size") else ", ").join(map(str, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "" if value is None else str(value)
    return text[:_HASH_DIGITS] if key.endswith("_sha256") else text
