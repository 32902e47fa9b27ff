import time

import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.pixels import Bytes
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.profiling import watching
from crispstream.runtime.measure.profiling.cost import observer, span_cost_ns
from crispstream.runtime.measure.profiling.watching import Profiler
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.loop import run_stream
from tests.helpers.streams import ListedSource, NotingSink, RepeatingRestorer, flat_frame

MS = 1_000_000


def test_the_loop_tells_every_stage_of_every_frame() -> None:
    profiler, restorer = Profiler(keeps_trace=True), RepeatingRestorer()
    restorer.latencies = profiler.latencies(("copy_in", "infer", "copy_out"))
    source = ListedSource([flat_frame(index) for index in range(5)])

    run_stream(source, restorer, NotingSink(), latencies=profiler.latencies)

    told = profiler.stages()
    assert list(told) == ["decode", "wait", "infer", "write_wait", "write", "total"]
    assert {told[stage].count for stage in ("decode", "wait", "write", "total")} == {5}
    serials = [event.serial for event in profiler.events if event.stage == "total"]
    assert serials == [0, 1, 2, 3, 4]


def test_without_a_trace_no_event_is_kept() -> None:
    profiler = Profiler()
    profiler.watch_queues(lambda: {"slot": 1})
    profiler.latencies(("wait",)).span("wait", 0, 3 * MS, serial=1)

    assert profiler.seen == 1
    assert not profiler.events
    assert not profiler.waiting
    assert profiler.stages()["wait"].max_ms == 3.0


def test_a_trace_keeps_the_latest_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_EVENTS", 4)
    profiler = Profiler(keeps_trace=True)
    latencies = profiler.latencies(("wait",))
    for serial in range(10):
        latencies.span("wait", serial * MS, serial * MS + 1, serial=serial)

    assert [event.serial for event in profiler.events] == [6, 7, 8, 9]
    assert profiler.seen == 10


def test_several_pairs_of_stamps_are_one_duration() -> None:
    profiler = Profiler()
    profiler.latencies(("infer",)).span("infer", 0, 2 * MS, 5 * MS, 6 * MS)

    assert profiler.stages()["infer"].max_ms == 3.0


def test_of_several_outputs_the_first_is_watched() -> None:
    profiler = Profiler()
    first, second = profiler.latencies(("write",)), profiler.latencies(("write",))
    first.span("write", 0, MS)
    second.span("write", 0, 9 * MS)

    assert type(second) is Latencies
    assert profiler.stages()["write"].max_ms == 1.0
    assert second["write"].max_ms == 9.0


def test_the_depth_of_a_queue_is_its_mean_over_time() -> None:
    clock, waiting = FakeClock(), {"slot": 0}
    profiler = Profiler(clock=clock)
    profiler.watch_queues(lambda: dict(waiting))
    latencies = profiler.latencies(("wait",))
    for at_ms, depth in ((0, 2), (30, 0), (40, 0)):  # two frames for 30 of 40 ms
        waiting["slot"] = depth
        clock.advance(at_ms * MS - clock())
        latencies.span("wait", 0, 0)

    (slot,) = profiler.depths()
    assert (slot.name, slot.max, slot.mean) == ("slot", 2, 1.5)
    assert slot.moments[0].max_ms == 2


def test_a_frame_that_waits_is_seen_while_no_other_comes() -> None:
    profiler = Profiler()
    books = Ledger(Health("list"))
    profiler.watch_queues(lambda: books.depths())
    source = ListedSource([flat_frame(index) for index in range(4)])

    class SlowRestorer(RepeatingRestorer):
        def submit(self, frame_hwc: Bytes) -> None:
            time.sleep(0.02)
            super().submit(frame_hwc)

    run_stream(source, SlowRestorer(), NotingSink(), ledger=books, latencies=profiler.latencies)

    slot = next(depth for depth in profiler.depths() if depth.name == "slot")
    assert slot.max >= 1
    assert slot.mean > 0.3  # two of four frames wait for most of the run


def test_stages_of_the_restorer_get_the_serials_of_their_frames() -> None:
    told = _told(
        ("wait", 7), ("copy_in", -1), ("infer", -1), ("copy_out", -1), ("wait", 8), ("copy_in", -1)
    )  # fmt: skip

    assert told == [7, 7, 7, 7, 8, 8]


def test_frames_in_flight_keep_their_order_and_one_that_was_skipped_gives_its_serial_to_nobody():
    told = _told(
        ("wait", 3), ("copy_in", -1), ("wait", 4), ("wait", 5), ("copy_in", -1), ("infer", -1),
        ("copy_out", -1), ("infer", -1),
    )  # fmt: skip

    assert told == [3, 3, 4, 5, 5, 3, 3, 5]


def test_events_that_were_let_go_shift_no_serial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_EVENTS", 5)
    frames = [[("wait", n), ("copy_in", -1), ("infer", -1)] for n in range(9)]

    assert _told(*(stage for frame in frames for stage in frame))[-3:] == [8, 8, 8]


def _told(*stages: tuple[str, int]) -> list[int]:
    profiler = Profiler(keeps_trace=True)
    latencies = profiler.latencies(("wait", "copy_in", "infer", "copy_out"))
    for stage, serial in stages:
        latencies.span(stage, 0, 1, serial=serial)
    return [event.serial for event in profiler.events]


def test_the_cost_of_watching_is_held_against_a_frame() -> None:
    profiler = Profiler()
    latencies = profiler.latencies(("wait",))
    for _ in range(16):
        latencies.span("wait", 0, MS)

    found = observer(profiler, frames=2, frame_ms=10.0, keeps_trace=False)

    assert found.details["events_per_frame"] == 8
    expected = 8 * found.details["event_us"] / 10_000
    assert found.share == pytest.approx(expected)


def test_a_run_without_frames_has_no_share() -> None:
    assert observer(Profiler(), frames=0, frame_ms=0.0, keeps_trace=False).share == 0.0


def test_watching_costs_something_and_keeping_events_too() -> None:
    assert 0 < span_cost_ns(keeps_trace=True) < 10 * MS
