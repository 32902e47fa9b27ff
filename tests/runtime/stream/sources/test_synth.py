"""The synthetic camera: its beat by a fake clock, what it loses, and the time it paints."""

import itertools
import threading

import pytest

from crispstream.core.clock import FakeClock, monotonic_ns
from crispstream.core.errors import UsageError
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.sources.synth import SynthSource, read_counter
from crispstream.runtime.stream.timecode import read

MS = 1_000_000
SIZE = "size=120x54"


class FakeEvent(threading.Event):
    """Waits by moving a fake clock, 3 ms longer than asked, as a busy machine does."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        if timeout:
            self._clock.advance(round(timeout * 1e9) + 3 * MS)
        return self.is_set()


def on_fake_clock(uri: str) -> tuple[SynthSource, FakeClock]:
    clock = FakeClock(start_ns=777 * MS)
    source = SynthSource(uri, clock)
    source._stopped = FakeEvent(clock)
    return source, clock


def taken(source: SynthSource, frames: int) -> list[Frame]:
    given = iter(source)
    return [next(given) for _ in range(frames)]


@pytest.mark.parametrize("uri", ["synth://pattern?frames=2", "synth://?frames=2"])
def test_the_pattern_need_not_be_named(uri: str) -> None:
    frames = list(SynthSource(uri, FakeClock()))
    assert [read_counter(frame.pixels_hwc, 320, 180) for frame in frames] == [0, 1]


def test_a_live_one_keeps_its_beat_without_drift() -> None:
    source, _ = on_fake_clock("synth://?fps=60&live=1&frames=600")
    captured_ns = [frame.captured_ns - 777 * MS for frame in source]
    due_ns = [number * 1e9 / 60 for number in range(600)]
    late_ms = [(seen - due) / MS for seen, due in zip(captured_ns[1:], due_ns[1:], strict=True)]
    assert min(late_ms) >= 0
    assert max(late_ms) < 3.001
    assert source.health.lost_frames == 0


def test_a_late_reader_gets_what_the_driver_kept_and_the_rest_is_counted() -> None:
    source, clock = on_fake_clock("synth://?fps=100&live=1&frames=60")
    given = iter(source)
    first = [next(given).serial for _ in range(3)]
    clock.advance(200 * MS)
    rest = [frame.serial for frame in given]
    assert first == [0, 1, 2]
    assert rest[:4] == [19, 20, 21, 22]  # 22 fell due at 220 ms
    assert rest[-1] == 59
    assert source.health.lost_frames == 60 - 3 - len(rest)


def test_a_reader_who_comes_after_the_end_gets_the_last_frames() -> None:
    source, clock = on_fake_clock("synth://?fps=100&live=1&frames=10")
    given = iter(source)
    next(given)
    clock.advance(10_000 * MS)
    assert [frame.serial for frame in given] == [6, 7, 8, 9]
    assert source.health.lost_frames == 5


def test_the_painted_time_is_when_the_frame_fell_due() -> None:
    source, _ = on_fake_clock(f"synth://?fps=100&timecode=1&{SIZE}")
    codes = [read(frame.pixels_hwc) for frame in taken(source, 5)]
    assert [code.counter for code in codes] == list(range(5))
    assert [code.time_ns // MS for code in codes] == [777, 787, 797, 807, 817]


def test_the_painted_time_of_a_kept_frame_tells_how_long_it_waited() -> None:
    source, clock = on_fake_clock(f"synth://?fps=100&timecode=1&{SIZE}")
    given = iter(source)
    next(given)
    clock.advance(25 * MS)
    code = read(next(given).pixels_hwc)
    assert code.age_ns(clock()) == 15 * MS


def test_a_time_code_makes_it_live_and_endless_unless_told() -> None:
    info = SynthSource("synth://?timecode=1", FakeClock()).info
    assert info.live
    assert info.frame_count is None
    told = SynthSource("synth://?timecode=1&live=0&frames=5", FakeClock())
    assert not told.info.live
    assert told.info.frame_count == 5
    assert [read(frame.pixels_hwc).counter for frame in told] == list(range(5))


def test_the_scene_is_cut_every_so_many_frames() -> None:
    frames = list(SynthSource("synth://?cut=3&frames=9", FakeClock()))
    means = [float(frame.pixels_hwc[40:].mean()) for frame in frames]
    steps = [abs(later - earlier) for earlier, later in itertools.pairwise(means)]
    assert [number + 1 for number, step in enumerate(steps) if step > 1] == [3, 6]


def test_its_state_is_connecting_then_live_then_ended() -> None:
    source = SynthSource("synth://?frames=2", FakeClock())
    assert source.health.state == "connecting"
    list(source)
    assert [event.state for event in source.health.events] == ["live", "ended"]


@pytest.mark.parametrize("uri", ["synth://?fps=1&timecode=1", "synth://?frames=100000000"])
def test_stop_from_another_thread_ends_it(uri: str) -> None:
    source = SynthSource(uri, monotonic_ns)
    frames = iter(source)
    next(frames)
    timer = threading.Timer(0.1, source.stop)
    timer.start()
    list(frames)
    timer.join()
    assert source.health.state == "ended"


@pytest.mark.parametrize(
    ("uri", "advice"),
    [
        ("synth://plasma", "synth://pattern"),
        ("synth://?timecode=2", "0 or 1"),
        ("synth://?timecode=1&size=64x48", "120x54"),
        ("synth://?cut=-1", "at least 0"),
    ],
)
def test_a_bad_option_is_a_usage_error_that_helps(uri: str, advice: str) -> None:
    with pytest.raises(UsageError, match=advice):
        SynthSource(uri, FakeClock())
