"""Two records of one kind as rows: what both have under one name, with the times of each."""

from collections.abc import Mapping, Sequence
from statistics import median

from crispstream.runtime.measure.bench.record import BenchRecord, Measured
from crispstream.runtime.measure.bench.statistics import CONFIDENCE, least_pairs, unpaired_ratio
from crispstream.runtime.measure.figures import Misses, Moment, Ratio, Spread
from crispstream.runtime.measure.plan.record import PlanRecord
from crispstream.runtime.measure.profiling.record import ProfileRecord
from crispstream.runtime.measure.records import AnyRecord, RunRecord

from .layers import Joined, joined, planned_parts, timed_parts
from .record import Both, Row, row

MOST_BLOCKS = 500
"""Of a longer series neighbours are taken together: the test draws it thousands of times."""


def rows_of(a: AnyRecord, b: AnyRecord) -> list[Row]:
    """Return the rows of two records of one kind, without their layers; [] of two kinds."""
    if isinstance(a, BenchRecord) and isinstance(b, BenchRecord):
        return _bench_rows(a, b)
    if isinstance(a, PlanRecord) and isinstance(b, PlanRecord):
        return [row("whole graph", a.roof_ms, b.roof_ms)]
    if isinstance(a, RunRecord) and isinstance(b, RunRecord):
        return _run_rows(a, b)
    if isinstance(a, ProfileRecord) and isinstance(b, ProfileRecord):
        return _stage_rows(a, b)
    return []


def layers_of(a: AnyRecord, b: AnyRecord) -> Joined:
    """Return the layers of two plans, or of two profiles that timed them; else nothing."""
    if isinstance(a, PlanRecord) and isinstance(b, PlanRecord):
        return joined(planned_parts(a.layers), planned_parts(b.layers))
    if isinstance(a, ProfileRecord) and isinstance(b, ProfileRecord) and a.layers and b.layers:
        return joined(timed_parts(a.layers.layers), timed_parts(b.layers.layers))
    return joined((), ())


def figures_of(a: AnyRecord, b: AnyRecord) -> dict[str, Both]:
    """Return the figures of the whole records that are no times of a row, as far as both have them.

    Keys are paths in the records, or properties of them.
    """
    return _shared(_figures(a), _figures(b))


def _figures(record: AnyRecord) -> dict[str, float]:
    if isinstance(record, PlanRecord):
        memory = {f"memory_mb.{what}": size_mb for what, size_mb in record.memory_mb.items()}
        return {"macs": record.macs, "bytes": record.bytes, **memory}
    if isinstance(record, ProfileRecord):
        own = ("efficiency", "engine_ms", "end_to_end_ms")
        run = {f"run.{key}": record.run[key] for key in _OF_A_RUN}
        return {key: getattr(record, key) for key in own} | run
    if isinstance(record, RunRecord):
        return {key: getattr(record, key) for key in _OF_A_RUN}
    return {}


_OF_A_RUN = ("frames_per_second", "cpu_ms_per_frame", "first_frame_ms", "frames", "dropped")


def _bench_rows(a: BenchRecord, b: BenchRecord) -> list[Row]:
    confidence = max(a.settings.confidence, b.settings.confidence)
    of_b = {each.name: each.scopes for each in b.variants}
    return [
        _measured_row(each.name, scope, measured, of_b[each.name][scope], confidence)
        for each in a.variants
        for scope, measured in each.scopes.items()
        if scope in of_b.get(each.name, {})
    ]


def _measured_row(name: str, scope: str, a: Measured, b: Measured, confidence: float) -> Row:
    figures = _distribution(a.spread, b.spread)
    figures["frames_per_second"] = (a.frames_per_second, b.frames_per_second)
    if a.misses is not None and b.misses is not None:
        figures["missed_share"] = (_missed_share(a.misses), _missed_share(b.misses))
    tested = _tested(a.rounds_ms, b.rounds_ms, confidence)
    medians_ms = (a.spread.median_ms, b.spread.median_ms)
    return row(name, *medians_ms, scope=scope, tested=tested, figures=figures)


def _missed_share(misses: Misses) -> float:
    return misses.missed / misses.of if misses.of else 0.0


def _distribution(a: Spread, b: Spread) -> dict[str, Both]:
    """Return the figures of two spreads by name, as far as both have them."""
    figures = {
        f"p{key}_ms": (value, b.percentiles_ms[key])
        for key, value in a.percentiles_ms.items()
        if key in b.percentiles_ms
    }
    figures["max_ms"] = (a.max_ms, b.max_ms)
    figures["jitter_ms"] = (a.jitter_ms, b.jitter_ms)
    figures["count"] = (a.count, b.count)
    return figures


def _tested(
    a_ms: Sequence[float], b_ms: Sequence[float], confidence: float = CONFIDENCE
) -> Ratio | None:
    """Return B over A with its interval; None where there is too little to tell."""
    if min(len(a_ms), len(b_ms)) < least_pairs(confidence) or min(*a_ms, *b_ms) <= 0:
        return None
    return unpaired_ratio(_merged(b_ms), _merged(a_ms), confidence=confidence)


def _merged(series_ms: Sequence[float]) -> list[float]:
    """Return at most `MOST_BLOCKS` values, medians of as many neighbours as that takes.

    >>> len(_merged(range(1, 501))), len(_merged(range(1, 1302)))
    (500, 434)
    """
    together = -(-len(series_ms) // MOST_BLOCKS)
    begins = range(0, len(series_ms), together)
    return [median(series_ms[begin : begin + together]) for begin in begins]


def _stage_rows(a: ProfileRecord, b: ProfileRecord) -> list[Row]:
    tested = {"total": _tested(_means_ms(a.timeline), _means_ms(b.timeline))}
    return [
        row(
            name,
            spread.median_ms,
            b.stages[name].median_ms,
            tested=tested.get(name),
            figures=_distribution(spread, b.stages[name]),
        )
        for name, spread in a.stages.items()
        if name in b.stages
    ]


def _means_ms(moments: Sequence[Moment]) -> list[float]:
    """Return the means of the stretches that are no mere rest of a run, with few frames."""
    usual = median([moment.count for moment in moments]) if moments else 0
    return [moment.mean_ms for moment in moments if moment.count >= usual / 2]


def _run_rows(a: RunRecord, b: RunRecord) -> list[Row]:
    return [
        row(name, of_a["p50_ms"], of_b["p50_ms"], figures=_shared(of_a, of_b))
        for name, of_a in a.stages.items()
        if (of_b := b.stages.get(name)) is not None
    ]


def _shared(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, Both]:
    return {key: (value, b[key]) for key, value in a.items() if key in b}
