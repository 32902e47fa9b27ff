"""Durations in constant memory: percentiles within 1 %, everything else exact."""

import itertools
import math
import tracemalloc
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import UsageError
from crispstream.runtime.measure.figures import PERCENTILES
from crispstream.runtime.measure.gather import MOST_MOMENTS, Gather

MS = 1_000_000
SECOND = 1_000_000_000
Draw = Callable[[np.random.Generator], "np.ndarray[tuple[int], np.dtype[np.float64]]"]

DISTRIBUTIONS: dict[str, Draw] = {
    "lognormal": lambda rng: rng.lognormal(16, 2, 10_000),
    "two humps": lambda rng: np.concatenate([rng.normal(5e6, 2e5, 7000), rng.normal(4e7, 1e6, 60)]),
    "a few ns": lambda rng: rng.integers(1, 12, 5000),
    "hours": lambda rng: rng.uniform(1e12, 1e13, 1000),
    "heavy tail": lambda rng: 3e6 * (1 + rng.pareto(1.1, 20_000)),
}


def nearest_rank_ns(durations_ns: list[int], q: float) -> int:
    """The exact percentile; ranks in fractions, since 99.9 / 100 is none of a float's."""
    rank = max(1, math.ceil(Fraction(str(q)) / 100 * len(durations_ns)))
    return sorted(durations_ns)[rank - 1]


def gathered(durations_ns: list[int], q: tuple[float, ...] = PERCENTILES) -> Gather:
    gather = Gather(q, FakeClock())
    for duration_ns in durations_ns:
        gather.record(duration_ns)
    return gather


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_percentiles_lie_within_one_percent_of_the_nearest_rank(name: str, seed: int) -> None:
    drawn = DISTRIBUTIONS[name](np.random.default_rng(seed))
    durations_ns = [int(value) for value in drawn]
    asked = (0.0, 1.0, 25.0, *PERCENTILES, 99.99, 100.0)
    found = gathered(durations_ns, asked).spread().percentiles_ms
    for q in asked:
        exact_ms = nearest_rank_ns(durations_ns, q) / MS
        assert found[f"{q:g}"] == pytest.approx(exact_ms, rel=0.01), q


def test_of_a_thousand_frames_one_may_be_slower_than_the_99_9th_percentile() -> None:
    durations_ns = [MS] * 999 + [50 * MS]
    assert gathered(durations_ns).spread().percentiles_ms["99.9"] == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("q", [99.9999999, 33.33333333, -1.0, 100.1, float("nan")])
def test_percentiles_whose_names_would_be_those_of_others_are_refused(q: float) -> None:
    with pytest.raises(UsageError, match="six digits at most; give"):
        Gather((50.0, q), FakeClock())


def test_count_mean_extremes_and_jitter_are_exact() -> None:
    spread = gathered([3 * MS, 1 * MS, 2 * MS, 2 * MS]).spread()
    assert (spread.count, spread.mean_ms, spread.min_ms, spread.max_ms) == (4, 2.0, 1.0, 3.0)
    assert spread.jitter_ms == pytest.approx((2 + 1 + 0) / 3)
    assert sum(count for _, count in spread.buckets) == 4


def test_jitter_tells_order_where_nothing_else_does() -> None:
    calm, restless = [MS] * 50 + [3 * MS] * 50, [MS, 3 * MS] * 50
    assert gathered(calm).spread().jitter_ms == pytest.approx(2 / 99)
    assert gathered(restless).spread().jitter_ms == pytest.approx(2)


def test_nothing_and_one_are_no_special_cases_for_who_reads() -> None:
    nothing = gathered([]).spread()
    assert (nothing.count, nothing.min_ms, nothing.median_ms, nothing.jitter_ms) == (0, 0, 0, 0)
    assert gathered([]).moments() == ()
    one = gathered([5 * MS]).spread()
    assert (one.median_ms, one.percentiles_ms["99.9"], one.jitter_ms) == (5.0, 5.0, 0.0)


def test_moments_hold_what_ended_in_them() -> None:
    clock = FakeClock(7 * SECOND)
    gather = Gather(clock=clock)
    for duration_ns in (20 * MS, 40 * MS):
        clock.advance(30 * MS)
        gather.record(duration_ns)
    gather.record(8 * MS, at_ns=8 * SECOND)
    first, last = gather.moments()
    assert (first.begin_seconds, first.seconds, first.count) == (0.0, 0.1, 2)
    assert (first.mean_ms, first.min_ms, first.max_ms) == (30.0, 20.0, 40.0)
    assert (last.begin_seconds, last.count, last.mean_ms) == (1.0, 1, 8.0)


def test_a_long_time_line_loses_detail_but_no_frame() -> None:
    gather = Gather(clock=FakeClock(), begun_ns=0)
    ends_ns = range(0, 3600 * SECOND, 3 * SECOND)
    for number, at_ns in enumerate(ends_ns):
        gather.record((1 + number % 7) * MS, at_ns)
    moments = gather.moments()
    assert MOST_MOMENTS / 2 <= len(moments) <= MOST_MOMENTS
    assert sum(moment.count for moment in moments) == len(ends_ns)
    total_ms = sum(moment.count * moment.mean_ms for moment in moments)
    assert total_ms == pytest.approx(gather.count * gather.spread().mean_ms)
    assert {moment.seconds for moment in moments} == {51.2}
    assert all(
        later.begin_seconds - earlier.begin_seconds == pytest.approx(51.2)
        for earlier, later in itertools.pairwise(moments)
    )
    assert max(moment.max_ms for moment in moments) == 7.0
    assert min(moment.min_ms for moment in moments) == 1.0


def test_what_began_before_the_run_counts_as_its_beginning() -> None:
    gather = Gather(clock=FakeClock(), begun_ns=SECOND)
    gather.record(MS, at_ns=0)
    assert gather.moments()[0].begin_seconds == 0.0


def test_a_negative_duration_is_refused_and_leaves_no_trace() -> None:
    gather = gathered([MS])
    with pytest.raises(ValueError, match="one clock"):
        gather.record(-1)
    assert gather.count == sum(moment.count for moment in gather.moments()) == 1


@pytest.mark.slow
def test_memory_is_the_same_after_a_hundred_thousand_more() -> None:
    """A small version of benchmarks/statistics_memory.py."""
    clock = FakeClock()
    gather = Gather(clock=clock)
    durations_ns = [int(each) for each in np.random.default_rng(5).lognormal(16, 1, 10_000)]

    def record(times: int) -> None:
        for _ in range(times):
            for duration_ns in durations_ns:
                clock.advance(33 * MS)
                gather.record(duration_ns)

    record(10)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    record(10)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert gather.count == 200_000
    # Counters are numbers of Python, of which each takes 32 bytes once it is above 256.
    assert after - before < 16_384
