"""The bench on fakes whose clock moves only as told: every figure is known beforehand."""

import gc
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import EngineError
from crispstream.runtime.measure.bench.bench import run_bench
from crispstream.runtime.measure.bench.record import SCOPES, BenchRecord
from crispstream.runtime.measure.figures import Reading
from tests.helpers.fakes.fake_benched import (
    COPY_IN_MS,
    COPY_OUT_MS,
    FakeBenched,
    frames,
    settings,
    sleeping,
    subject,
)

COPIES_MS = COPY_IN_MS + COPY_OUT_MS


def steady(milliseconds: float) -> Callable[[int], float]:
    return lambda _: milliseconds


class Bench:
    """Two fakes, A and B, on one clock."""

    def __init__(self, a: Callable[[int], float], b: Callable[[int], float], **of_a: Any) -> None:
        self.clock = FakeClock()
        self.turns: list[str] = []
        self.a = FakeBenched(self.clock, a, on_frame=self._noting("A"), **of_a)
        self.b = FakeBenched(self.clock, b, on_frame=self._noting("B"))
        self.stop = threading.Event()

    def _noting(self, name: str) -> Callable[[int], None]:
        return lambda _: self.turns.append(name)

    def run(self, asked: dict[str, Any] | None = None, **options: Any) -> BenchRecord:
        return run_bench(
            [subject("A", self.a), subject("B", self.b)],
            settings(**(asked or {})),
            frames(),
            clock=self.clock,
            sleep=sleeping(self.clock),
            stop=self.stop,
            **options,
        )


def test_each_scope_holds_what_it_says_and_nothing_else() -> None:
    record = Bench(steady(10), steady(20)).run({"seconds": 3.0})
    for variant, engine_ms in zip(record.variants, (10, 20), strict=True):
        assert list(variant.scopes) == list(SCOPES)
        found = {scope: each.spread for scope, each in variant.scopes.items()}
        assert (found["engine"].min_ms, found["engine"].max_ms) == (engine_ms, engine_ms)
        for scope in ("copies", "end_to_end"):
            whole_ms = engine_ms + COPIES_MS
            assert (found[scope].min_ms, found[scope].max_ms) == (whole_ms, whole_ms)
            assert variant.scopes[scope].frames_per_second == pytest.approx(1000 / whole_ms)
        assert set(variant.scopes["engine"].rounds_ms) == {engine_ms}
    ratios = record.ratios["B"]
    assert {scope: ratio.verdict for scope, ratio in ratios.items()} == dict.fromkeys(
        SCOPES, "slower"
    )
    assert ratios["engine"].median == pytest.approx(2)
    assert ratios["copies"].median == pytest.approx(23 / 13)
    assert record.notes == ()


def test_on_a_gpu_its_own_clock_tells_of_the_engine_over_all_tiles() -> None:
    record = Bench(steady(8), steady(8), device_stages=("infer", "whole")).run()
    on_device, on_host = (each.scopes for each in record.variants)
    assert on_device["engine"].spread.max_ms == 4  # twice a quarter
    assert on_host["engine"].spread.max_ms == 8
    assert on_device["copies"].spread.max_ms == on_host["copies"].spread.max_ms == 11
    assert not any("CUDA graph" in note for note in record.notes)


def test_whatever_an_engine_did_before_its_frames_are_timed_to_the_nanosecond() -> None:
    bench = Bench(steady(8), steady(8), device_stages=("infer",))
    for latencies in (bench.a.device_latencies, bench.b.latencies):
        assert latencies is not None
        latencies.record("infer", 10**17 + 1)  # beyond the 53 bits of a float
    on_device, on_host = (each.scopes["engine"].spread for each in bench.run().variants)
    assert (on_device.min_ms, on_device.max_ms) == (4, 4)
    assert (on_host.min_ms, on_host.max_ms) == (8, 8)


def test_a_frame_that_is_one_cuda_graph_is_told_of() -> None:
    record = Bench(steady(8), steady(8), device_stages=("whole",)).run()
    assert record.variants[0].scopes["engine"].spread.max_ms == 4
    assert [note for note in record.notes if note.startswith("A: each frame is one CUDA graph")]


def test_variants_take_turns_and_the_order_alternates() -> None:
    bench = Bench(steady(10), steady(10))
    record = bench.run({"warm_up_ms": 0.0, "block": 2, "seconds": 0.1}, scopes=("copies",))
    rounds = len(record.variants[0].scopes["copies"].rounds_ms)
    assert rounds == 8
    turn = 3  # one untimed, two timed
    warm_up = ["A"] * (1 + turn) + ["B"] * (1 + turn)
    both_orders = ["A"] * turn + ["B"] * 2 * turn + ["A"] * turn
    assert bench.turns == warm_up + both_orders * (rounds // 2)
    warm = [each.warm_up_frames for each in record.variants]
    assert warm == [turn + rounds] * 2
    assert record.notes[-1].startswith("each variant ran 0 ms before it was timed")


def test_variants_get_the_same_frames_in_a_round() -> None:
    bench = Bench(steady(10), steady(15))
    bench.run({"warm_up_ms": 0.0})
    assert bench.a.seen == bench.b.seen
    assert set(bench.a.seen) == {0, 1, 2, 3}


def test_the_first_frame_and_the_warm_up_are_no_part_of_anything_else() -> None:
    bench = Bench(lambda number: 500 if number == 0 else 40 if number < 5 else 10, steady(10))
    record = bench.run({"warm_up_ms": 200.0})
    first = record.variants[0]
    assert first.first_frame_ms == 503
    assert first.scopes["copies"].spread.max_ms == 13
    # 43 ms four times and 13 ms three times are the first to be 200 and more.
    # Then come two turns of four, and of each turn after that the first frame.
    assert first.warm_up_frames == 7 + 2 * 4 + 2 * len(first.scopes["copies"].rounds_ms)


def test_a_drift_of_the_machine_does_not_look_like_a_difference() -> None:
    bench = Bench(steady(0), steady(0))
    drifting = lambda _: 10 * 2 ** (bench.clock() / 4e9)  # noqa: E731 - needs the clock above
    bench.a._engine_ms = bench.b._engine_ms = drifting
    record = bench.run({"seconds": 4.0})
    spread = record.variants[0].scopes["engine"].spread
    assert spread.max_ms > 1.9 * spread.min_ms
    assert {ratio.verdict for ratio in record.ratios["B"].values()} == {"no difference"}
    means = [moment.mean_ms for moment in record.variants[0].scopes["engine"].timeline]
    assert means == sorted(means)


@pytest.mark.parametrize(
    ("asked", "frames_timed"),
    [
        ({"seconds": 0.001}, 24),  # eight rounds of three, which an interval takes
        ({"seconds": 0.001, "iterations": 100}, 102),
        ({"seconds": 0.001, "confidence": 0.9}, 18),
        ({"seconds": 1.04}, 30),
    ],
)
def test_the_run_lasts_for_what_takes_longest(asked: dict[str, Any], frames_timed: int) -> None:
    record = Bench(steady(10), steady(10)).run(asked, scopes=("engine",))
    assert record.variants[0].scopes["engine"].spread.count == frames_timed
    assert any(note.startswith("it took") for note in record.notes) == (asked["seconds"] < 1)


def test_misses_of_a_deadline_are_counted_for_each_scope() -> None:
    record = Bench(lambda number: 20 if number % 7 == 0 else 10, steady(10)).run(
        {"deadline_ms": 22.5}
    )
    misses = {scope: each.misses for scope, each in record.variants[0].scopes.items()}
    assert misses["engine"].missed == 0
    assert 0 < misses["copies"].missed < misses["copies"].of
    assert misses["copies"].in_a_row == 1


def test_paced_frames_begin_on_the_grid_and_those_too_long_are_told_of() -> None:
    bench = Bench(steady(10), steady(50))
    record = bench.run({"paced_fps": 20.0})
    a, b = (each.scopes for each in record.variants)
    assert (a["copies"].spread.max_ms, b["copies"].spread.max_ms) == (13, 53)
    assert a["end_to_end"].spread.max_ms == 13
    count = b["copies"].spread.count
    assert f"B, copies: {count} of {count} frames took longer than the 50.0 ms until" in str(
        record.notes
    )
    assert not any(note.startswith("A,") for note in record.notes)
    # Three timed frames of each, engine and copies from the same ones: 50 and 100 ms apart.
    a_timed = sum(moment.count for moment in a["copies"].timeline)
    assert bench.clock() > (a_timed * 50 + count * 100) * 1e6


def test_a_pause_comes_before_each_frame_and_is_in_no_time() -> None:
    bench = Bench(steady(10), steady(10))
    record = bench.run({"idle_ms": 100.0, "warm_up_ms": 0.0})
    taken = len(bench.a.seen) + len(bench.b.seen)
    assert bench.clock() == pytest.approx((13 * taken + 100 * (taken - 2)) * 1e6)
    assert {each.spread.max_ms for each in record.variants[0].scopes.values()} == {10, 13}


def test_the_machine_is_read_between_rounds_only() -> None:
    bench = Bench(steady(10), steady(10))
    at: list[int] = []

    over: list[bool] = []

    def read(seconds: float, is_over: bool) -> Reading | None:
        at.append(len(bench.turns))
        over.append(is_over)
        bench.clock.advance(7_000_000)
        return None if len(at) == 1 else Reading(seconds, {"load_average": 1.0})

    told: list[tuple[int, float]] = []
    record = bench.run(read=read, on_round=lambda *each: told.append(each))
    a_round = 2 * 2 * 4
    assert {later - earlier for earlier, later in itertools.pairwise(at)} == {a_round}
    assert {each.spread.max_ms for each in record.variants[0].scopes.values()} == {10, 13}
    assert len(record.readings) == len(at) - 1
    assert over == [False] * (len(at) - 1) + [True]
    assert at[-1] == len(bench.turns)
    assert [rounds for rounds, _ in told] == list(range(len(at)))
    shares = [share for _, share in told]
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert shares == sorted(shares)


@pytest.mark.parametrize("asked", [{"paced_fps": 1 / 3600}, {"idle_ms": 3_600_000.0}])
@pytest.mark.parametrize("scope", ["copies", "end_to_end"])
def test_a_stop_does_not_wait_for_the_next_frame(asked: dict[str, float], scope: str) -> None:
    bench = Bench(steady(10), steady(10))
    bench.b._on_frame = lambda number: bench.stop.set() if number == 13 else None
    record = bench.run({"warm_up_ms": 0.0, **asked}, scopes=(scope,))
    seen, before_ns = len(bench.b.seen), bench.clock()
    assert seen == 14
    assert record.notes[0].startswith("stopped after")
    # Frames came an hour apart, and none has come since the stop.
    waits = len(bench.a.seen) + seen - 2
    assert before_ns < (waits + 1) * 3600 * 10**9


@pytest.mark.parametrize("frame", [2, 40, 45, 50, 55])
def test_a_stop_ends_at_once_with_what_is_there(frame: int) -> None:
    bench = Bench(steady(10), steady(10))
    stopping = lambda number: bench.stop.set() if number == frame else None  # noqa: E731
    bench.b._on_frame = stopping
    record = bench.run({"seconds": 60.0})
    assert len(bench.b.seen) <= frame + 1
    assert record.notes[0].startswith("stopped after")
    assert "too few to compare" in record.notes[1]
    rounds = {
        len(measured.rounds_ms)
        for variant in record.variants
        for measured in variant.scopes.values()
    }
    assert len(rounds) <= 1
    assert record.ratios == {"B": {}}


def test_a_stop_after_enough_rounds_still_compares() -> None:
    bench = Bench(steady(10), steady(20))
    bench.b._on_frame = lambda number: bench.stop.set() if number == 150 else None
    record = bench.run({"seconds": 60.0})
    assert record.ratios["B"]["engine"].verdict == "slower"
    assert len(record.notes) == 1


def test_the_garbage_collector_is_off_in_turns_and_on_again_after() -> None:
    on: list[bool] = []
    bench = Bench(steady(10), steady(10))
    bench.b._on_frame = lambda _: on.append(gc.isenabled())
    bench.run({"warm_up_ms": 0.0}, read=lambda *_: on.append(gc.isenabled()))
    assert on[0]  # the first frame of all
    assert not any(on[1:9])  # two turns of the warm-up
    assert on[9]  # between rounds
    assert gc.isenabled()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("frame", [0, 18, 22])
def test_an_engine_that_fails_ends_the_bench_with_its_error(frame: int) -> None:
    bench = Bench(steady(10), steady(10))

    def fail(number: int) -> None:
        if number == frame:
            raise EngineError("the engine is lost")

    bench.a._on_frame = fail
    with pytest.raises(EngineError, match="lost"):
        bench.run({"warm_up_ms": 0.0})
    assert gc.isenabled()
    assert not {each.name for each in threading.enumerate()} & {"capture", "writer"}


def test_facts_of_the_variants_and_the_cost_of_measuring_are_in_the_record() -> None:
    record = Bench(steady(10), steady(20)).run(percentiles=(50.0, 75.0))
    variant = record.variants[0]
    assert (variant.model, variant.precision, variant.why) == ("fake", "int8", "because")
    assert set(variant.scopes["engine"].spread.percentiles_ms) == {"50", "75"}
    assert record.observer.share == 0  # of a clock that stands still
    assert record.observer.details["shortest_median_ms"] == pytest.approx(10, rel=0.01)
    assert record.host.cores >= 1
