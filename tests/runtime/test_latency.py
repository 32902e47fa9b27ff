"""Histograms: exact where promised, within 1 % elsewhere, never larger."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest

from crispstream.runtime.latency import Histogram, Latencies


def _recorded(durations_ns: list[int]) -> Histogram:
    histogram = Histogram()
    for duration_ns in durations_ns:
        histogram.record(duration_ns)
    return histogram


@pytest.mark.parametrize("q", [0, 1, 50, 90, 95, 99, 99.9, 100])
def test_percentiles_lie_within_one_percent(q: float) -> None:
    generator = np.random.default_rng(3)
    durations_ns = [int(value) for value in generator.lognormal(16, 2, 20_000)]
    rank = max(1, ceil(Fraction(str(q)) / 100 * len(durations_ns)))
    truth_ms = sorted(durations_ns)[rank - 1] / 1e6
    assert _recorded(durations_ns).percentile_ms(q) == pytest.approx(truth_ms, rel=0.01)


def test_count_mean_and_maximum_are_exact() -> None:
    histogram = _recorded([1_000_000, 2_000_000, 6_000_000])
    assert (histogram.count, histogram.mean_ms, histogram.max_ms) == (3, 3.0, 6.0)


@pytest.mark.parametrize("duration_ns", [0, 1, 2, 12_345, 10**9, 10**18])
def test_one_duration_is_its_own_percentile(duration_ns: int) -> None:
    histogram = _recorded([duration_ns])
    assert histogram.percentile_ms(50) == duration_ns / 1e6


def test_buckets_hold_every_duration_below_their_edge() -> None:
    durations_ns = [0, 1_000_000, 1_000_001, 5_000_000]
    edges_ms, counts = zip(*_recorded(durations_ns).buckets(), strict=True)
    assert counts == (1, 2, 1)
    assert list(edges_ms) == sorted(edges_ms)
    assert 1.0 < edges_ms[1] <= 1.02 * 1.02
    assert not Histogram().buckets()


def test_memory_does_not_grow() -> None:
    histogram = Histogram()
    before = len(histogram._buckets)
    for duration_ns in range(0, 10**7, 997):
        histogram.record(duration_ns)
    assert len(histogram._buckets) == before


def test_empty_histogram_is_all_zero() -> None:
    assert set(Histogram().summary().values()) == {0.0}


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="one clock"):
        Histogram().record(-1)
    with pytest.raises(ValueError, match="outside"):
        Histogram().percentile_ms(101)


def test_latencies_keep_the_order_of_their_stages() -> None:
    latencies = Latencies(("decode", "infer", "write"))
    latencies.record("write", 3)
    latencies.record("decode", 4)
    assert list(latencies.summary()) == ["decode", "infer", "write"]
    assert latencies["write"].count == 1
    with pytest.raises(KeyError):
        latencies.record("nap", 1)


def test_cleared_is_as_new() -> None:
    latencies = Latencies(("infer",))
    latencies.record("infer", 9_000_000)
    latencies.clear()
    assert set(latencies["infer"].summary().values()) == {0.0}
    latencies.record("infer", 1_000_000)
    assert latencies["infer"].max_ms == latencies["infer"].percentile_ms(0) == 1.0


def test_the_999th_of_a_thousand_is_the_last_that_99_9_percent_do_not_exceed() -> None:
    histogram = Histogram()
    for _ in range(999):
        histogram.record(1_000_000)
    histogram.record(50_000_000)

    assert histogram.percentile_ms(99.9) < 2
    assert histogram.percentile_ms(100) == 50


def test_a_span_is_the_sum_of_its_pairs_of_stamps() -> None:
    latencies = Latencies(("infer",))
    latencies.span("infer", 0, 2_000_000, 5_000_000, 6_000_000, serial=3)

    assert latencies["infer"].total_ns == 3_000_000
