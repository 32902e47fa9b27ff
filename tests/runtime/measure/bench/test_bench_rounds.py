"""Rounds, deadlines, readings and the pace of frames: exact, and never larger than they should."""

import itertools
import threading

import pytest

from crispstream.core.clock import FakeClock
from crispstream.runtime.measure.bench.pace import Pace
from crispstream.runtime.measure.bench.rounds import (
    MOST_READINGS,
    MOST_ROUNDS,
    Deadline,
    Readings,
    Rounds,
    Track,
)
from crispstream.runtime.measure.figures import Reading
from crispstream.runtime.measure.gather import Gather
from tests.helpers.fakes.fake_benched import MS, sleeping


def test_a_round_is_its_median() -> None:
    rounds = Rounds()
    rounds.add([9 * MS, 1 * MS, 2 * MS])
    rounds.add([1 * MS, 2 * MS])
    assert rounds.medians_ms == [2.0, 1.5]


@pytest.mark.parametrize("count", [MOST_ROUNDS - 1, MOST_ROUNDS, 3 * MOST_ROUNDS + 4])
def test_many_rounds_become_means_of_neighbours_in_order(count: int) -> None:
    rounds = Rounds()
    for number in range(count):
        rounds.add([number * MS])
    kept = rounds.medians_ms
    each = 1 if count < MOST_ROUNDS else 2 if count < 2 * MOST_ROUNDS else 4
    assert len(kept) == count // each < MOST_ROUNDS
    assert kept == [pytest.approx(n * each + (each - 1) / 2) for n in range(len(kept))]


def test_misses_are_beyond_the_deadline_and_the_longest_run_is_kept() -> None:
    deadline = Deadline(10)
    for milliseconds in (10, 11, 12, 9, 11, 3):
        deadline.record(milliseconds * MS)
    misses = deadline.misses()
    assert (misses.missed, misses.of, misses.in_a_row, misses.deadline_ms) == (3, 6, 2, 10)


def test_a_track_without_a_frame_measured_nothing() -> None:
    track = Track(Gather(clock=FakeClock()), deadline_ms=5)
    assert track.measured() is None
    track.record(4 * MS, 0)
    measured = track.measured()
    assert measured is not None
    assert measured.frames_per_second == 250
    assert measured.misses is not None
    assert measured.misses.missed == 0
    assert Track(Gather(clock=FakeClock())).overrun is None


def test_readings_are_thinned_out_evenly() -> None:
    readings = Readings()
    for number in range(5 * MOST_READINGS):
        readings.add(Reading(float(number), {}))
    seconds = [reading.seconds for reading in readings.kept]
    assert len(seconds) < MOST_READINGS
    assert {later - earlier for earlier, later in itertools.pairwise(seconds)} == {8.0}


def test_the_last_reading_is_kept_whoever_else_was_thinned_out() -> None:
    readings = Readings()
    for number in range(2 * MOST_READINGS + 1):
        readings.add(Reading(float(number), {}))
    readings.add(None)
    readings.end(Reading(1e6, {}))
    readings.end(None)
    assert readings.kept[-1].seconds == 1e6
    assert len(readings.kept) <= MOST_READINGS


def test_free_running_frames_follow_at_once_or_after_a_pause() -> None:
    clock = FakeClock()
    Pace(None, 0, clock, sleeping(clock)).wait()
    assert clock() == 0
    pace = Pace(None, 2.5, clock, sleeping(clock))
    pace.wait()
    pace.wait()
    assert clock() == 5_000_000


def test_a_camera_keeps_its_grid_and_waits_for_nobody() -> None:
    clock = FakeClock(5)
    pace = Pace(100, 0, clock, sleeping(clock))
    begun = []
    for took_ms in (3, 10, 25, 0):
        pace.wait()
        begun.append(clock() - 5)
        clock.advance(took_ms * MS)
    # The frame of 10 ms missed the point that it ended on, that of 25 ms two of them.
    assert begun == [0, 10 * MS, 30 * MS, 60 * MS]


@pytest.mark.parametrize(("fps", "idle_ms"), [(1 / 3600, 0.0), (None, 3_600_000.0)])
def test_a_stop_ends_the_waiting_at_once(fps: float | None, idle_ms: float) -> None:
    clock, stop = FakeClock(), threading.Event()
    asked: list[float] = []

    def sleep(seconds: float) -> None:
        asked.append(seconds)
        clock.advance(round(seconds * 1e9))
        if len(asked) == 3:
            stop.set()

    pace = Pace(fps, idle_ms, clock, sleep, stop)
    if fps is not None:
        assert pace.wait()
    assert not pace.wait()
    assert len(asked) == 3
    assert sum(asked) < 1
    assert not pace.wait()
    assert len(asked) == 3


def test_what_rounds_wait_for_a_mean_takes_no_room() -> None:
    rounds = Rounds()
    for number in range(100 * MOST_ROUNDS):
        rounds.add([number])
    lists = [kept for kept in vars(rounds).values() if isinstance(kept, list)]
    assert sum(map(len, lists)) < MOST_ROUNDS
