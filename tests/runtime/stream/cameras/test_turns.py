"""Turns at an engine: in order, given back whatever happens, and nobody waits for ever."""

import contextlib
import threading
import time
from collections import Counter, deque
from functools import partial

import numpy as np
import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import EngineError, FrameError
from crispstream.runtime.latency import Latencies
from crispstream.runtime.stream.cameras.turns import SharedRestorer, Turns

FRAME = np.zeros((4, 6, 3), np.uint8)
GUARD_SECONDS = 20.0


class FakeRestorer:
    """Hands frames back unchanged; notes what it was asked, and can refuse."""

    def __init__(self, turns: Turns | None = None) -> None:
        self.frames_in_flight = 3
        self.latencies = Latencies(("infer",))
        self.rung = "fake fp32"
        self.asked: list[str] = []
        self.refuses = self.breaks = False
        self._pending: deque[np.ndarray] = deque()
        self._turns = turns

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    def reserve(self, width: int, height: int) -> None:
        if self._turns is not None:
            self._turns.take()  # would wait for ever if its own camera had the turn
            self._turns.give_back()
        self.asked.append(f"reserve {width}x{height}")

    def submit(self, frame_hwc: np.ndarray) -> None:
        if self.refuses:
            raise FrameError("no such frame")
        self.asked.append("submit")
        self._pending.append(frame_hwc)

    def collect(self) -> np.ndarray:
        self.asked.append("collect")
        frame_hwc = self._pending.popleft()
        if self.breaks:
            raise EngineError("the engine broke")
        return frame_hwc

    def reset(self) -> None:
        self.asked.append("reset")


def is_free(turns: Turns) -> bool:
    """Whether a turn comes at once."""
    taker = started(turns.take)
    taker.join(0.2)
    if not (free := not taker.is_alive()):
        turns.close()
        taker.join(GUARD_SECONDS)
    return free


def started(work) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(EngineError):
            work()

    (thread := threading.Thread(target=run, daemon=True)).start()
    return thread


def wait_for(condition) -> None:
    until = time.monotonic() + GUARD_SECONDS
    while not condition():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.001)


@pytest.mark.parametrize("places", [1, 2])
def test_no_more_threads_than_places_have_a_turn_and_all_get_one(places: int) -> None:
    turns, lock = Turns(places), threading.Lock()
    inside, most, served = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, served
        for _ in range(50):
            turns.take()
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0)
            with lock:
                inside -= 1
                served += 1
            turns.give_back()

    threads = [started(work) for _ in range(5)]
    for thread in threads:
        thread.join(GUARD_SECONDS)
    assert served == 250
    assert 1 <= most <= places
    with pytest.raises(ValueError, match="0 places"):
        Turns(0)


def test_turns_come_in_the_order_of_asking() -> None:
    turns, order = Turns(), []
    turns.take()

    def work(number: int) -> None:
        turns.take()
        order.append(number)
        turns.give_back()

    threads = []
    for number in range(6):
        threads.append(started(partial(work, number)))
        wait_for(lambda: turns.waiting == len(threads))
    turns.give_back()
    for thread in threads:
        thread.join(GUARD_SECONDS)
    assert order == list(range(6))


def test_a_thread_that_asks_again_at_once_comes_after_those_that_wait() -> None:
    """The fairness of saturated cameras, without a clock: the others are still asleep then."""
    turns, served = Turns(), Counter[str]()
    turns.take()

    def other() -> None:
        for _ in range(20):
            turns.take()
            served["other"] += 1
            turns.give_back()

    thread = started(other)
    for _ in range(20):
        wait_for(lambda: turns.waiting == 1 or not thread.is_alive())
        turns.give_back()
        turns.take()
        served["this"] += 1
        assert abs(served["this"] - served["other"]) <= 1
    turns.give_back()
    thread.join(GUARD_SECONDS)
    assert served == {"this": 20, "other": 20}


def test_closing_sends_away_who_waits_and_who_comes() -> None:
    turns, errors = Turns(), []
    turns.take()

    def work() -> None:
        try:
            turns.take()
        except EngineError as error:
            errors.append(str(error))

    threads = [started(work) for _ in range(3)]
    wait_for(lambda: turns.waiting == 3)
    turns.close()
    for thread in threads:
        thread.join(GUARD_SECONDS)
    assert len(errors) == 3
    with pytest.raises(EngineError, match="takes no more frames"):
        turns.take()
    turns.give_back()  # what was taken before may still end


def test_who_is_interrupted_while_waiting_leaves_the_queue(monkeypatch) -> None:
    turns = Turns()
    turns.take()

    def interrupted(_self: threading.Event) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            turns.take()
    assert turns.waiting == 0
    turns.give_back()
    assert is_free(turns)


def test_an_interrupt_just_after_the_turn_came_passes_it_on(monkeypatch) -> None:
    turns = Turns()
    turns.take()

    def granted_and_interrupted(_self: threading.Event) -> bool:
        turns.give_back()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Event, "wait", granted_and_interrupted)
        with pytest.raises(KeyboardInterrupt):
            turns.take()
    assert is_free(turns)


def test_a_shared_restorer_works_as_its_own_and_keeps_the_turn_until_the_frame_is_back() -> None:
    turns, clock, fake = Turns(), FakeClock(), FakeRestorer()
    shared = SharedRestorer(fake, turns, clock=clock)
    shared.submit(FRAME)
    waiter = started(turns.take)
    wait_for(lambda: turns.waiting == 1)
    assert shared.in_flight == 1
    assert shared.collect() is FRAME
    waiter.join(GUARD_SECONDS)
    assert not waiter.is_alive()
    shared.reset()
    assert fake.asked == ["reserve 6x4", "submit", "collect", "reset"]
    assert (shared.rung, shared.frames_in_flight) == ("fake fp32", 3)
    assert shared.latencies is fake.latencies
    assert shared.waits["turn"].count == 1


def test_the_wait_for_the_turn_is_measured() -> None:
    turns, clock = Turns(), FakeClock()
    shared = SharedRestorer(FakeRestorer(), turns, clock=clock)
    turns.take()
    camera = started(lambda: shared.submit(FRAME))
    wait_for(lambda: turns.waiting == 1)
    clock.advance(7_000_000)
    turns.give_back()
    camera.join(GUARD_SECONDS)
    assert shared.waits["turn"].max_ms == 7.0


def test_several_frames_in_flight_are_one_turn() -> None:
    turns = Turns()
    shared = SharedRestorer(FakeRestorer(), turns)
    shared.submit(FRAME)
    shared.submit(FRAME)
    shared.collect()
    assert shared.waits["turn"].count == 1
    shared.collect()
    assert is_free(turns)


@pytest.mark.parametrize("fault", ["refuses", "breaks"])
def test_a_failure_gives_the_turn_back(fault: str) -> None:
    turns, fake = Turns(), FakeRestorer()
    setattr(fake, fault, True)
    shared = SharedRestorer(fake, turns)
    with pytest.raises((FrameError, EngineError)):  # noqa: PT012 - either of the two
        shared.submit(FRAME)
        shared.collect()
    assert is_free(turns)


def test_a_run_that_was_broken_off_lets_its_turn_go_once() -> None:
    turns = Turns()
    shared = SharedRestorer(FakeRestorer(), turns)
    shared.submit(FRAME)
    shared.let_go()
    shared.let_go()
    turns.take()
    assert not is_free(turns)


def test_an_engine_for_a_new_size_is_made_while_the_others_go_on() -> None:
    turns = Turns()
    fake = FakeRestorer(turns)
    shared = SharedRestorer(fake, turns)
    for shape in ((4, 6, 3), (4, 6, 3), (8, 6, 3)):
        shared.submit(np.zeros(shape, np.uint8))
        shared.collect()
    assert fake.asked.count("reserve 6x4") == fake.asked.count("reserve 6x8") == 1


def test_saturated_cameras_get_equal_numbers_of_frames() -> None:
    """The issue's bound is 5 %; by order of asking it is one frame."""
    turns, stop, counts = Turns(), threading.Event(), [0] * 4

    def camera(number: int) -> None:
        shared = SharedRestorer(FakeRestorer(), turns)
        while not stop.is_set():
            shared.submit(FRAME)
            shared.collect()
            counts[number] += 1

    turns.take()
    threads = [started(partial(camera, number)) for number in range(4)]
    wait_for(lambda: turns.waiting == 4)
    turns.give_back()
    wait_for(lambda: min(counts) >= 100)
    turns.take()
    seen = list(counts)
    stop.set()
    turns.give_back()
    for thread in threads:
        thread.join(GUARD_SECONDS)
    assert max(seen) - min(seen) <= 0.05 * sum(seen) / 4
