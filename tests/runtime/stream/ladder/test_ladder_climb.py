"""The rules of the ladder, on a simulated camera and simulated restorers: no clock, no threads."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import pytest

from crispstream.runtime.stream.ladder.climb import (
    FIRST_WAIT_NS,
    LONGEST_WAIT_NS,
    MISSES,
    PATIENCE,
    Controller,
    Outcome,
)

MS = 1_000_000
SECOND = 1_000 * MS
Cost = Callable[[int, int], int]
"""From (rung, frame number) to the service time in ns."""


class Simulation:
    """A camera, one place for its newest frame, and a restorer whose cost is a function."""

    def __init__(
        self,
        costs_ms: Sequence[float],
        cost: Cost,
        *,
        budget_ms: int = 33,
        interval_ms: int = 33,
        in_hurry: bool = False,
    ) -> None:
        self.interval_ns = interval_ms * MS
        self.budget_ns = budget_ms * MS
        self.cost = cost
        costs_ns = [round(each * MS) for each in costs_ms]
        keep_up = self.interval_ns if in_hurry else None
        self.controller = Controller(costs_ns, self.budget_ns, 0, keep_up)
        self.rungs: list[int] = []
        self.changes: list[tuple[int, int]] = []
        self.missed: list[int] = []
        self._free_ns = 0

    def run(self, frames: int) -> None:
        begun = len(self.rungs)
        for number in range(begun, begun + frames):
            self.rungs.append(self.controller.rung)
            captured_ns = number * self.interval_ns
            if captured_ns + self.interval_ns > self._free_ns:  # else the next one replaces it
                self._restore(number, captured_ns)

    def _restore(self, number: int, captured_ns: int) -> None:
        rung = self.controller.rung
        service_ns = self.cost(rung, number)
        self._free_ns = max(captured_ns, self._free_ns) + service_ns
        age_ns = self._free_ns - captured_ns
        missed = age_ns > self.budget_ns
        if missed:
            self.missed.append(number)
        outcome = Outcome(self._free_ns, age_ns, missed, rung, service_ns)
        if self.controller.observe(outcome):
            self.changes.append((number, self.controller.rung))


def steady(costs_ms: Sequence[float]) -> Cost:
    return lambda rung, _number: round(costs_ms[rung] * MS)


def under_load(costs_ms: Sequence[float], factor: float, frames: range) -> Cost:
    return lambda rung, number: round(costs_ms[rung] * MS * (factor if number in frames else 1))


def test_a_rung_that_fits_stays() -> None:
    costs_ms = [20, 8, 3]
    simulation = Simulation(costs_ms, steady(costs_ms))
    simulation.run(1_000)
    assert not simulation.changes
    assert not simulation.missed


def test_a_load_brings_it_down_within_a_few_frames_and_its_end_up_again() -> None:
    costs_ms, load = [20, 8, 3], range(300, 600)
    simulation = Simulation(costs_ms, under_load(costs_ms, 2, load))
    simulation.run(1_200)
    assert [rung for _, rung in simulation.changes] == [1, 0]
    down, up = (number for number, _ in simulation.changes)
    assert 300 <= down <= 300 + 2 * MISSES
    assert 600 < up <= 600 + 30 + FIRST_WAIT_NS // simulation.interval_ns + 5
    assert len(simulation.missed) <= 2 * MISSES


def test_a_heavy_load_skips_the_rungs_that_would_not_do() -> None:
    costs_ms = [20, 15, 3]
    simulation = Simulation(costs_ms, under_load(costs_ms, 3, range(300, 600)))
    simulation.run(700)
    assert simulation.changes[0][1] == 2


def test_one_very_long_frame_is_enough() -> None:
    simulation = Simulation([20, 8], lambda _, number: (200 if number == 50 else 8) * MS)
    simulation.run(60)
    assert simulation.changes == [(50, 1)]


def test_noise_does_not_make_it_oscillate() -> None:
    noise = Random(7)
    costs_ms = [20, 8, 3]
    simulation = Simulation(
        costs_ms, lambda rung, _: round(costs_ms[rung] * MS * noise.uniform(0.7, 1.4))
    )
    simulation.run(10_000)
    assert not simulation.changes


def test_a_rung_that_jitters_beyond_the_budget_is_left_for_good() -> None:
    noise = Random(7)
    costs_ms = [25, 8]  # with this jitter one frame in nine of the better one is late
    simulation = Simulation(
        costs_ms, lambda rung, _: round(costs_ms[rung] * MS * noise.uniform(0.7, 1.4))
    )
    simulation.run(10_000)
    assert [rung for _, rung in simulation.changes] == [1]


def test_a_rung_that_fits_without_room_to_spare_is_come_back_to_later() -> None:
    costs_ms = [30, 8]
    simulation = Simulation(costs_ms, under_load(costs_ms, 2, range(300, 330)))
    simulation.run(1_000)
    assert [rung for _, rung in simulation.changes] == [1, 0]
    away_ns = (simulation.changes[1][0] - 330) * simulation.interval_ns
    assert away_ns > PATIENCE * FIRST_WAIT_NS


def test_a_better_rung_that_never_holds_is_backed_off_exponentially() -> None:
    # It was measured before the load, and the lower rung does not feel the load.
    simulation = Simulation([20, 8], lambda rung, _: (50 if rung == 0 else 8) * MS)
    simulation.run(20_000)
    climbs = [number for number, rung in simulation.changes if rung == 0]
    waits_ns = [
        (later - earlier) * simulation.interval_ns for earlier, later in pairwise([0, *climbs])
    ]
    assert waits_ns[0] > PATIENCE * FIRST_WAIT_NS
    assert all(later > 1.5 * earlier for earlier, later in pairwise(waits_ns[:5]))
    assert max(waits_ns) < LONGEST_WAIT_NS + 5 * SECOND
    assert len(simulation.missed) <= 4 * (len(climbs) + 1)


def test_after_many_failures_a_climb_of_ten_minutes_is_none() -> None:
    def cost(rung: int, number: int) -> int:
        loaded = number < 5_000 or 8_000 <= number < 8_003
        return (50 if rung == 0 and loaded else 8) * MS

    simulation = Simulation([20, 8], cost, interval_ms=300)
    simulation.run(9_000)
    fall, climb = (number for number, _ in simulation.changes[-2:])
    assert fall == 8_002
    assert (climb - fall) * simulation.interval_ns < 4 * PATIENCE * FIRST_WAIT_NS


def test_it_comes_back_although_the_lower_rung_felt_no_load() -> None:
    simulation = Simulation(
        [20, 8], lambda rung, number: (50 if rung == 0 and number in range(300, 700) else 8) * MS
    )
    simulation.run(4_000)
    assert simulation.controller.rung == 0
    assert simulation.changes[-1][0] < 700 + 2 * (700 - 300)


def test_a_climb_that_lasts_makes_the_next_wait_short_again() -> None:
    costs_ms = [20, 8]
    loads = (range(300, 320), range(600, 620), range(3_000, 3_020))

    def cost(rung: int, number: int) -> int:
        loaded = any(number in load for load in loads)
        return round(costs_ms[rung] * MS * (3 if loaded else 1))

    simulation = Simulation(costs_ms, cost)
    simulation.run(4_000)
    falls = [number for number, rung in simulation.changes if rung == 1]
    climbs = [number for number, rung in simulation.changes if rung == 0]
    away = [climb - fall for fall, climb in zip(falls, climbs, strict=True)]
    assert len(away) == 3
    assert away[1] > 1.4 * away[0]
    assert away[2] == pytest.approx(away[0], abs=3)


def test_a_rung_that_is_passed_through_on_the_way_down_has_not_failed() -> None:
    costs_ms = [20, 8, 3]
    loads = {**dict.fromkeys(range(300, 320), 2), **dict.fromkeys(range(420, 430), 2)}
    loads.update(dict.fromkeys(range(430, 460), 5))
    simulation = Simulation(
        costs_ms, lambda rung, number: round(costs_ms[rung] * MS * loads.get(number, 1))
    )
    simulation.run(600)
    assert [rung for _, rung in simulation.changes][:5] == [1, 0, 1, 2, 1]
    away_ns = (simulation.changes[4][0] - 460) * simulation.interval_ns
    assert away_ns < FIRST_WAIT_NS + 30 * simulation.interval_ns + SECOND // 2


def test_a_budget_that_nothing_keeps_ends_on_the_last_rung() -> None:
    costs_ms = [60, 50, 40]
    simulation = Simulation(costs_ms, steady(costs_ms))
    simulation.run(1_000)
    assert simulation.controller.rung == 2
    assert simulation.controller.helpless
    assert not simulation.changes


def test_it_is_no_longer_helpless_once_the_last_rung_holds() -> None:
    costs_ms = [20, 10]
    simulation = Simulation(costs_ms, under_load(costs_ms, 8, range(50, 100)))
    simulation.run(100)
    assert simulation.controller.helpless
    simulation.run(900)
    assert not simulation.controller.helpless
    assert simulation.controller.rung == 0


def test_frames_may_not_take_longer_than_from_one_to_the_next() -> None:
    costs_ms = [20, 8]
    load = under_load(costs_ms, 2, range(100, 10_000))
    patient = Simulation(costs_ms, load, budget_ms=200)
    hurried = Simulation(costs_ms, load, budget_ms=200, in_hurry=True)
    for simulation in (patient, hurried):
        simulation.run(1_000)
    assert (patient.controller.rung, hurried.controller.rung) == (0, 1)
