"""Writes the tables of docs/reports.md: every key of every record, from the dataclasses themselves.

A key's meaning is the docstring under its field. Run again, it gives the same page; a test
compares.
"""

import ast
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from benchmarks.reports_words import EXACT_UNITS, UNITS, UNTOLD
from crispstream.core.sizes import Size
from crispstream.runtime.measure import figures, host, report
from crispstream.runtime.measure.bench import record as bench
from crispstream.runtime.measure.comparing import record as compared
from crispstream.runtime.measure.plan import record as plan
from crispstream.runtime.measure.profiling import record as profiling
from crispstream.runtime.stream import drift, health, outcome
from crispstream.runtime.stream.ladder import use

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reports.md"
MEASURED = ROOT / "benchmarks/results/compare_runs.json"

Hint = Any
"""A type hint, or a class."""


@dataclass(frozen=True)
class Key:
    """A line of a table."""

    name: str
    kind: Hint
    meaning: str
    optional: bool = False
    """Whether a reader does without it."""


def keys_of(kind: Hint) -> list[Key]:
    """Return the keys of a dataclass or named tuple, in the order of its fields."""
    told, hints = _docstrings(kind), get_type_hints(kind, localns=_LATER)
    optional = _optional(kind)
    return [
        Key(name, hints[name], told[name] or UNTOLD.get(name, ""), name in optional)
        for name in told
    ]


_LATER = {"Drift": drift.Drift, "LadderUse": use.LadderUse}
"""What a module names and imports for type checkers only."""


def _docstrings(kind: Hint) -> dict[str, str]:
    """Return field -> the docstring under it, "" for those without."""
    tree = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(tree, ast.ClassDef)
    told: dict[str, str] = {}
    name = ""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            told[name] = ""
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            told[name] = " ".join(str(node.value.value).split())
        else:
            name = ""
    return told


def _optional(kind: Hint) -> set[str]:
    if not is_dataclass(kind):
        return set()
    return {
        field.name
        for field in fields(kind)
        if field.init and (field.default is not MISSING or field.default_factory is not MISSING)
    }


def type_in_words(kind: Hint) -> str:
    """Return a type hint as JSON has it.

    >>> type_in_words(tuple[float, ...]), type_in_words(int | None)
    ('list of number', 'whole number or null')
    """
    arguments = get_args(kind)
    if kind == Size:
        return "list of 2 whole numbers"
    if get_origin(kind) in (UnionType, Union):
        return " or ".join(map(type_in_words, arguments))
    if get_origin(kind) is tuple:
        inside = arguments[:1] if arguments[-1] is Ellipsis else arguments
        return f"list of {' and '.join(map(type_in_words, inside))}"
    if get_origin(kind) in (dict, Mapping):
        return f"object of {type_in_words(arguments[1])}"
    return _PLAIN.get(kind) or f"[{kind.__name__}](#{kind.__name__.lower()})"


_PLAIN = {
    float: "number",
    int: "whole number",
    str: "text",
    bool: "true or false",
    NoneType: "null",
    Any: "anything",
}


def unit_of(name: str) -> str:
    """Return the unit of a key by the end of its name, "" for none."""
    return EXACT_UNITS.get(name) or UNITS.get(name.rpartition("_")[2], "")


def table(keys: Sequence[Key]) -> str:
    """Return the table of some keys."""
    lines = ["| key | type | unit | meaning |", "|---|---|---|---|"]
    for key in keys:
        name = f"`{key.name}`" + (" *" if key.optional else "")
        meaning = key.meaning.replace("|", "\\|")
        lines.append(f"| {name} | {type_in_words(key.kind)} | {unit_of(key.name)} | {meaning} |")
    return "\n".join(lines)


def parts(*kinds: Hint) -> str:
    """Return a heading, the first line of the docstring and the table for each."""
    return "\n\n".join(
        f"### {kind.__name__}\n\n{(kind.__doc__ or '').splitlines()[0]}\n\n{table(keys_of(kind))}"
        for kind in kinds
    )


def run_keys() -> list[Key]:
    """Return the keys of a run's report, which lays the stream's beside its own."""
    own = [key for key in keys_of(report.RunReport) if key.name not in ("stream", "schema")]
    counted = keys_of(outcome.StreamReport)
    head = [Key("kind", str, '"run"; reports of older kits lack it'), Key("schema", int, "1")]
    cpu = Key("cpu_ms_per_frame", float, "CPU time over frames restored.")
    return [*head, *own, *map(_as_written, _without(counted, "histograms")), cpu]


def _as_written(key: Key) -> Key:
    """Return a key of the stream's report as the file has it: nothing is left out there."""
    name = "stages" if key.name == "latencies" else key.name
    return Key(name, key.kind, key.meaning)


def _without(keys: Sequence[Key], *names: str) -> Iterator[Key]:
    return (key for key in keys if key.name not in names)


def drift_keys() -> list[Key]:
    """Return the keys of a drift, with what is worked out of them."""
    added = [
        Key("outside_share", float, "Share of the watched frames that were outside."),
        Key("worst", str | None, "Name of the figure that was outside most often."),
    ]
    return [*keys_of(drift.Drift), *added]


def quality_keys() -> list[Key]:
    """Return the keys of a quality, with what is worked out of them."""
    gain = Key("gain_db", float, "What the model adds over bicubic.")
    return [*keys_of(report.Quality), gain]


def run_tables() -> str:
    """Return the tables about `crispstream run --report`."""
    return "\n\n".join(
        [
            table(run_keys()),
            f"### Quality\n\n{table(quality_keys())}",
            f"### Drift\n\n{table(drift_keys())}",
            parts(drift.FigureDrift, use.LadderUse, use.RungUse, use.Switch),
            parts(outcome.SinkOutcome, health.Event),
        ]
    )


def _stages() -> str:
    lines = ["| stage | holds |", "|---|---|"]
    return "\n".join(
        [*lines, *(f"| `{name}` | {note} |" for name, note in report.STAGE_NOTES.items())]
    )


def _scopes() -> str:
    lines = ["| scope | holds | of trtexec |", "|---|---|---|"]
    return "\n".join(
        [
            *lines,
            *(
                f"| `{name}` | {bench.SCOPES[name]} | {bench.TRTEXEC[name]} |"
                for name in bench.SCOPES
            ),
        ]
    )


def _trust() -> str:
    """Return what compare_runs.py found, if it was run."""
    if not MEASURED.is_file():
        return "Not measured yet: `python benchmarks/compare_runs.py --save`."
    found = json.loads(MEASURED.read_text(encoding="utf-8"))["figures"]
    lines = ["| two runs of one thing | pairs | no difference | faster | slower |"]
    lines.append("|---|---|---|---|---|")
    for key in ("one_after_the_other", "20_runs_apart"):
        told = found[key]
        counts = (told.get(verdict, 0) for verdict in ("no_difference", "faster", "slower"))
        lines.append(f"| real, {key.replace('_', ' ')} | {told['pairs']} | {_cells(counts)} |")
    for key, same in found["simulated_no_difference_of_100"].items():
        lasting = key.replace("_", " ")
        lines.append(f"| simulated, disturbances of 3 % last {lasting} | 100 | {same} | | |")
    return "\n".join(lines)


def _cells(values: Iterable[object]) -> str:
    return " | ".join(map(str, values))


TABLES = {
    "trust": _trust,
    "bench": lambda: parts(bench.BenchRecord, bench.Settings, bench.Variant, bench.Measured),
    "scopes": _scopes,
    "stages": _stages,
    "profile": lambda: parts(
        profiling.ProfileRecord, profiling.LayerProfile, profiling.LayerTime, profiling.Depths
    ),
    "plan": lambda: parts(plan.PlanRecord, plan.PlannedLayer, plan.Sustained, plan.Device),
    "run": run_tables,
    "comparison": lambda: parts(
        compared.Comparison, compared.Row, compared.Difference, compared.Side
    ),
    "figures": lambda: parts(
        figures.Spread, figures.Moment, figures.Ratio, figures.Misses, figures.Reading,
        figures.Observer, host.Host,
    ),
}  # fmt: skip
"""What stands between `<!-- NAME -->` and `<!-- end -->` on the page."""


def page(text: str) -> str:
    """Return the page with its tables written again; the words around them stay.

    Raises:
        ValueError: if the page has no place for a table.
    """
    for name, made in TABLES.items():
        opening, closing = f"<!-- {name} -->\n", "<!-- end -->"
        before, found, rest = text.partition(opening)
        _, ended, after = rest.partition(closing)
        if not (found and ended):
            raise ValueError(f"the page has no place for the table '{name}'")
        text = f"{before}{opening}\n{made()}\n\n{closing}{after}"
    return text


if __name__ == "__main__":
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
