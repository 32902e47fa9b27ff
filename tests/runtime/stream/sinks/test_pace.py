"""Real time for what has none: no frame leaves before its time, and no wait is long."""

from crispstream.core.clock import FakeClock
from crispstream.runtime.stream.sinks.pace import LONGEST_WAIT_SECONDS, Pace


class _FakeTime:
    """A clock, and a sleep that moves it."""

    def __init__(self) -> None:
        self.clock = FakeClock(7_000_000_000)
        self.pace = Pace(self.clock, lambda seconds: self.clock.advance(round(seconds * 1e9)))

    def after(self, seconds: float) -> float:
        """When a frame at `seconds` of the stream leaves."""
        self.pace.wait(seconds)
        return round(self.clock() / 1e9 - 7, 6)


def test_frames_leave_at_their_times() -> None:
    time = _FakeTime()
    assert [time.after(seconds) for seconds in (100, 100.04, 100.08, 101)] == [0, 0.04, 0.08, 1]


def test_a_late_frame_goes_at_once_and_the_next_one_at_its_time() -> None:
    time = _FakeTime()
    time.after(0)
    time.clock.advance(500_000_000)
    assert [time.after(0.04), time.after(0.08), time.after(0.6)] == [0.5, 0.5, 0.6]


def test_a_gap_is_not_waited_out() -> None:
    time = _FakeTime()
    time.after(0)
    assert time.after(3600) == LONGEST_WAIT_SECONDS
    assert time.after(3600.04) == LONGEST_WAIT_SECONDS + 0.04
