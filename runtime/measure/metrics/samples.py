"""A stream's books, ladder and alarms as samples of the metrics; read when asked, kept nowhere."""

from collections.abc import Iterator
from typing import NamedTuple

from crispstream.runtime.stream.ledger import Ledger, Snapshot
from crispstream.runtime.stream.loop import STAGES
from crispstream.runtime.stream.watched import WATCHED_STATES, Watched

from . import families
from .buckets import Cumulative, cumulative
from .families import Family

STAGES_TOLD = (*STAGES, "turn")
"""In the order a frame meets them; `turn`, of several cameras, lies before `copy_in`."""
_MS_PER_SECOND = 1e3


class Sample(NamedTuple):
    """One value of one metric of one camera."""

    family: Family
    value: float | Cumulative
    labels: tuple[str, ...] = ()
    """Values for the family's labels, in their order."""


def samples_of(watched: Watched, version: str) -> Iterator[Sample]:
    """Give all that can be told of a stream now; what it has not come to is left out."""
    state, model, ledger = watched.state, watched.model, watched.ledger
    if model is not None:
        labels = (model.backend_name, model.name, model.precision, version)
        yield Sample(families.BUILD, 1, labels)
    for name in WATCHED_STATES:
        yield Sample(families.STATE, name == state, (name,))
    if watched.source is not None:
        yield Sample(families.DAMAGED, watched.source.damaged)
    if ledger is not None:
        books = ledger.snapshot()
        yield from _counts(books)
        yield from _now(ledger, books)
        yield from _durations(watched, ledger)
        yield from _rungs(watched, books)
    if watched.drift is not None:
        yield Sample(families.DRIFT, watched.drift.raised)
        yield Sample(families.ALARMS, watched.drift.alarms)


def _counts(books: Snapshot) -> Iterator[Sample]:
    yield Sample(families.RECONNECTS, books.reconnects)
    yield Sample(families.CAPTURED, books.captured)
    yield Sample(families.RESTORED, books.restored)
    yield Sample(families.LATE, books.late)
    for cause, frames in books.dropped.items():
        yield Sample(families.DROPPED, frames, (cause,))


def _now(ledger: Ledger, books: Snapshot) -> Iterator[Sample]:
    yield Sample(families.RATE, books.frames_per_second)
    yield Sample(families.IDLE, ledger.idle_seconds)
    if books.budget_ms is not None:
        yield Sample(families.BUDGET, books.budget_ms / _MS_PER_SECOND)
    for place, frames in ledger.depths().items():
        yield Sample(families.WAITING, frames, (place,))


def _durations(watched: Watched, ledger: Ledger) -> Iterator[Sample]:
    yield Sample(families.AGE, cumulative(ledger.ages))
    turns = () if watched.turns is None else (watched.turns,)
    found = {stage: kept[stage] for kept in (*ledger.histograms, *turns) for stage in kept.stages}
    for stage in STAGES_TOLD:
        if stage in found:
            yield Sample(families.STAGE, cumulative(found[stage]), (stage,))
    if "write" in found:
        yield Sample(families.WRITTEN, found["write"].count)


def _rungs(watched: Watched, books: Snapshot) -> Iterator[Sample]:
    """Tell what restores; one model is a ladder's only rung."""
    ladder = watched.ladder()
    frames = {} if ladder is None else {rung.name: rung.frames for rung in ladder.rungs}
    if ladder is None and books.rung:
        frames = {books.rung: books.restored}
    for rung, count in frames.items():
        yield Sample(families.RUNG, rung == books.rung, (rung,))
        yield Sample(families.RUNG_FRAMES, count, (rung,))
    if ladder is not None:
        yield Sample(families.CHANGES, ladder.changes)
