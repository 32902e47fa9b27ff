"""Turns, warm-up, budgets and pairs of the GPU check, on a clock that moves only when told to."""

import itertools

import pytest

from benchmarks.gpu_check.record import Row
from benchmarks.gpu_check.steps import OUT_OF_TIME, Deadline, NotRun, reason_of, there, tried
from benchmarks.gpu_check.timing import Pace, Timed, Variant, compare, in_turns
from crispstream.core.clock import FakeClock
from crispstream.core.errors import EngineError

FAST = Row("edge-s", "resident", "engine", "fp16", True, 1)
SLOW = Row("edge-s", "resident", "torch", "fp16", False, 1)
FOUR = FAST._replace(streams=4)
PACE = Pace(rounds=5, burst_seconds=0.1, warm_seconds=0.2, most_frames=1000)


class Bench:
    """Variants that take a known time a frame, and what was run in which order."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.deadline = Deadline(1000, self.clock)
        self.bursts: list[tuple[Row, int]] = []

    def variant(self, row: Row, ms: float, *, fails_at: int | None = None) -> Variant:
        count = itertools.count()

        def burst(frames: int) -> float:
            if next(count) == fails_at:
                raise EngineError("the device is gone")
            self.bursts.append((row, frames))
            self.clock.advance(round(frames * ms * 1e6))
            return frames * ms / 1e3

        return Variant(row, burst)

    def run(self, *variants: Variant, budget: float = 100.0) -> dict[Row, Timed | str]:
        return in_turns(variants, PACE, self.deadline, budget)


def test_bursts_take_turns_after_the_warm_up() -> None:
    bench = Bench()
    found = bench.run(bench.variant(FAST, 1.0), bench.variant(SLOW, 4.0))
    rounds = [row for row, _ in bench.bursts[-10:]]
    assert rounds == [FAST, SLOW] * 5
    assert [bench.bursts[-2][1], bench.bursts[-1][1]] == [100, 25]  # 0.1 s of each
    figures = [found[row].figures() for row in (FAST, SLOW)]  # type: ignore[union-attr]
    assert [each["ms_per_frame"] for each in figures] == [
        {"median": 1.0, "lowest": 1.0, "highest": 1.0, "repeats": 5},
        {"median": 4.0, "lowest": 4.0, "highest": 4.0, "repeats": 5},
    ]
    assert [each["frames_per_second"] for each in figures] == [1000.0, 250.0]


def test_warm_up_lasts_as_long_as_was_asked_for() -> None:
    bench = Bench()
    bench.run(bench.variant(FAST, 1.0))
    warm = bench.bursts[:-5]
    assert sum(frames for _, frames in warm) >= 200
    assert sum(frames for _, frames in warm[:-1]) < 200


def test_a_burst_is_never_shorter_than_the_streams_nor_longer_than_the_most() -> None:
    bench = Bench()
    bench.run(bench.variant(FOUR, 1000.0), bench.variant(FAST, 0.0001))
    assert {frames for row, frames in bench.bursts if row == FOUR} == {4}
    assert max(frames for row, frames in bench.bursts if row == FAST) == PACE.most_frames


@pytest.mark.parametrize("fails_at", [0, 4])
def test_what_fails_leaves_its_reason_and_the_others_go_on(fails_at: int) -> None:
    bench = Bench()
    found = bench.run(bench.variant(SLOW, 50.0, fails_at=fails_at), bench.variant(FAST, 1.0))
    assert found[SLOW] == "the device is gone"
    fast = found[FAST]
    assert isinstance(fast, Timed)
    assert len(fast.ms) == 5


def test_a_spent_budget_ends_the_rounds() -> None:
    bench = Bench()
    found = bench.run(bench.variant(FAST, 1.0), budget=0.55)
    fast = found[FAST]
    assert isinstance(fast, Timed)
    assert 1 <= len(fast.ms) < 5


def test_after_the_deadline_nothing_is_begun() -> None:
    bench = Bench()
    bench.clock.advance(2_000_000_000_000)
    assert bench.run(bench.variant(FAST, 1.0)) == {FAST: OUT_OF_TIME}
    assert bench.bursts == []


def test_further_figures_are_asked_for_at_the_end() -> None:
    bench = Bench()
    plain = bench.variant(FAST, 1.0)
    variant = Variant(FAST, plain.burst, more=lambda: {"device_ms": {"infer": len(bench.bursts)}})
    timed = bench.run(variant)[FAST]
    assert isinstance(timed, Timed)
    assert timed.figures()["device_ms"] == {"infer": len(bench.bursts)}


def test_ratios_are_of_rounds_that_both_were_in() -> None:
    timed: dict[Row, Timed | str] = {
        FAST: Timed(10, "host", {0: 1.0, 1: 5.0, 2: 1.0}),
        SLOW: Timed(10, "host", {0: 3.0, 1: 15.0}),
    }
    found = compare(timed, FAST, SLOW)
    assert found is not None
    assert (found.ratio.median, found.ratio.pairs) == (3.0, 2)
    assert compare({**timed, SLOW: "no torch"}, FAST, SLOW) is None
    assert compare(timed, FAST, FOUR) is None


def test_the_share_of_the_roof_is_least_time_over_time() -> None:
    timed = Timed(10, "cuda events", {0: 0.2, 1: 0.2})
    assert timed.figures(0.05)["roof_share"] == pytest.approx(0.25)
    assert timed.figures()["roof_share"] is None


def test_a_failed_step_becomes_a_sentence() -> None:
    def fail(error: Exception) -> int:
        raise error

    assert tried(lambda: 3) == 3
    assert tried(lambda: fail(NotRun("no GPU"))) == "no GPU"
    assert tried(lambda: fail(EngineError("first\nsecond"))) == "first"
    assert tried(lambda: fail(RuntimeError("CUDA out of memory"))) == (
        "RuntimeError: CUDA out of memory"
    )
    assert reason_of(MemoryError()) == "MemoryError"
    with pytest.raises(NotRun, match="no GPU"):
        there("no GPU")
    assert there(3) == 3
