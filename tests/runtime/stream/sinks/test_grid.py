"""The grid of a constant rate: every slot once, in order, and no drift however long it runs."""

import random
from fractions import Fraction

import pytest

from crispstream.runtime.stream.sinks.grid import FrameGrid

NTSC = Fraction(30_000, 1001)
MILLISECOND = Fraction(1, 1000)


def _grid(rate: Fraction, time_base: Fraction) -> FrameGrid:
    return FrameGrid(rate, time_base, longest_fill_seconds=60)


def _written(grid: FrameGrid, times: list[int]) -> list[tuple[int, int]]:
    """Slot and time of the picture shown in it, in the order of writing."""
    written: list[tuple[int, int]] = []
    for pts in times:
        repeats, slot = grid.place(pts)
        written += [(repeat, written[-1][1]) for repeat in repeats]
        if slot is not None:
            written.append((slot, pts))
    return written


@pytest.mark.parametrize("rate", [NTSC, Fraction(25), Fraction(60), Fraction(5)])
def test_ten_thousand_irregular_frames_fill_every_slot_once(rate: Fraction) -> None:
    chance = random.Random(6)
    times = [0]
    while len(times) < 10_000:
        times.append(times[-1] + chance.choice((1, 20, 33, 40, 41, 500)))
    slots = [slot for slot, _ in _written(_grid(rate, MILLISECOND), times)]
    assert slots == list(range(len(slots)))
    assert abs(slots[-1] / rate - times[-1] * MILLISECOND) <= 1 / rate


@pytest.mark.parametrize("rate", [NTSC, Fraction(24_000, 1001), Fraction(60)])
def test_an_hour_does_not_drift(rate: Fraction) -> None:
    """Each picture that has its slot is within half a slot of its time, at the end as at first."""
    grid = _grid(rate, MILLISECOND)
    for pts in range(0, 3_600_000, 367):
        _, slot = grid.place(pts)
        if slot is not None:
            assert abs(slot / rate - pts * MILLISECOND) <= 1 / (2 * rate)


def test_pictures_of_the_grid_itself_are_neither_repeated_nor_left_out() -> None:
    time_base = Fraction(1, 90_000)
    times = [round(n / NTSC / time_base) for n in range(5000)]
    assert _written(_grid(NTSC, time_base), times) == list(enumerate(times))


def test_a_stream_may_begin_before_or_long_after_zero() -> None:
    for begin in (-5000, 86_400_000):
        written = _written(_grid(Fraction(10), MILLISECOND), [begin, begin + 300])
        assert [slot for slot, _ in written] == [begin // 100 + n for n in range(4)]


def test_a_night_without_pictures_is_not_filled() -> None:
    grid = _grid(Fraction(10), MILLISECOND)
    grid.place(0)
    assert grid.place(3_600_000) == (range(0), 36_000)
    assert grid.place(3_600_300) == (range(36_001, 36_003), 36_003)


def test_the_last_picture_is_shown_to_its_end() -> None:
    grid = _grid(Fraction(10), MILLISECOND)
    grid.place(0)
    assert grid.rest(400) == range(1, 4)
    assert list(_grid(Fraction(10), MILLISECOND).rest(400)) == []
