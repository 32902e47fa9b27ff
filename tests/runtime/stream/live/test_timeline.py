"""One growing line of time, whatever the clocks of the feeds do."""

from fractions import Fraction

import pytest

from crispstream.runtime.stream.live.timeline import Timeline

SECOND = 90_000
FRAME = 3600
"""Ticks of the line: 1/90000 s, and a picture at 25 a second."""

MILLISECONDS = Fraction(1, 1000)


def placed(pts, *, captured_ms=None, time_base=MILLISECONDS):
    """Times of pictures that come every 40 ms unless said otherwise."""
    captured = captured_ms or [40 * n for n in range(len(pts))]
    timeline = Timeline()
    timeline.restart(time_base)
    pairs = zip(pts, captured, strict=True)
    return [timeline.place(value, ms * 1_000_000) for value, ms in pairs], timeline


def test_good_timestamps_keep_their_exact_distances_however_unevenly_they_come():
    times, timeline = placed([700, 740, 780, 900, 940], captured_ms=[0, 95, 96, 300, 301])
    assert times == [0, FRAME, 2 * FRAME, 5 * FRAME, 6 * FRAME]
    assert timeline.jumps == 0


def test_a_fine_time_base_does_not_drift():
    times, _ = placed([n * 1001 for n in range(3000)], time_base=Fraction(1, 30_000))
    assert times[-1] == 2999 * 1001 * 3


@pytest.mark.parametrize("leap_ms", [3_600_000, -3_600_000, 10_000, -10_000])
def test_a_leap_of_the_clock_becomes_the_time_that_passed_here(leap_ms):
    pts = [5_000_000 + 40 * n + (leap_ms if n >= 3 else 0) for n in range(6)]
    times, timeline = placed(pts)
    assert times == [n * FRAME for n in range(6)]
    assert timeline.jumps == 1


def test_a_small_step_back_is_bridged_and_even_afterwards():
    times, timeline = placed([1000, 1040, 40, 80, 120])
    assert times == [0, FRAME, 2 * FRAME, 3 * FRAME, 4 * FRAME]
    assert timeline.jumps == 0


def test_timestamps_given_twice_do_not_make_the_line_run_ahead():
    times, _ = placed([0, 0, 40, 40, 80, 80, 120], captured_ms=[0, 20, 40, 60, 80, 100, 120])
    assert times[::2] == [0, FRAME, 2 * FRAME, 3 * FRAME]
    assert times == sorted(set(times))


def test_timestamps_that_stand_still_are_replaced_by_the_time_that_passed():
    times, _ = placed([100] * 5 + [140, 180])
    assert times == [n * FRAME for n in range(7)]


def test_missing_timestamps_are_replaced_by_the_time_that_passed():
    assert placed([None] * 4)[0] == [n * FRAME for n in range(4)]
    assert placed([None, 500, None, 580, 620])[0] == [n * FRAME for n in range(5)]


def test_the_clock_that_stamps_captures_may_stand_still_or_go_back():
    times, _ = placed([None] * 4, captured_ms=[100, 100, 50, 60])
    assert times == sorted(set(times))


def test_after_another_feed_the_gap_is_the_time_that_passed():
    timeline = Timeline()
    timeline.restart(MILLISECONDS)
    assert [timeline.place(9000, 0), timeline.place(9040, 40_000_000)] == [0, FRAME]
    timeline.restart(Fraction(1, 25))
    assert timeline.place(2, 7_040_000_000) == FRAME + 7 * SECOND
    assert timeline.place(3, 7_050_000_000) == 2 * FRAME + 7 * SECOND
    assert timeline.ticks(2) == 2 * FRAME


def test_a_network_that_stood_still_and_hurries_is_no_leap():
    times, timeline = placed([0, 40, 80, 120, 160], captured_ms=[0, 40, 2900, 2901, 2902])
    assert times == [n * FRAME for n in range(5)]
    assert timeline.jumps == 0


def test_any_disorder_of_clocks_gives_growing_times():
    disorder = [7, 3, None, 9_000_000, 9_000_000, -5, -6, None, 0, 2**40, 1, 1, 1, 5]
    times, _ = placed(disorder, captured_ms=[0, 5, 5, 4, 9, 8, 30, 31, 20, 22, 22, 90, 91, 92])
    assert times == sorted(set(times))
