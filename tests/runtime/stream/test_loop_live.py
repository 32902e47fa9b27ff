"""The loop with something live: what is skipped, what starts over, who is left behind."""

import threading
from collections.abc import Iterator

import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import SinkError, UsageError
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.loop import run_stream
from tests.helpers.streams import (
    HEIGHT,
    WIDTH,
    ListedSource,
    NotingSink,
    NumberSink,
    RepeatingRestorer,
    flat_frame,
    synth,
)

MS = 1_000_000


class AgeingRestorer(RepeatingRestorer):
    """Takes a given time for each frame, on a clock that stands still otherwise."""

    def __init__(self, clock: FakeClock, service_ns: int) -> None:
        super().__init__()
        self._clock = clock
        self._service_ns = service_ns

    def collect(self) -> Bytes:
        self._clock.advance(self._service_ns)
        return super().collect()


def _run_with_deadline(ages_ms: list[int], service_ms: int, budget_ms: float):
    """Give frames of these ages one by one, so that the slot itself drops none."""
    clock = FakeClock(10**12)
    gate = threading.Semaphore(1)
    outcomes: list[tuple[float, bool]] = []

    class PacedSource(ListedSource):
        def __iter__(self) -> Iterator[Frame]:
            for number, age_ms in enumerate(ages_ms):
                assert gate.acquire(timeout=20)
                yield flat_frame(number, captured_ns=clock() - age_ms * MS)
            assert gate.acquire(timeout=20)

    def on_outcome(age_ns: int, missed: bool) -> None:
        outcomes.append((age_ns / MS, missed))
        gate.release()

    sink = NumberSink()
    report = run_stream(
        PacedSource([]),
        AgeingRestorer(clock, service_ms * MS),
        sink,
        policy="deadline",
        budget_ms=budget_ms,
        clock=clock,
        on_outcome=on_outcome,
    )
    return report, sink, outcomes


def test_deadline_skips_what_cannot_be_in_time_any_more() -> None:
    report, sink, outcomes = _run_with_deadline([0, 5, 30, 0], service_ms=10, budget_ms=33)
    assert sink.seen == [0, 1, 3]
    assert report.drops["deadline"] == 1
    assert report.late == 0
    assert outcomes == [(10, False), (15, False), (30, True), (10, False)]
    assert report.missed_in_a_row == 1


def test_deadline_restores_late_frames_when_no_fresher_one_could_be_in_time_either() -> None:
    report, sink, _ = _run_with_deadline([0, 0, 0], service_ms=50, budget_ms=33)
    assert sink.seen == [0, 1, 2]
    assert (report.late, report.missed_in_a_row, report.drops["deadline"]) == (3, 3, 0)


def test_deadline_needs_a_budget() -> None:
    with pytest.raises(UsageError, match="--budget-ms"):
        run_stream(synth(1), RepeatingRestorer(), NotingSink(), policy="deadline")


@pytest.mark.parametrize("in_flight", [1, 2])
def test_recurrent_state_starts_over_after_a_reconnect_and_at_a_cut(in_flight: int) -> None:
    restorer = RepeatingRestorer()
    frames = [flat_frame(n, fresh=n in (2, 5)) for n in range(8)]
    run_stream(
        ListedSource(frames),
        restorer,
        NumberSink(),
        in_flight=in_flight,
        is_cut=lambda frame_hwc: frame_hwc[0, 0, 0] == 6,
    )
    assert restorer.resets == [2, 5, 6]  # the fake asserts that nothing was in flight


def test_every_frame_is_asked_about_whether_it_begins_a_scene() -> None:
    asked: list[int] = []
    frames = [flat_frame(n, fresh=n == 3) for n in range(6)]
    run_stream(
        ListedSource(frames),
        RepeatingRestorer(),
        NumberSink(),
        is_cut=lambda frame_hwc: bool(asked.append(int(frame_hwc[0, 0, 0]))),
    )
    assert asked == list(range(6))


@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_change_of_size_costs_no_frame_and_sinks_keep_theirs(in_flight: int) -> None:
    class OneSizeAtATime(RepeatingRestorer):
        def submit(self, frame_hwc: Bytes) -> None:
            assert not self._pending or self._pending[-1].shape[0] == 4 * frame_hwc.shape[0]
            super().submit(frame_hwc)

    frames = [flat_frame(n, size=(WIDTH, HEIGHT) if n < 4 else (48, 24)) for n in range(9)]
    sink = NumberSink()
    run_stream(ListedSource(frames), OneSizeAtATime(), sink, in_flight=in_flight)
    assert sink.seen == list(range(9))
    assert set(sink.shapes) == {(4 * HEIGHT, 4 * WIDTH, 3)}


def test_sinks_get_the_size_they_were_opened_for() -> None:
    sink = NumberSink()
    frames = [flat_frame(200) for _ in range(3)]
    run_stream(ListedSource(frames), RepeatingRestorer(), sink, output_size=(64, 32))
    assert set(sink.shapes) == {(32, 64, 3)}


def test_a_stop_ends_a_stream_in_which_nothing_comes() -> None:
    stop = threading.Event()
    source = ListedSource([flat_frame(0)], then_silent=True)

    def stop_soon(count: int, latencies: object) -> None:
        stop.set()

    report = run_stream(
        source, RepeatingRestorer(), NumberSink(), policy="latest", stop=stop, on_frame=stop_soon
    )
    assert (report.frames, report.stopped) == (1, True)
    assert source._stopped.is_set()


def test_the_time_asked_for_ends_a_stream_in_which_nothing_comes() -> None:
    source = ListedSource([flat_frame(0)], then_silent=True)
    report = run_stream(source, RepeatingRestorer(), NumberSink(), policy="latest", seconds=0.3)
    assert (report.frames, report.stopped) == (1, False)


def test_a_failed_sink_is_left_behind_and_the_others_go_on() -> None:
    good, bad = NotingSink(), NotingSink(fail_at=3)
    report = run_stream(synth(40), RepeatingRestorer(), {"bad": bad, "good": good})
    assert good.numbers == list(range(40))
    assert (good.closed, bad.closed) == ([True], [False])
    failed, whole = report.sinks
    assert (failed.name, failed.error, failed.written) == ("bad", "the disk is full", 3)
    assert failed.written + failed.dropped == report.frames == 40
    assert (whole.name, whole.error, whole.written, whole.dropped) == ("good", "", 40, 0)


def test_the_run_fails_once_every_sink_has() -> None:
    sinks = {"a": NotingSink(fail_at=3), "b": NotingSink(fail_at=5)}
    with pytest.raises(SinkError, match="full"):
        run_stream(synth(100_000), RepeatingRestorer(), sinks)
    assert [sink.closed for sink in sinks.values()] == [[False], [False]]


def test_a_fault_of_the_program_in_one_sink_ends_the_run() -> None:
    class Faulty(NotingSink):
        def write(self, frame: Frame, restored_hwc: Bytes) -> None:
            raise ZeroDivisionError

    good = NotingSink()
    with pytest.raises(ZeroDivisionError):
        run_stream(synth(100_000), RepeatingRestorer(), {"faulty": Faulty(), "good": good})
    assert len(good.closed) == 1


def test_a_slow_viewer_loses_frames_where_the_recording_loses_none() -> None:
    class Viewer(NotingSink):
        may_skip = True

        def write(self, frame: Frame, restored_hwc: Bytes) -> None:
            threading.Event().wait(0.01)
            super().write(frame, restored_hwc)

    recording, viewer = NotingSink(), Viewer()
    report = run_stream(synth(300), RepeatingRestorer(), {"file": recording, "page": viewer})
    assert recording.numbers == list(range(300))
    kept, seen = report.sinks
    assert (kept.written, kept.dropped) == (300, 0)
    assert seen.written + seen.dropped == 300
    assert seen.dropped > 0
    assert viewer.numbers == sorted(set(viewer.numbers))


def test_every_frame_of_a_live_stream_is_accounted_for() -> None:
    stop = threading.Event()
    ledger_seen: list[int] = []
    source = synth(100_000)
    ledger = Ledger(source.health)

    def stop_later(count: int, latencies: object) -> None:
        ledger_seen.append(ledger.snapshot().captured)
        if count == 200:
            stop.set()

    report = run_stream(
        source,
        RepeatingRestorer(),
        {"out": NotingSink(gate=threading.Semaphore(0))},
        policy="latest",
        ledger=ledger,
        stop=stop,
        on_frame=stop_later,
    )
    drops = report.drops
    assert report.captured == report.frames + drops["slot"] + drops["deadline"] + drops["stop"]
    assert ledger_seen == sorted(ledger_seen)
    (outcome,) = report.sinks
    assert report.frames == outcome.written + outcome.dropped


def test_an_even_stream_has_no_jitter_and_an_uneven_one_has() -> None:
    def jitter(service_ms: list[int]) -> float:
        clock = FakeClock()
        waits = iter(service_ms)

        class Uneven(RepeatingRestorer):
            def collect(self) -> Bytes:
                clock.advance(next(waits) * MS)
                return super().collect()

        frames = [flat_frame(n) for n in range(len(service_ms))]  # 40 ms apart by their own times
        source = ListedSource(frames)
        return run_stream(source, Uneven(), NumberSink(), clock=clock).jitter_ms

    assert jitter([40] * 50) == 0
    assert jitter([30, 50] * 100) == pytest.approx(10, rel=0.01)
