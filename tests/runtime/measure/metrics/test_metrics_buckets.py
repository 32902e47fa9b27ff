"""Histograms at fixed edges: how edges are rounded, and that what is told never goes back."""

import random
import threading
from itertools import pairwise

import pytest

from crispstream.runtime.latency import Histogram
from crispstream.runtime.measure.metrics.buckets import EDGES_SECONDS, cumulative


def histogram_of(durations_ns: list[int]) -> Histogram:
    histogram = Histogram()
    for duration_ns in durations_ns:
        histogram.record(duration_ns)
    return histogram


def test_edges_rise_from_a_quarter_of_a_millisecond_to_ten_seconds() -> None:
    assert EDGES_SECONDS[0] == 0.00025
    assert EDGES_SECONDS[-1] == 10
    assert all(low < high for low, high in pairwise(EDGES_SECONDS))


def test_an_empty_histogram_is_all_noughts() -> None:
    found = cumulative(Histogram())
    assert found.counts == (0,) * (len(EDGES_SECONDS) + 1)
    assert found.sum_seconds == 0


@pytest.mark.parametrize("edge", range(len(EDGES_SECONDS)))
def test_an_edge_holds_to_one_per_cent(edge: int) -> None:
    below, above = (round(EDGES_SECONDS[edge] * 1e9 * by) for by in (0.9899, 1.0101))
    found = cumulative(histogram_of([below, above]))
    assert found.counts[edge] == 1
    assert found.counts[edge + 1] == 2


def test_counts_are_those_of_the_durations_but_for_those_at_an_edge() -> None:
    rng = random.Random(7)
    durations_ns = [round(rng.lognormvariate(17, 1.5)) for _ in range(5000)]
    found = cumulative(histogram_of(durations_ns))
    for edge, count in zip(EDGES_SECONDS, found.counts, strict=False):
        least, most = (sum(one <= edge * 1e9 * by for one in durations_ns) for by in (0.99, 1.01))
        assert least <= count <= most
    assert found.counts[-1] == 5000


def test_the_sum_is_exact_to_the_nanosecond() -> None:
    rng = random.Random(3)
    durations_ns = [rng.randrange(1, 10**10) for _ in range(999)]
    assert round(cumulative(histogram_of(durations_ns)).sum_seconds * 1e9) == sum(durations_ns)


def test_what_is_read_while_another_thread_writes_agrees_and_never_goes_back() -> None:
    histogram, ready, done = Histogram(), threading.Event(), threading.Event()

    def write() -> None:
        rng = random.Random(5)
        ready.set()
        for _ in range(30_000):
            histogram.record(rng.randrange(1000, 10**8))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    ready.wait()
    before = cumulative(Histogram())
    while not done.is_set():
        found = cumulative(histogram)
        assert all(now >= was for now, was in zip(found.counts, before.counts, strict=True))
        assert all(low <= high for low, high in pairwise(found.counts))
        assert found.sum_seconds >= before.sum_seconds
        before = found
    writer.join()
    assert cumulative(histogram).counts[-1] == 30_000
