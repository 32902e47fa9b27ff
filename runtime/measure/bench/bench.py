"""The bench: variants in turns, each scope with its own stopwatch, compared pair by pair."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.pixels import Bytes
from crispstream.runtime.measure.figures import PERCENTILES, Ratio, Reading
from crispstream.runtime.measure.host import host_facts

from .checks import check_settings, check_subjects
from .notes import notes_of
from .observer import observer_of
from .record import SCOPES, BenchRecord, Measured, Settings, Variant
from .rounds import Readings
from .running import Competitor, Running
from .statistics import least_pairs, paired_ratio
from .subjects import Subject

Read = Callable[[float, bool], Reading | None]
"""Takes the seconds since the run began, and whether the last round is over; returns what the
machine tells now, or None."""

DEFAULT_BLOCK = 3
"""Frames of a turn. Short turns make many rounds of the same seconds, and the interval of a ratio
narrows with their number: see benchmarks/bench_decisions.py."""


def run_bench(
    subjects: Sequence[Subject],
    settings: Settings,
    frames: Sequence[Bytes],
    *,
    scopes: Sequence[str] = tuple(SCOPES),
    percentiles: Sequence[float] = PERCENTILES,
    read: Read = lambda _seconds, _over: None,
    on_round: Callable[[int, float], None] = lambda _rounds, _share: None,
    stop: threading.Event | None = None,
    clock: Clock = monotonic_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> BenchRecord:
    """Time the subjects in turns, and compare each with the first.

    The run lasts until `settings.seconds` have passed since the first round began, each variant
    and scope has `settings.iterations` frames, and the rounds are enough for the interval.

    Args:
        subjects: what to compare; whoever opened their restorers closes them.
        settings: what is asked for.
        frames: real ones, [H,W,3] of `settings.size`, used in turn; all variants get the same.
        scopes: those of `SCOPES` to measure.
        percentiles: what the spreads tell.
        read: called before the first round, between rounds and after the last, outside of
            anything timed.
        on_round: called between rounds with their number and how much of the run is done, 0 to 1.
        stop: set it to end after the frame in hand with what is there; before the end of the first
            round that is nothing a report could hold.
        clock: of the restorers, and of everything here.
        sleep: waits for so many seconds.

    Raises:
        UsageError: if there is nothing to measure, or the settings cannot be.
        CrispstreamError: what a restorer raises.
    """
    check_settings(settings)
    check_subjects(subjects, frames, scopes, settings)
    stop = stop or threading.Event()
    running = Running(
        subjects, settings, frames, scopes, percentiles, clock=clock, sleep=sleep, stop=stop
    )
    running.warm_up()
    readings, enough = Readings(), least_pairs(settings.confidence)
    begun_seconds = running.seconds
    while (done := _share_done(running, settings, enough, begun_seconds)) < 1:
        if stop.is_set():
            break
        readings.add(read(running.seconds, False))
        on_round(running.rounds, done)
        running.round()
    took_seconds = running.seconds - begun_seconds
    readings.end(read(running.seconds, True))
    if not stop.is_set():
        on_round(running.rounds, done)
    notes = notes_of(running, settings, took_seconds, stopped=stop.is_set())
    return _record(running, settings, readings, clock, notes)


def _share_done(running: Running, settings: Settings, enough: int, begun_seconds: float) -> float:
    """Return how much is done of what takes longest: seconds, iterations, or rounds.

    An even number of rounds, so that each order of the variants came as often.
    """
    enough += enough % 2
    shares = (
        (running.seconds - begun_seconds) / settings.seconds,
        running.rounds * settings.block / settings.iterations,
        running.rounds / enough,
    )
    done = min(1.0, *shares)
    return done if running.rounds % 2 == 0 else min(done, 1 - 1 / (running.rounds + 1))


def _record(
    running: Running,
    settings: Settings,
    readings: Readings,
    clock: Clock,
    notes: Iterator[str],
) -> BenchRecord:
    variants = tuple(map(_variant, running.competitors))
    medians_ms = [each.spread.median_ms for variant in variants for each in variant.scopes.values()]
    return BenchRecord(
        settings=settings,
        variants=variants,
        ratios=_ratios(variants, settings),
        readings=tuple(readings.kept),
        observer=observer_of(min(medians_ms, default=0.0), clock),
        host=host_facts(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        notes=tuple(notes),
    )


def _variant(competitor: Competitor) -> Variant:
    measured = {scope: track.measured() for scope, track in competitor.tracks.items()}
    subject = competitor.subject
    return Variant(
        name=subject.name,
        model=subject.model,
        precision=subject.precision,
        backend=subject.backend,
        graph_sha256=subject.graph_sha256,
        why=subject.why,
        warm_up_frames=competitor.warm_up_frames,
        first_frame_ms=competitor.first_frame_ms,
        scopes={scope: each for scope, each in measured.items() if each is not None},
    )


def _ratios(variants: Sequence[Variant], settings: Settings) -> Mapping[str, Mapping[str, Ratio]]:
    """Compare with the first, where the rounds are enough for an interval."""
    base = variants[0].scopes
    return {
        variant.name: {
            scope: _ratio(measured, base[scope], settings)
            for scope, measured in variant.scopes.items()
            if len(measured.rounds_ms) >= least_pairs(settings.confidence)
        }
        for variant in variants[1:]
    }


def _ratio(measured: Measured, base: Measured, settings: Settings) -> Ratio:
    return paired_ratio(
        measured.rounds_ms,
        base.rounds_ms,
        confidence=settings.confidence,
        seed=settings.seed,
    )
