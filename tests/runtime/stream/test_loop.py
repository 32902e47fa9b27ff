"""The loop: every frame once and in order, failures reach the caller, nothing is left running."""

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import EngineError, SinkError, SourceError, UsageError
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies
from crispstream.runtime.stream.loop import STAGES, run_stream
from crispstream.runtime.stream.sink import open_sink
from crispstream.runtime.stream.source import open_source
from crispstream.runtime.stream.sources.synth import read_counter
from tests.helpers.media import (
    audio_packets_of,
    pictures_of,
    times_of,
    write_video,
    write_with_a_hole,
)
from tests.helpers.streams import (
    HEIGHT,
    WIDTH,
    BreakingSource,
    NotingSink,
    RepeatingRestorer,
    synth,
)


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"capture", "writer"}


@pytest.mark.parametrize(("ring", "in_flight"), [(1, 1), (2, 1), (2, 2), (3, 2)])
def test_every_frame_arrives_once_in_order_and_unspoilt(ring: int, in_flight: int) -> None:
    """The sink is slower than the restorer, whose ring is as small as it may be."""
    sink = NotingSink(gate=threading.Semaphore(0))
    report = run_stream(synth(40), RepeatingRestorer(ring), sink, in_flight=in_flight)
    assert sink.numbers == list(range(40))
    assert sink.closed == [True]
    assert (report.frames, report.dropped, report.stopped) == (40, 0, False)
    assert report.peak_depths["queue"] <= ring
    assert not _threads()


def test_report_has_every_stage_in_order() -> None:
    report = run_stream(synth(5), RepeatingRestorer(), NotingSink())
    assert tuple(report.latencies) == STAGES
    recorded = {stage for stage, figures in report.latencies.items() if figures["count"] == 5}
    assert recorded == set(STAGES) - {"copy_in", "copy_out"}  # the fake records only `infer`
    assert report.intervals["count"] == 4
    assert report.frames_per_second == pytest.approx(5 / report.elapsed_seconds)


def test_one_clock_stamps_every_step() -> None:
    clock = FakeClock()

    class SlowSink(NotingSink):
        def write(self, frame: Frame, restored_hwc: np.ndarray) -> None:
            clock.advance(7_000_000)
            super().write(frame, restored_hwc)

    source = open_source(f"synth://pattern?size={WIDTH}x{HEIGHT}&frames=1", clock)
    report = run_stream(source, RepeatingRestorer(), SlowSink(), clock=clock)
    assert report.latencies["write"]["max_ms"] == 7.0
    assert report.latencies["total"]["max_ms"] == 7.0
    assert report.latencies["decode"]["max_ms"] == 0.0
    assert report.elapsed_seconds == 0.007
    assert report.first_frame_ms == 7.0


def test_latest_drops_what_is_late_and_counts_it() -> None:
    sink = NotingSink(gate=threading.Semaphore(0))
    report = run_stream(synth(400), RepeatingRestorer(), sink, policy="latest")
    (outcome,) = report.sinks
    assert report.captured == report.frames + report.dropped == 400
    assert report.dropped == report.drops["slot"]
    assert report.drops["sink"] == outcome.dropped
    assert report.frames == outcome.written + outcome.dropped
    assert outcome.dropped + report.dropped > 0
    assert len(sink.numbers) == outcome.written
    assert sink.numbers == sorted(set(sink.numbers))
    assert sink.numbers[-1] == 399


def test_limit_ends_the_run_early() -> None:
    sink = NotingSink()
    report = run_stream(synth(40), RepeatingRestorer(), sink, limit=7)
    assert sink.numbers == list(range(7))
    assert sink.closed == [False]
    assert not report.stopped


def test_source_that_breaks_is_raised_after_its_frames_are_written() -> None:
    sink = NotingSink()
    with pytest.raises(SourceError, match="the cable is cut"):
        run_stream(BreakingSource(9), RepeatingRestorer(), sink)
    assert sink.numbers == list(range(9))
    assert sink.closed == [False]
    assert not _threads()


def test_restorer_that_fails_is_raised_after_its_frames_are_written() -> None:
    sink = NotingSink()
    with pytest.raises(EngineError, match="refused"):
        run_stream(synth(4000), RepeatingRestorer(fail_at=5), sink)
    assert sink.numbers == list(range(5))
    assert sink.closed == [False]
    assert not _threads()


@pytest.mark.parametrize("ring", [1, 3])
def test_sink_that_fails_stops_everything(ring: int) -> None:
    sink = NotingSink(fail_at=3)
    restorer = RepeatingRestorer(ring)
    with pytest.raises(SinkError, match="full"):
        run_stream(synth(100_000), restorer, sink)
    assert len(restorer.submitted) <= 3 + 2 * ring + 1
    assert sink.closed == [False]
    assert not _threads()


def test_a_fault_in_the_callers_own_function_is_raised() -> None:
    def fail(count: int, latencies: Latencies) -> None:
        raise ZeroDivisionError

    sink = NotingSink()
    with pytest.raises(ZeroDivisionError):
        run_stream(synth(100_000), RepeatingRestorer(), sink, on_frame=fail)
    assert sink.closed == [False]


def test_stop_finishes_the_output() -> None:
    stop = threading.Event()
    sink = NotingSink()

    def stop_at_five(count: int, latencies: Latencies) -> None:
        if count == 5:
            stop.set()

    report = run_stream(synth(100_000), RepeatingRestorer(), sink, stop=stop, on_frame=stop_at_five)
    assert report.stopped
    assert 5 <= report.frames < 20
    assert sink.numbers == list(range(report.frames))
    assert sink.closed == [False]


@pytest.mark.parametrize(("in_flight", "behind"), [(1, 0), (2, 1)])
def test_every_restored_frame_is_watched_by_the_caller_and_delays_none(
    in_flight: int, behind: int
) -> None:
    """A frame is watched when all those before it, and at in_flight 1 it too, are on their way."""
    watched: list[tuple[int, str]] = []
    restorer = RepeatingRestorer(2)

    def watch(frame: Frame) -> None:
        assert restorer.in_flight == behind
        watched.append((frame.serial, threading.current_thread().name))

    run_stream(synth(9), restorer, NotingSink(), in_flight=in_flight, limit=7, watch=watch)
    assert watched == [(serial, threading.current_thread().name) for serial in range(7)]


def test_a_fault_in_the_watch_is_raised_with_the_output_finished() -> None:
    def fail(frame: Frame) -> None:
        if frame.serial == 3:
            raise ZeroDivisionError

    sink = NotingSink()
    with pytest.raises(ZeroDivisionError):
        run_stream(synth(100_000), RepeatingRestorer(), sink, watch=fail)
    assert (sink.numbers, sink.closed) == ([0, 1, 2, 3], [False])
    assert not _threads()


@pytest.mark.parametrize("in_flight", [0, 3])
def test_more_in_flight_than_the_restorer_holds_is_refused(in_flight: int) -> None:
    with pytest.raises(UsageError, match="in_flight"):
        run_stream(synth(1), RepeatingRestorer(2), NotingSink(), in_flight=in_flight)


def test_damage_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "hole.mp4"
    write_with_a_hole(path)
    source = open_source(str(path))
    report = run_stream(source, RepeatingRestorer(), open_sink("null://", source.info, 4))
    source.close()
    assert report.damaged == source.damaged > 0
    assert 30 < report.frames <= 40


def test_interrupt_while_waiting_for_the_writer_leaves_nothing_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C in somebody's own program, while everything is restored and the sink is slow."""
    let_go = threading.Event()

    class StuckSink(NotingSink):
        def write(self, frame: Frame, restored_hwc: np.ndarray) -> None:
            let_go.wait()
            super().write(frame, restored_hwc)

    join = threading.Thread.join
    interrupts = [KeyboardInterrupt()]

    def interrupted_join(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name == "writer" and interrupts:
            let_go.set()
            raise interrupts.pop()
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted_join)
    sink = StuckSink()
    with pytest.raises(KeyboardInterrupt):
        run_stream(synth(1), RepeatingRestorer(), sink)
    assert not _threads()
    assert sink.closed == [False]


def test_video_to_video_keeps_frames_times_and_audio(tmp_path: Path) -> None:
    source_path, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    step = [0, 3003, 6006, 12_012, 12_013, 30_000, 33_003]
    write_video(source_path, times=step, audio_seconds=0.4)
    source = open_source(str(source_path))
    sink = open_sink(str(target), source.info, 4, source=str(source_path))
    report = run_stream(source, RepeatingRestorer(), sink)
    source.close()
    assert report.frames == len(step)
    assert times_of(target) == [Fraction(time, 90_000) for time in step]
    assert [read_counter(p, 64, 48) for p in pictures_of(target)] == list(range(len(step)))
    assert audio_packets_of(target) == audio_packets_of(source_path)


def test_video_that_breaks_off_leaves_a_playable_output(tmp_path: Path) -> None:
    whole, cut, target = (tmp_path / name for name in ("whole.mp4", "cut.mp4", "out.mp4"))
    write_video(
        whole,
        frames=40,
        options={"g": "1", "preset": "ultrafast"},
        container_options={"movflags": "faststart"},
    )
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 3 // 5])
    source = open_source(str(cut))
    sink = open_sink(str(target), source.info, 4)
    with pytest.raises(SourceError):
        run_stream(source, RepeatingRestorer(), sink)
    source.close()
    numbers = [read_counter(picture, 64, 48) for picture in pictures_of(target)]
    assert len(numbers) > 10
    assert numbers[:10] == list(range(10))
