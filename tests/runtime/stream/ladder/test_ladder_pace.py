"""A ladder that nobody told how fast frames come learns it from them."""

from fractions import Fraction

import numpy as np

from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.ladder.pace import Pace
from tests.runtime.stream.ladder.fake_rungs import HEIGHT, MS, WIDTH, FakeRung, ladder_of

PIXELS = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def frame(serial: int, captured_ms: float, fresh: bool = False) -> Frame:
    captured_ns = round(captured_ms * MS)
    return Frame(PIXELS, serial, serial, Fraction(1, 30), captured_ns, fresh=fresh)


def lost_to_the_slot(rungs: tuple[float, float], announced: float | None, watched: bool) -> int:
    """Frames of 240, one each 33 ms, that the ladder was too slow for, whatever the budget."""
    ladder, restorers, clock = ladder_of(*rungs, budget_ms=1_000)
    slow: FakeRung = restorers[0]
    slow.cost_ms = 60
    ladder.keep_up_with(announced)
    begun_ns, lost, busy_until_ns = clock(), 0, 0
    for serial in range(240):
        captured_ns = begun_ns + serial * 33 * MS
        if captured_ns + 33 * MS <= busy_until_ns:
            lost += 1  # a newer one takes its place
            continue
        clock.advance(max(0, captured_ns - clock()))
        ladder.submit(PIXELS)
        if watched:
            ladder.watch(Frame(PIXELS, serial, serial, Fraction(1, 30), captured_ns))
        ladder.collect()
        busy_until_ns = clock()
        ladder.observe(clock() - captured_ns, False)
    return lost


def test_frames_that_the_slot_drops_bring_it_down_where_no_rate_is_announced() -> None:
    assert lost_to_the_slot((20, 8), None, watched=False) > 80
    assert lost_to_the_slot((20, 8), None, watched=True) < 20
    assert lost_to_the_slot((20, 8), 1e3 / 33, watched=True) < 10


def test_a_rate_that_was_told_stands() -> None:
    ladder, _, _ = ladder_of(20, 8)
    ladder.keep_up_with(10)
    for serial in range(50):
        ladder.watch(frame(serial, serial * 5))
    assert ladder._interval_ns == 100 * MS


def test_bursts_are_averaged_and_dropped_frames_count() -> None:
    pace = Pace()
    seen = [pace.note(frame(serial, serial // 3 * 120)) for serial in range(0, 240, 2)]
    assert all(each is None for each in seen[:9])
    assert all(abs(each - 40 * MS) < 5 * MS for each in seen[30:])


def test_the_time_without_a_connection_is_no_interval() -> None:
    pace = Pace()
    for serial in range(20):
        pace.note(frame(serial, serial * 40))
    assert pace.note(frame(20, 60_000, fresh=True)) is None
    after = [pace.note(frame(serial, 60_000 + (serial - 20) * 40)) for serial in range(21, 40)]
    assert after[-1] == 40 * MS
