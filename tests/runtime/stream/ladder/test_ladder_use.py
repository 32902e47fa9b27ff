"""What a ladder tells of its rungs, over fake restorers."""

import logging

import pytest

from tests.runtime.stream.ladder.fake_rungs import MS, ladder_of, numbered, restore


def test_the_warm_up_leaves_no_trace() -> None:
    ladder, rungs, clock = ladder_of(20, 8)
    assert ladder.latencies["infer"].count == 0
    assert [rung.remembered for rung in rungs] == [0, 0]
    assert restore(ladder, clock)[0, 0, 0] == 0
    assert ladder.recurrent


def test_latencies_are_those_of_all_rungs() -> None:
    ladder, rungs, clock = ladder_of(20, 8)
    held = ladder.latencies
    for _ in range(5):
        restore(ladder, clock, late=True)
    assert held is ladder.latencies
    assert held["infer"].count == 5
    assert held["infer"].buckets() == rungs[1].latencies["infer"].buckets()
    assert held["infer"].max_ms == 20


def test_a_rung_as_slow_as_a_better_one_is_left_out() -> None:
    ladder, rungs, clock = ladder_of(20, 19, 54, 8)
    assert [rung.left_out for rung in ladder.use().rungs] == [False, True, True, False]
    assert (
        "rung0, rung3 within 33 ms (left out, as slow as a better one: rung1, rung2)" in ladder.why
    )
    rungs[0].cost_ms = 90
    for _ in range(10):
        restore(ladder, clock)
    assert [rung.frames for rung in ladder.use().rungs] == [3, 0, 0, 7]


def test_time_and_misses_are_put_down_to_the_rung_in_charge() -> None:
    ladder, _, clock = ladder_of(20, 8)
    for number in range(100):
        restore(ladder, clock, number, late=number in (40, 41, 42))
    first, second = ladder.use().rungs
    assert (first.missed, second.missed, second.entered) == (3, 0, 1)
    assert first.frames + second.frames == 100
    assert first.seconds == pytest.approx(43 * 0.053, abs=0.04)
    assert first.seconds + second.seconds == pytest.approx(43 * 0.053 + 57 * 0.041, abs=0.04)
    (switch,) = ladder.use().switches
    assert (switch.left, switch.entered) == ("rung0", "rung1")
    assert switch.why == "3 of the last 10 frames missed"
    assert ladder.use().line().startswith("rungs: rung0 2.3 s (43 frames, 3 missed), rung1")


def test_skipped_frames_are_misses_of_the_rung_in_charge() -> None:
    ladder, _, clock = ladder_of(20, 8)
    restore(ladder, clock)
    clock.advance(500 * MS)
    for _ in range(3):
        ladder.observe(40 * MS, True)
    assert ladder.use().rungs[0].missed == 3
    restore(ladder, clock)
    assert ladder.rung == "rung1"


def test_a_skipped_frame_is_none_of_the_rung_that_was_left() -> None:
    ladder, _, clock = ladder_of(20, 8)
    for _ in range(3):
        restore(ladder, clock, late=True)
    ladder.submit(numbered(3))
    ladder.observe(40 * MS, True)
    assert [rung.missed for rung in ladder.use().rungs] == [3, 1]


def test_a_budget_that_no_rung_keeps_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    ladder, _, clock = ladder_of(60, 50)
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            restore(ladder, clock)
    assert [record.getMessage() for record in caplog.records] == [
        "ladder: even rung1 misses the budget of 33 ms"
    ]
    assert ladder.use().rungs[1].missed == 100


def test_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    ladder, _, clock = ladder_of(20, 8)
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            restore(ladder, clock, late=True)
    assert "ladder: rung0 -> rung1: 3 of the last 3 frames missed" in caplog.messages
