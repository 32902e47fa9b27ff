"""The ladder over fake restorers: which rung gets which frame, and that none is lost."""

from random import Random

import numpy as np
import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import FrameError, UsageError
from crispstream.runtime.stream.ladder.ladder import Ladder
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.restoring import FrameRestorer
from tests.helpers.streams import NotingSink, synth
from tests.runtime.stream.ladder.fake_rungs import (
    MS,
    FakeRung,
    ladder_of,
    number_of,
    numbered,
    restore,
)


def test_it_is_a_restorer_for_the_loop() -> None:
    ladder, _, _ = ladder_of(20, 8)
    restorer: FrameRestorer = ladder
    assert (restorer.rung, restorer.in_flight, restorer.frames_in_flight) == ("rung0", 0, 2)


def test_it_takes_the_rung_that_fits_and_says_so() -> None:
    ladder, _, clock = ladder_of(50, 8)
    assert ladder.rung == "rung1"
    restore(ladder, clock)
    assert (ladder.use().rungs[1].frames, ladder.use().changes) == (1, 0)


def test_misses_bring_it_down_and_calm_brings_it_up() -> None:
    ladder, rungs, clock = ladder_of(20, 8)
    for rung in rungs:
        rung.cost_ms *= 2
    names = []
    for _ in range(60):
        restore(ladder, clock)
        names.append(ladder.rung)
    assert names.index("rung1") == 3
    assert set(names[3:]) == {"rung1"}
    for rung in rungs:
        rung.cost_ms /= 2
    for _ in range(200):
        restore(ladder, clock)
    assert ladder.rung == "rung0"


class WilfulController:
    """A fake that changes its mind at any frame."""

    helpless = False
    rung = 0

    def __init__(self, rungs: int, chance: Random) -> None:
        self._rungs = rungs
        self._chance = chance

    def observe(self, _outcome: object) -> str:
        self.rung = self._chance.randrange(self._rungs)
        return "it wants to"


def test_frames_come_in_order_each_once_whatever_rung_they_are_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ladder, _, clock = ladder_of(21, 9, 3, in_flight=3)
    chance, collected = Random(3), []
    monkeypatch.setattr(ladder, "_controller", WilfulController(3, chance))
    for number in range(10_000):
        clock.advance(chance.randrange(40) * MS)
        ladder.submit(numbered(number))
        while ladder.in_flight > chance.randrange(3):
            collected.append(number_of(ladder.collect()))
            ladder.observe(MS, False)
    while ladder.in_flight:
        collected.append(number_of(ladder.collect()))
    use = ladder.use()
    assert collected == list(range(10_000))
    assert use.changes > 1_000
    assert len(use.switches) == 200
    assert sum(rung.frames for rung in use.rungs) == 10_000
    assert sum(rung.entered for rung in use.rungs) == use.changes


def test_frames_in_flight_in_the_old_rung_are_collected_while_new_ones_go_to_the_next() -> None:
    ladder, rungs, clock = ladder_of(20, 8)
    for number in range(3):
        clock.advance(33 * MS)
        ladder.submit(numbered(2 * number))
        ladder.submit(numbered(2 * number + 1))
        ladder.collect()
        ladder.observe(50 * MS, True)
        if number < 2:
            ladder.collect()
    ladder.submit(numbered(6))
    assert [rung.in_flight for rung in rungs] == [1, 1]
    assert (number_of(ladder.collect()), ladder.rung) == (5, "rung0")
    assert (number_of(ladder.collect()), ladder.rung) == (6, "rung1")


def test_the_rung_that_is_entered_has_forgotten_the_frames_before() -> None:
    ladder, rungs, clock = ladder_of(20, 8)
    for _ in range(5):
        restore(ladder, clock)
    rungs[1].remembered = 7
    for _ in range(3):
        restore(ladder, clock, late=True)
    assert restore(ladder, clock)[0, 0, 0] == 0
    assert restore(ladder, clock)[0, 0, 0] == 1
    assert ladder.rung == "rung1"
    assert rungs[0].remembered == 8  # left alone until it is entered again


def test_a_reset_is_one_of_the_rung_in_charge() -> None:
    ladder, rungs, clock = ladder_of(20, 8)
    restore(ladder, clock)
    ladder.reset()
    assert rungs[0].remembered == 0


def test_a_new_size_is_made_ready_for_in_every_rung_before_its_first_frame() -> None:
    ladder, rungs, clock = ladder_of(20, 8)
    restore(ladder, clock)
    ladder.submit(np.zeros((6, 10, 3), np.uint8))
    assert [rung.sizes for rung in rungs] == [[(8, 4), (10, 6)]] * 2
    with pytest.raises(FrameError, match="8x4 px are to come while 1 of another"):
        ladder.submit(numbered(0))
    assert ladder.collect().shape == (24, 40, 3)
    assert ladder.latencies["infer"].count > 1


def test_a_new_size_may_change_the_rung() -> None:
    ladder, rungs, clock = ladder_of(20, 8)
    restore(ladder, clock)
    rungs[0].cost_ms = 80
    ladder.submit(np.zeros((6, 10, 3), np.uint8))
    ladder.collect()
    assert ladder.rung == "rung1"
    assert ladder.use().switches[-1].why == "frames are 10x6 px now"


def test_frames_may_come_too_fast_for_a_rung_that_is_within_the_budget() -> None:
    ladder, rungs, clock = ladder_of(20, 8, budget_ms=200)
    ladder.keep_up_with(30)
    rungs[0].cost_ms = 50
    for _ in range(5):
        restore(ladder, clock)
    assert ladder.rung == "rung1"


def test_too_many_frames_and_none_are_refused() -> None:
    ladder, _, _ = ladder_of(20, 8)
    with pytest.raises(UsageError, match="no frame is in flight"):
        ladder.collect()
    ladder.submit(numbered(0))
    ladder.submit(numbered(1))
    with pytest.raises(UsageError, match="2 frames are in flight already"):
        ladder.submit(numbered(2))


def test_bad_frames_rungs_and_budgets_are_refused() -> None:
    clock = FakeClock()
    rung = FakeRung("rung", 5, clock)
    with pytest.raises(UsageError, match="the rungs are none"):
        Ladder([], 33)
    with pytest.raises(UsageError, match="name each one once"):
        Ladder([rung, FakeRung("rung", 5, clock)], 33)
    with pytest.raises(UsageError, match="the budget is 0 ms"):
        Ladder([rung], 0)
    with pytest.raises(FrameError, match="float32"):
        Ladder([rung], 33, clock=clock).submit(np.zeros((4, 8, 3), np.float32))


def test_it_closes_every_rung() -> None:
    ladder, rungs, _ = ladder_of(20, 8)
    with ladder:
        pass
    assert [rung.closed for rung in rungs] == [1, 1]


def test_the_loop_runs_on_it() -> None:
    clock = FakeClock(1)
    rungs = [FakeRung("slow", 8, clock), FakeRung("fast", 2, clock)]
    ladder, source, sink = Ladder(rungs, 5, clock=clock), synth(20), NotingSink()
    ledger = Ledger(source.health, budget_ms=5, clock=clock)
    report = run_stream(
        source, ladder, sink, ledger=ledger, clock=clock, in_flight=2, on_outcome=ladder.observe
    )
    assert report.frames == 20
    assert sink.numbers[1:] == list(range(1, 20))
    assert sum(rung.frames for rung in ladder.use().rungs) == 20
    assert ledger.snapshot().rung == "fast"
