"""What a bench refuses, in words that lead on."""

from typing import Any

import numpy as np
import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import UsageError
from crispstream.runtime.measure.bench.bench import run_bench
from crispstream.runtime.measure.bench.observer import observer_of
from tests.helpers.fakes.fake_benched import FakeBenched, frames, settings, subject


def bench(**changed: Any) -> None:
    clock = FakeClock()
    fake = FakeBenched(clock, lambda _: 1)
    names = changed.pop("names", ("A",))
    pictures = changed.pop("frames", frames())
    scopes = changed.pop("scopes", ("copies",))
    subjects = [subject(name, fake) for name in names]
    run_bench(subjects, settings(**changed), pictures, scopes=scopes, clock=clock)
    raise AssertionError("nothing was refused")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"iterations": 0}, r"--iterations 0 times no frame; give 1 or more"),
        ({"seconds": 0.0}, r"--seconds 0 leaves no time to measure; give more than 0"),
        ({"seconds": float("nan")}, r"--seconds nan"),
        ({"block": 0}, r"a block of 0 frames"),
        ({"warm_up_ms": -1.0}, r"--warm-up-ms -1 .* give 0 to 3600000"),
        ({"idle_ms": -1.0}, r"--idle-ms -1"),
        ({"idle_ms": 1e14}, r"--idle-ms 1e\+14 cannot be waited for"),
        ({"paced_fps": 1e-12}, r"--paced-fps 1e-12 is no camera's rate"),
        (
            {"paced_fps": 1e7},
            r"--paced-fps 1e\+07 is no .* an hour \(0.000278\) to 1,000,000 a sec",
        ),
        ({"seconds": float("inf")}, r"--seconds inf"),
        ({"paced_fps": 0.0}, r"--paced-fps 0 cannot be kept"),
        ({"deadline_ms": 0.0}, r"--deadline-ms 0 cannot be kept"),
        ({"paced_fps": 30.0, "idle_ms": 1.0}, r"leave one of the two out"),
        ({"confidence": 1.0}, r"a confidence of 1.0 cannot be had"),
        ({"confidence": 1 - 2**-53}, r"a confidence of 0.9{16}.* give one from 0.5 to 0.9999"),
        ({"names": ()}, r"there is nothing to measure; name a bundle"),
        ({"names": ("A", "B", "A")}, r"'A' would be measured twice"),
        ({"frames": []}, r"one frame and one scope at least"),
        ({"scopes": ()}, r"one frame and one scope at least"),
        ({"scopes": ("copys",)}, r"no scope 'copys'; did you mean .*copies.*engine, copies, end"),
        ({"frames": [np.zeros((9, 8, 3), np.uint8)]}, r"a frame is of 8x9 px, and 8x4 px"),
    ],
)
def test_what_cannot_be_measured_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        bench(**changed)


def test_measuring_costs_what_its_stamps_and_records_cost() -> None:
    clock = FakeClock()

    def costly() -> int:
        clock.advance(250)
        return clock()

    observer = observer_of(1.0, costly)
    assert observer.details["stamps_microseconds"] == pytest.approx(0.5, rel=0.01)
    assert observer.share == pytest.approx(500 / 1e6, rel=0.01)
    assert "2,000 times" in observer.how
    assert observer_of(0.0, costly).share == 0
