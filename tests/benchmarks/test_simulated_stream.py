"""A small version of benchmarks/statistics_memory.py: what counts frames does not grow."""

import logging
from collections.abc import Callable

import pytest

pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")

from benchmarks.simulated_stream import most_bytes
from crispstream.runtime.measure.bench import rounds
from crispstream.runtime.measure.profiling import watching
from crispstream.runtime.stream import health
from crispstream.runtime.stream.ladder import use

Sizes = dict[str, tuple[int, int]]


@pytest.fixture
def half_an_hour(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Callable[[], Sizes]:
    """Return what the parts hold at most in a quarter of an hour and in the next one.

    With room for less than the shipped program has, so that it is full in the first.
    """
    caplog.set_level(logging.ERROR, "crispstream.stream")
    monkeypatch.setattr(watching, "MOST_EVENTS", 2000)
    monkeypatch.setattr(use, "_SWITCHES_KEPT", 20)
    monkeypatch.setattr(health, "_EVENTS_KEPT", 8)
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 64)
    monkeypatch.setattr(rounds, "MOST_READINGS", 64)
    return lambda: most_bytes(0.5, first_hours=0.25, frames_per_second=4, look_every_seconds=5)


@pytest.mark.slow
def test_statistics_of_a_long_stream_are_no_larger_than_those_of_a_short_one(
    half_an_hour: Callable[[], Sizes],
) -> None:
    sizes = half_an_hour()
    assert set(sizes) == {"books", "ladder", "drift", "metrics", "profile", "bench"}
    grown = {part: later / first for part, (first, later) in sizes.items()}
    # A number above 2^30 takes 4 bytes more, of the few thousand that a ladder holds here.
    assert max(grown.values()) < 1.02, grown


@pytest.mark.slow
def test_what_grows_is_seen(
    half_an_hour: Callable[[], Sizes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_EVENTS", 10**9)
    monkeypatch.setattr(use, "_SWITCHES_KEPT", 10**9)
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 10**9)
    grown = {part: later / first for part, (first, later) in half_an_hour().items()}
    assert min(grown[part] for part in ("profile", "ladder", "bench")) > 1.2
    assert max(grown[part] for part in ("books", "drift", "metrics")) < 1.02
