"""The sink's figures: latency by a fake clock, and every number that went another way."""

from fractions import Fraction

import numpy as np
import pytest

from crispstream.core.clock import FakeClock
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.sinks.timecode import TimecodeSink
from crispstream.runtime.stream.timecode import COUNTERS, WRAP_NS, paint

MS = 1_000_000
BEAT_MS = 10


def shown(*pictures: tuple[int, int], age_ms: float = 0.0) -> dict[str, float]:
    """Figures after these (counter, painted in ms), each seen `age_ms` after the latest of them."""
    clock = FakeClock(start_ns=1000 * MS)
    sink = TimecodeSink(clock)
    for counter, painted_ms in pictures:
        see_at(sink, clock, counter, painted_ms * MS, painted_ms * MS + round(age_ms * MS))
    return dict(sink.figures())


def see_at(
    sink: TimecodeSink, clock: FakeClock, counter: int, painted_ns: int, now_ns: int
) -> None:
    image_hwc = np.zeros((54, 120, 3), np.uint8)
    paint(image_hwc, counter, painted_ns)
    clock.advance(max(0, now_ns - clock()))
    sink.write(Frame(image_hwc, 0, 0, Fraction(1), 0), image_hwc)


def in_order(*counters: int, since: int = 0) -> list[tuple[int, int]]:
    """Pictures of one source, whose number tells when each was painted."""
    return [(counter % COUNTERS, 2000 + BEAT_MS * (counter - since)) for counter in counters]


def counts(figures: dict[str, float]) -> dict[str, float]:
    """What is not zero, without the latencies."""
    return {name: n for name, n in figures.items() if n and not name.startswith("latency")}


def test_latency_runs_from_the_painted_time_to_the_sink() -> None:
    clock = FakeClock()
    sink = TimecodeSink(clock)
    for number in range(100):
        painted_ns = 100 * MS * number
        late_ns = (40 if number >= 95 else 4) * MS
        see_at(sink, clock, number, painted_ns, painted_ns + late_ns)
    figures = sink.figures()
    assert figures["frames"] == 100
    assert figures["latency_p50_ms"] == pytest.approx(4, rel=0.02)
    assert figures["latency_p99_ms"] == pytest.approx(40, rel=0.02)
    assert figures["latency_max_ms"] == pytest.approx(40, abs=0.011)
    assert figures["latency_mean_ms"] == pytest.approx(0.95 * 4 + 0.05 * 40, abs=0.011)


def test_a_whole_stream_has_nothing_to_count_but_frames() -> None:
    assert counts(shown(*in_order(*range(20)))) == {"frames": 20}


def test_missing_numbers_are_dropped_frames() -> None:
    assert counts(shown(*in_order(3, 4, 8, 9, 11))) == {"frames": 5, "dropped": 4}


def test_a_picture_shown_again_is_a_duplicate_and_has_no_latency_of_its_own() -> None:
    figures = shown(*in_order(1, 2, 2, 2, 3), age_ms=5)
    assert counts(figures) == {"frames": 3, "duplicates": 2}
    assert figures["latency_max_ms"] == pytest.approx(5, abs=0.011)


def test_a_late_picture_is_reordered_and_not_dropped() -> None:
    assert counts(shown(*in_order(1, 2, 4, 3, 5))) == {"frames": 5, "reorders": 1}
    assert counts(shown(*in_order(5, 4, 6))) == {"frames": 3, "reorders": 1}
    assert counts(shown(*in_order(1, 3, 2, 3, 2))) == {"frames": 3, "reorders": 1, "duplicates": 2}


def test_a_source_that_counts_anew_is_one_restart() -> None:
    figures = shown(*in_order(7000, 7001, 7003), *in_order(0, 1, 3, since=-9000))
    assert counts(figures) == {"frames": 6, "dropped": 2, "restarts": 1}


def test_a_restart_soon_after_the_begin_is_told_from_late_pictures() -> None:
    figures = shown(*in_order(0, 1, 2), *in_order(0, 1, 2, 3, since=-50))
    assert counts(figures) == {"frames": 7, "restarts": 1}


def test_the_counter_goes_round() -> None:
    figures = shown(*in_order(*range(COUNTERS - 2, COUNTERS + 3), since=COUNTERS))
    assert counts(figures) == {"frames": 5}


def test_the_time_goes_round() -> None:
    clock = FakeClock()
    sink = TimecodeSink(clock)
    for number in range(6):
        painted_ns = WRAP_NS + (number - 3) * BEAT_MS * MS
        see_at(sink, clock, number, painted_ns, painted_ns + 2 * MS)
    figures = dict(sink.figures())
    assert counts(figures) == {"frames": 6}
    assert figures["latency_max_ms"] == pytest.approx(2, abs=0.011)


def test_pictures_without_a_time_code_are_unreadable() -> None:
    sink = TimecodeSink(FakeClock())
    blank_hwc = np.zeros((180, 320, 3), np.uint8)
    sink.write(Frame(blank_hwc, 0, 0, Fraction(1), 0), blank_hwc)
    assert counts(dict(sink.figures())) == {"unreadable": 1}


def test_a_time_of_another_clock_has_no_latency() -> None:
    figures = shown((0, 5000), (1, 5010), age_ms=-100)
    assert counts(figures) == {"frames": 2, "ahead": 2}
    assert figures["latency_max_ms"] == 0


def test_memory_does_not_grow_with_the_stream() -> None:
    sink = TimecodeSink(FakeClock())
    for number in range(1500):
        sink._order.take(2 * number)
    assert len(sink._order._recent) == 1024
    assert counts(dict(sink.figures())) == {"frames": 1500, "dropped": 1499}
