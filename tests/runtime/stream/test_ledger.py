"""The books: every frame in one column, misses in a row, the present rate."""

from crispstream.core.clock import FakeClock
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger

MS = 1_000_000


def test_every_frame_is_in_one_column() -> None:
    clock = FakeClock()
    ledger = Ledger(Health("camera", clock), clock=clock)
    for _ in range(10):
        ledger.capture()
    ledger.drop("slot", 3)
    ledger.drop("deadline")
    ledger.drop("stop")
    for _ in range(5):
        assert ledger.restore(5 * MS, "edge-n fp32")
    ledger.health.lose(2)
    ledger.sink_losses = lambda: 7
    books = ledger.snapshot()
    assert books.dropped == {"source": 2, "slot": 3, "deadline": 1, "stop": 1, "sink": 7}
    assert books.captured == books.restored + 3 + 1 + 1
    assert (books.rung, books.latency_ms, books.late) == ("edge-n fp32", 5.0, 0)


def test_misses_in_a_row_are_late_and_dropped_frames_but_not_those_of_the_stop() -> None:
    ledger = Ledger(Health("camera"), budget_ms=33)
    for age_ms in (40, 50, 10, 34):
        assert ledger.restore(age_ms * MS, "") is (age_ms < 33)
    ledger.drop("slot", 2)
    ledger.drop("deadline")
    ledger.drop("stop", 5)
    books = ledger.snapshot()
    assert (books.late, books.missed_in_a_row) == (3, 4)
    ledger.restore(1, "")
    ledger.drop("slot")
    assert ledger.snapshot().missed_in_a_row == 4


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = FakeClock()
    ledger = Ledger(Health("camera", clock), clock=clock)
    for fps in (10, 50):
        for _ in range(4 * fps):
            clock.advance(1000 * MS // fps)
            ledger.restore(1, "")
        assert abs(ledger.snapshot().frames_per_second - fps) < 0.05 * fps


def test_the_state_is_the_sources() -> None:
    health = Health("camera")
    ledger = Ledger(health)
    assert ledger.snapshot().state == "connecting"
    for state in ("live", "lost", "connecting", "live"):
        health.enter(state)
    assert (ledger.snapshot().state, ledger.snapshot().reconnects) == ("live", 1)


def test_the_rate_of_an_outage_is_none_and_starts_anew_after_it() -> None:
    clock = FakeClock()
    ledger = Ledger(Health("camera", clock), clock=clock)
    for _ in range(100):
        clock.advance(40 * MS)
        ledger.restore(1, "")
    clock.advance(2500 * MS)
    assert ledger.snapshot().frames_per_second == 0
    for _ in range(50):
        clock.advance(40 * MS)
        ledger.restore(1, "")
    assert abs(ledger.snapshot().frames_per_second - 25) < 1.5
