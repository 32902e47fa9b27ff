"""The record of the GPU check: what stands in it, and whether it has its form.

docs/gpu-check.md explains every key. Each entry of a table has figures, or the reason why it was
not run; nothing is left out. The figures of a dry run bear another name, and no GPU stands there.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from benchmarks.common import Limit, Ratio

SCHEMA = 1
"""Version of benchmarks/results/gpu_check-*.json."""

BENCHMARK = "gpu_check"
PRECISIONS = ("fp16", "fp32", "int8")
REGIMES = ("resident", "copies", "end-to-end")
"""resident: frames lie on the GPU. copies: with those to and from the host. end-to-end: from a
frame in the caller's memory to a restored one there."""
STREAMS = (1, 4)
NOT_REACHED = "not reached: the check ended before"
FIGURES, DRY_FIGURES, REASON = "figures", "dry_run_figures", "not_run"

Figures = Mapping[str, Any]


class Row(NamedTuple):
    """What one timing is of."""

    model: str
    regime: str
    runs_on: str
    """engine, torch, torch-compile, onnxruntime-cuda or onnxruntime-cpu."""
    precision: str
    cuda_graph: bool
    streams: int

    def __str__(self) -> str:
        """Return the row in words: "edge-s engine fp16 graph x1 resident"."""
        graph = " graph" if self.cuda_graph else ""
        head = f"{self.model} {self.runs_on} {self.precision}{graph}"
        return f"{head} x{self.streams} {self.regime}"


class Judged(NamedTuple):
    """What one judgement is of: a model's output beside fp32 on ONNX Runtime's CPU."""

    model: str
    runs_on: str
    precision: str


class Built(NamedTuple):
    """What one engine is of; also names the engine that is opened again."""

    model: str
    precision: str


Key = Row | Judged | Built

TABLES: Mapping[str, type[Key]] = {
    "engines": Built,
    "accuracy": Judged,
    "opening": Built,
    "rows": Row,
}

_NUMBER, _SPREAD = "a number above 0", "median, lowest, highest and repeats"
_WANTED: Mapping[str, Mapping[str, str]] = {
    "engines": {"build_seconds": _NUMBER, "engine_bytes": _NUMBER},
    "accuracy": {"passed": "true or false", "psnr_to_fp32_db": "a number or null"},
    "opening": {"native_seconds": _SPREAD, "kit_seconds": _SPREAD, "beyond_seconds": "a number"},
    "rows": {
        "ms_per_frame": _SPREAD,
        "frames_per_second": _NUMBER,
        "frames_per_burst": _NUMBER,
        "clock": "cuda events or host",
        "roof_share": "a number or null",
    },
}
_MADE = {"schema", "benchmark", "dry_run", *TABLES, "ratios", "limits"}
_FACTS = {"created", "took_seconds", "host", "gpu", "polled", "engine", "software", "settings"}
_TOP = _MADE | _FACTS | {"warnings", "roofs", "work"}


def expected(table: str, models: Sequence[str]) -> list[Key]:
    """Return the keys of a table in the order in which they are reported."""
    makers = {"engines": _engines, "accuracy": _judged, "opening": _opened, "rows": _rows}
    return [key for model in models for key in makers[table](model)]


def _engines(model: str) -> Iterator[Key]:
    return (Built(model, precision) for precision in PRECISIONS)


def _opened(model: str) -> Iterator[Key]:
    yield Built(model, "fp16")


def _judged(model: str) -> Iterator[Key]:
    yield from (Judged(model, "engine", precision) for precision in PRECISIONS)
    yield from (Judged(model, side, "fp16") for side in ("torch", "torch-compile"))
    yield from (Judged(model, "onnxruntime-cuda", precision) for precision in ("fp16", "fp32"))


def _rows(model: str) -> Iterator[Key]:
    for regime in REGIMES:
        for precision in PRECISIONS:
            for cuda_graph in (True, False):
                for streams in STREAMS:
                    yield Row(model, regime, "engine", precision, cuda_graph, streams)
        yield Row(model, regime, "torch", "fp16", False, 1)
        yield Row(model, regime, "torch-compile", "fp16", True, 1)
        yield Row(model, regime, "torch-compile", "fp16", False, 1)
        yield Row(model, regime, "onnxruntime-cuda", "fp16", False, 1)
        yield Row(model, regime, "onnxruntime-cuda", "fp32", False, 1)
    yield Row(model, "end-to-end", "onnxruntime-cpu", "fp32", False, 1)


@dataclass(frozen=True)
class Comparison:
    """How many times as fast `of` is as `over`, measured in turns."""

    of: Row
    over: Row
    ratio: Ratio

    def as_json(self) -> dict[str, Any]:
        """Return what the record holds."""
        return {"of": str(self.of), "over": str(self.over), **asdict(self.ratio)}


class Record:
    """A record that is filled step by step; what is not reached says so.

    Attributes:
        dry_run: whether nothing was measured on a GPU.
        models: the names of the models.
        facts: the keys of the top that are no table: `host`, `gpu`, `settings` and so on.
        comparisons: ratios of rows.
        limits: the claims by name; a dry run makes none.
    """

    def __init__(self, *, dry_run: bool, models: Sequence[str], facts: Figures) -> None:
        """Start with every entry not reached."""
        self.dry_run = dry_run
        self.models = tuple(models)
        self.facts: dict[str, Any] = dict(facts)
        self.comparisons: list[Comparison] = []
        self.limits: dict[str, Limit] = {}
        self._tables: dict[str, dict[Key, Figures | str]] = {
            table: dict.fromkeys(expected(table, models), NOT_REACHED) for table in TABLES
        }

    def fill(self, table: str, key: Key, found: Figures | str) -> None:
        """Keep the figures of an entry, or the reason why there are none.

        Raises:
            KeyError: if the table has no such entry.
        """
        self._tables[table][key]  # a key that nobody expects is a mistake
        self._tables[table][key] = found

    def found(self, table: str, key: Key) -> Figures | str:
        """Return the figures of an entry, or the reason."""
        return self._tables[table][key]

    def entries(self, table: str) -> Mapping[Key, Figures | str]:
        """Return a table, in the order of reports."""
        return self._tables[table]

    @property
    def wrong(self) -> list[Key]:
        """What was judged and is not as fp32 is."""
        judged = self._tables["accuracy"].items()
        return [k for k, found in judged if not isinstance(found, str) and not found["passed"]]

    def content(self) -> dict[str, Any]:
        """Return what is written as JSON."""
        tables = {
            table: [self._entry(key, found) for key, found in entries.items()]
            for table, entries in self._tables.items()
        }
        limits = {
            name: {"value": limit.value, **limit.bound, "met": limit.met}
            for name, limit in self.limits.items()
        }
        top = {"schema": SCHEMA, "benchmark": BENCHMARK, "dry_run": self.dry_run}
        ratios = [each.as_json() for each in self.comparisons]
        return {**top, **self.facts, **tables, "ratios": ratios, "limits": limits}

    def _entry(self, key: Key, found: Figures | str) -> dict[str, Any]:
        if isinstance(found, str):
            return {**key._asdict(), REASON: found}
        return {**key._asdict(), (DRY_FIGURES if self.dry_run else FIGURES): dict(found)}


def faults(content: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the form of a record; empty for a good one."""
    if set(content) != _TOP:
        return [f"keys {sorted(set(content) ^ _TOP)} are missing or too many"]
    found = [] if (content["schema"], content["benchmark"]) == (SCHEMA, BENCHMARK) else ["schema"]
    if datetime.fromisoformat(content["created"]).utcoffset() is None:
        found.append("created has no time zone")
    if content["dry_run"] is not (content["gpu"] is None):
        found.append("a dry run has no GPU, and every other one has")
    if content["dry_run"] and (content["limits"] or content["ratios"]):
        found.append("a dry run claims nothing")
    models = content["settings"]["models"]
    for table in TABLES:
        found += _table_faults(table, content[table], models, dry_run=content["dry_run"])
    return found + _limit_faults(content["limits"])


def _table_faults(
    table: str, entries: Sequence[Mapping[str, Any]], models: Sequence[str], *, dry_run: bool
) -> list[str]:
    found = []
    names = TABLES[table]._fields
    seen = [tuple(entry.get(name) for name in names) for entry in entries]
    if seen != [tuple(key) for key in expected(table, models)]:
        found.append(f"{table} lacks an entry, or has one too many")
    for entry in entries:
        results = set(entry) - set(names)
        label = f"{table} {' '.join(str(entry.get(name)) for name in names)}"
        if results not in ({REASON}, {DRY_FIGURES if dry_run else FIGURES}):
            found.append(f"{label} has {sorted(results)}")
        elif results == {REASON}:
            found += [] if entry[REASON] else [f"{label} gives no reason"]
        else:
            found += [f"{label}: {each}" for each in _figure_faults(table, entry[results.pop()])]
    return found


def _figure_faults(table: str, figures: Figures) -> list[str]:
    wanted = _WANTED[table]
    missing = [f"lacks {name}" for name in wanted if name not in figures]
    return missing or [
        f"{name} is {figures[name]!r}, not {kind}"
        for name, kind in wanted.items()
        if not _fits(figures[name], kind)
    ]


def _fits(value: Any, kind: str) -> bool:  # noqa: ANN401  (any JSON value)
    if kind == "true or false":
        return isinstance(value, bool)
    if kind == "cuda events or host":
        return value in ("cuda events", "host")
    if kind == "a number or null":
        return value is None or _is_number(value)
    if kind == "a number":
        return _is_number(value)
    if kind == _NUMBER:
        return _is_number(value) and value > 0
    parts = ("median", "lowest", "highest", "repeats")
    return isinstance(value, Mapping) and all(_fits(value.get(each), _NUMBER) for each in parts)


def _is_number(value: Any) -> bool:  # noqa: ANN401  (any JSON value)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _limit_faults(limits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = []
    for name, limit in limits.items():
        bounds = {key: limit[key] for key in limit if key not in ("value", "met")}
        if not bounds or set(bounds) - {"at_most", "at_least"}:
            found.append(f"limit {name} has keys {sorted(limit)}")
        elif limit["met"] != Limit(limit["value"], **bounds).met:
            found.append(f"limit {name} says met = {limit['met']} wrongly")
    return found
