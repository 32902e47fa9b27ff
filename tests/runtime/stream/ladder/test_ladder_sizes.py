"""A ladder whose frames change in size: what it handed out stays, and what it knows is scaled."""

from pathlib import Path

import numpy as np
import pytest

from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.ladder.climb import Controller, Outcome
from crispstream.runtime.stream.ladder.ladder import Ladder
from tests.helpers.bundles import write_tiny_bundle
from tests.runtime.stream.ladder.fake_rungs import MS, ladder_of, restore


def resized(ladder: Ladder, width: int, height: int) -> None:
    ladder.submit(np.zeros((height, width, 3), np.uint8))
    ladder.collect()
    ladder.observe(MS, False)


@pytest.mark.parametrize("size", [(23, 15), (40, 32)])
def test_frames_that_were_handed_out_outlive_a_new_size(tmp_path: Path, size) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny").path
    opened = [Restorer.open(name, frames_in_flight=3, threads=1) for name in (bundle, "bicubic")]
    noise = np.random.default_rng(0)
    with Ladder(opened, 1e6) as ladder:
        ladder.reserve(24, 16)
        held = []
        for _ in range(3):
            ladder.submit(noise.integers(0, 255, (16, 24, 3), dtype=np.uint8))
            held.append(ladder.collect())
        copies = [each.copy() for each in held]
        resized(ladder, *size)
        assert all(np.array_equal(*pair) for pair in zip(held, copies, strict=True))
        assert ladder.latencies["infer"].count == 4


def test_a_new_size_before_any_frame_is_measured_again() -> None:
    ladder, rungs, clock = ladder_of(20, 8)
    rungs[0].cost_ms = 80
    ladder.reserve(2 * 8, 4)
    assert ladder.use().rungs[0].cost_ms == 80
    assert ladder.rung == "rung1"
    assert ladder.latencies["infer"].count == 0
    restore(ladder, clock)


def test_a_new_size_amid_frames_submits_nothing_and_keeps_the_books() -> None:
    ladder, rungs, clock = ladder_of(10, 4)
    restore(ladder, clock)
    before = [rung.remembered for rung in rungs]
    ladder.reserve(16, 8)
    assert [rung.remembered for rung in rungs] == before
    assert ladder.latencies["infer"].count == 1
    resized(ladder, 16, 8)  # four times the pixels: 40 ms and 16 ms of 33 ms
    assert (ladder.rung, ladder.use().changes) == ("rung1", 1)
    assert ladder.use().rungs[0].cost_ms == 10  # as measured before the stream
    ladder.reserve(8, 4)
    resized(ladder, 8, 4)
    assert ladder.rung == "rung0"


def test_the_load_there_is_counts_at_the_new_size() -> None:
    controller = Controller([20 * MS, 8 * MS], 33 * MS, 0)
    for number in range(1, 8):  # twice as dear as measured, and so the lower rung is in charge
        controller.observe(Outcome(number * 100 * MS, 41 * MS, True, 0, 40 * MS))
    for number in range(8, 20):
        controller.observe(Outcome(number * 100 * MS, 16 * MS, False, 1, 16 * MS))
    assert controller.rung == 1
    controller.resize(0.7, 2_000 * MS)
    assert controller.rung == 1  # 28 ms: it would fit, but without room to spare
    controller.resize(0.5, 2_000 * MS)
    assert controller.rung == 0  # 14 ms


def test_a_rung_stays_at_a_new_size_that_leaves_it_in_time() -> None:
    controller = Controller([20 * MS, 8 * MS], 33 * MS, 0)
    controller.resize(1.6, 0)
    assert controller.rung == 0
    controller.resize(1.1, 0)
    assert controller.rung == 1
