"""Two records of one kind, joined by names: B against A, with what can be tested tested.

A bench has the median of each round and a profile means over time; what two such series are tested
with is `bench.statistics.unpaired_ratio`. It takes the drift inside each run into account. What the
machine did between the two runs is in no record, and no test can know of it.
"""

from collections.abc import Iterator, Sequence

from crispstream.core.errors import UsageError
from crispstream.runtime.measure.bench.record import BenchRecord
from crispstream.runtime.measure.plan.record import PlanRecord
from crispstream.runtime.measure.profiling.record import ProfileRecord
from crispstream.runtime.measure.records import AnyRecord

from .differences import differences
from .record import Comparison, Row, Side
from .rows import figures_of, layers_of, rows_of

JUDGED = ("engine", "end_to_end", "total")
"""Scopes of a bench, and the stage of a profile, that `slower_than` looks at."""

_NOT_INTERLEAVED = (
    "The two were not measured in turns: what the machine did in between is inside of every ratio, "
    "and no interval can show it. For a claim run both in one: crispstream bench X Y"
)
_ON_TESTS = {
    "profile": (
        "Tested is the whole way, total, on its means over time; of a stage or a layer a profile "
        "holds the distribution alone, which does not tell how far its median strays",
    ),
    "plan": ("Roofs are worked out, not measured, so there is nothing to test",),
    "run": (
        "The report of a run holds no course over time, so nothing is tested; that of "
        "crispstream profile does",
    ),
}
_COMMON = {
    "bench": "variants and scopes",
    "profile": "stages",
    "plan": "layers",
    "run": "stages",
}


def compare_records(a: AnyRecord, b: AnyRecord, a_path: str, b_path: str) -> Comparison:
    """Compare two records of one kind.

    Args:
        a: the record that the other is compared with.
        b: the other.
        a_path: where `a` is from, for people.
        b_path: where `b` is from.

    Raises:
        UsageError: if they are of two kinds, or have nothing of one name.
    """
    if a.kind != b.kind:
        raise UsageError(
            f"'{a_path}' is of kind {a.kind} and '{b_path}' of kind {b.kind}, whose figures mean "
            "different things; give two of one kind"
        )
    rows, layers = rows_of(a, b), layers_of(a, b)
    if not (layers.rows if isinstance(a, PlanRecord) else rows):
        raise UsageError(
            f"'{a_path}' and '{b_path}' have no {_COMMON[a.kind]} of one name: "
            f"{_listed(_names(a))} in the first, {_listed(_names(b))} in the second; give two that "
            "share a name"
        )
    by_change = sorted((*layers.rows, *layers.rest), key=lambda each: -abs(each.b_ms - each.a_ms))
    return Comparison(
        of=a.kind,
        a=Side(a_path, a.created),
        b=Side(b_path, b.created),
        differs=differences(a, b),
        rows=tuple(rows),
        layers=tuple(by_change),
        figures=figures_of(a, b),
        only_a=_only(a, b, layers.only_a),
        only_b=_only(b, a, layers.only_b),
        notes=tuple(_notes(a, b)),
    )


def slower_than(comparison: Comparison, percent: float) -> list[Row]:
    """Return the rows of `JUDGED` whose whole interval is more than `percent` % above A.

    Raises:
        UsageError: if none of them could be tested, which must not pass for a good result.
    """
    judged = [each for each in comparison.rows if (each.scope or each.name) in JUDGED]
    tested = [(each, each.tested) for each in judged if each.tested is not None]
    if not tested:
        raise UsageError(
            f"--fail-slower-than has nothing to judge: no {', '.join(JUDGED)} could be tested; "
            "give two benches or profiles, and measure longer if they are"
        )
    return [each for each, ratio in tested if ratio.low > 1 + percent / 100]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def _names(record: AnyRecord) -> list[str]:
    """Return what a record has times of, as people call it; layers of a profile left out."""
    if isinstance(record, BenchRecord):
        return [f"{each.name} {scope}" for each in record.variants for scope in each.scopes]
    if isinstance(record, PlanRecord):
        return [layer.name for layer in record.layers]
    return list(record.stages)


def _only(record: AnyRecord, other: AnyRecord, nodes: Sequence[str]) -> tuple[str, ...]:
    """Return what a record has alone: names, and the layers of these nodes."""
    layers = (f"layer {node}" for node in nodes)
    if isinstance(record, PlanRecord):  # whose names are those of layers
        return tuple(layers)
    others = _names(other)
    return (*(name for name in _names(record) if name not in others), *layers)


def _notes(a: AnyRecord, b: AnyRecord) -> Iterator[str]:
    if a == b:
        yield "A and B are the same record"
    if isinstance(a, BenchRecord | ProfileRecord):
        yield _NOT_INTERLEAVED
    yield from _ON_TESTS.get(a.kind, ())
    notes = [getattr(record, "notes", ()) for record in (a, b)]
    for note in dict.fromkeys((*notes[0], *notes[1])):
        having = [letter for letter, told in zip("AB", notes, strict=True) if note in told]
        yield f"{' and '.join(having)}: {note}"
