"""The way to a sink: what waits, what is let go, and what happens when the sink fails or hangs."""

import threading
from fractions import Fraction

import numpy as np
import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import SinkError
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies
from crispstream.runtime.stream import outlet as module
from crispstream.runtime.stream.outlet import STAGES, Outlet, Restored
from crispstream.runtime.stream.sink import Sink

FOREVER = 10**9


class GatedSink(Sink):
    """Notes the first byte of each picture, once it is let through."""

    def __init__(self, *, open_gate: bool = False) -> None:
        self.gate = threading.Semaphore(10**6 if open_gate else 0)
        self.entered = threading.Semaphore(0)
        self.seen: list[int] = []
        self.shapes: set[tuple[int, ...]] = set()
        self.addresses: set[int] = set()
        self.closed: list[bool] = []

    def write(self, frame: Frame, restored_hwc: np.ndarray) -> None:
        self.entered.release()
        assert self.gate.acquire(timeout=20)
        self.seen.append(int(restored_hwc[0, 0, 0]))
        self.shapes.add(restored_hwc.shape)
        self.addresses.add(restored_hwc.ctypes.data)

    def close(self, *, complete: bool = True) -> None:
        self.closed.append(complete)


class FailingSink(GatedSink):
    def write(self, frame: Frame, restored_hwc: np.ndarray) -> None:
        super().write(frame, restored_hwc)
        if len(self.seen) == 2:
            raise SinkError("the disk is full")


def _restored(number: int, valid_until: int = FOREVER, size: tuple[int, int] = (8, 4)) -> Restored:
    frame = Frame(np.zeros((1, 2, 3), np.uint8), number, number, Fraction(1, 25), 0)
    width, height = size
    return Restored(frame, np.full((height, width, 3), number, np.uint8), 0, valid_until)


def _outlet(
    sink: Sink,
    *,
    lossless: bool,
    depth: int = 2,
    patient: bool | None = None,
    stopping: bool = False,
) -> tuple[Outlet, list[str]]:
    failures: list[str] = []
    outlet = Outlet(
        "out",
        sink,
        (8, 4),
        depth=depth,
        lossless=lossless,
        patient=lossless if patient is None else patient,
        clock=FakeClock(),
        stopping=lambda: stopping,
        on_failure=lambda: failures.append("failed"),
        latencies=Latencies(STAGES),
    )
    outlet.start()
    return outlet, failures


def test_a_lossy_outlet_never_waits_and_keeps_the_newest() -> None:
    sink = GatedSink()
    outlet, _ = _outlet(sink, lossless=False)
    outlet.offer(_restored(0))
    assert sink.entered.acquire(timeout=20)  # frame 0 is with the sink, which is stuck
    for number in range(1, 50):
        outlet.offer(_restored(number))
    sink.gate.release(100)
    outlet.end(complete=True)
    outlet.join()
    assert sink.seen == [0, 48, 49]
    outcome = outlet.outcome()
    assert (outcome.written, outcome.dropped, outcome.peak_depth) == (3, 47, 2)


def test_a_lossy_outlet_never_shows_an_array_that_was_overwritten() -> None:
    """The restorer has one array only, and overwrites it as soon as the outlet says it may."""
    sink = GatedSink(open_gate=True)
    outlet, _ = _outlet(sink, lossless=False)
    shared = np.zeros((4, 8, 3), np.uint8)
    for number in range(200):
        outlet.wait_until_free(number)
        shared.fill(255)
        shared.fill(number)
        outlet.offer(_restored(number, valid_until=number + 1)._replace(restored_hwc=shared))
    outlet.end(complete=True)
    outlet.join()
    assert 255 not in sink.seen
    assert sink.seen == sorted(set(sink.seen))
    assert sink.seen[-1] == 199
    assert len(sink.addresses) == 1  # its own buffer, made once
    assert outlet.outcome().written + outlet.outcome().dropped == 200


def test_a_lossy_outlet_lets_the_restorer_go_on_while_its_sink_is_stuck() -> None:
    sink = GatedSink()
    outlet, _ = _outlet(sink, lossless=False)
    outlet.offer(_restored(0, valid_until=1))
    assert sink.entered.acquire(timeout=20)  # its array is copied and free again
    outlet.wait_until_free(1)
    outlet.offer(_restored(1, valid_until=2))
    outlet.wait_until_free(2)  # what waits is let go rather than waited for
    assert outlet.outcome().dropped == 1
    sink.gate.release(100)
    outlet.end(complete=True)
    outlet.join()
    assert sink.seen == [0]


def test_a_lossless_outlet_makes_its_producer_wait_and_loses_nothing() -> None:
    sink = GatedSink()
    outlet, _ = _outlet(sink, lossless=True)
    producer = threading.Thread(target=lambda: [outlet.offer(_restored(n)) for n in range(20)])
    producer.start()
    assert sink.entered.acquire(timeout=20)
    sink.gate.release(100)
    producer.join(20)
    outlet.end(complete=False)
    outlet.join()
    assert sink.seen == list(range(20))
    assert sink.closed == [False]
    assert outlet.outcome().dropped == 0


def test_a_lossless_outlet_holds_back_the_submit_that_would_overwrite_its_frame() -> None:
    sink = GatedSink()
    outlet, _ = _outlet(sink, lossless=True)
    outlet.offer(_restored(7, valid_until=3))
    outlet.wait_until_free(2)  # that submit overwrites nothing: no wait
    waited = threading.Thread(target=outlet.wait_until_free, args=(3,))
    waited.start()
    assert sink.entered.acquire(timeout=20)
    assert waited.is_alive()
    sink.gate.release()
    waited.join(20)
    assert not waited.is_alive()
    assert sink.seen == [7]
    outlet.end(complete=True)
    outlet.join()


@pytest.mark.parametrize("lossless", [True, False])
def test_a_sink_that_fails_is_closed_once_and_its_frames_are_counted(lossless: bool) -> None:
    sink = FailingSink()
    outlet, failures = _outlet(sink, lossless=lossless, depth=4)
    for number in range(4):
        outlet.offer(_restored(number, valid_until=number if lossless else FOREVER))
    sink.gate.release(100)
    outlet.wait_until_free(10)  # a failure frees whoever waits
    while not failures:
        threading.Event().wait(0.001)
    outlet.offer(_restored(4))
    outlet.end(complete=True)
    outlet.join()
    outcome = outlet.outcome()
    assert (outcome.written, outcome.dropped, outcome.error) == (1, 4, "the disk is full")
    assert sink.closed == [False]
    assert failures == ["failed"]


def test_a_sink_always_gets_its_one_size() -> None:
    sink = GatedSink(open_gate=True)
    outlet, _ = _outlet(sink, lossless=True)
    for size in ((8, 4), (16, 16), (2, 6), (8, 4)):
        outlet.offer(_restored(200, size=size))
    outlet.end(complete=True)
    outlet.join()
    assert sink.shapes == {(4, 8, 3)}


def test_a_lossy_outlet_follows_a_change_of_size() -> None:
    sink = GatedSink(open_gate=True)
    outlet, _ = _outlet(sink, lossless=False)
    for number, size in enumerate(((8, 4), (16, 8), (8, 4), (4, 2))):
        outlet.offer(_restored(number + 1, size=size))
    outlet.end(complete=True)
    outlet.join()
    assert sink.shapes == {(4, 8, 3)}
    assert sink.seen[-1] == 4


def test_a_sink_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    sink = GatedSink()
    outlet, _ = _outlet(sink, lossless=False)
    outlet.offer(_restored(0))
    outlet.end(complete=True)
    outlet.join()
    outcome = outlet.outcome()
    assert "did not finish" in outcome.error
    assert (outcome.written, outcome.dropped) == (0, 1)
    sink.gate.release()


def test_abandoning_lets_go_of_what_waits() -> None:
    sink = GatedSink()
    outlet, _ = _outlet(sink, lossless=True, depth=4)
    for number in range(4):
        outlet.offer(_restored(number))
    assert sink.entered.acquire(timeout=20)
    outlet.abandon()
    sink.gate.release(100)
    outlet.join()
    assert sink.seen == [0]
    assert (outlet.outcome().written, outlet.outcome().dropped) == (1, 3)


@pytest.mark.parametrize("wait", ["room", "array"])
def test_a_run_that_is_to_end_gives_up_a_sink_that_hangs(
    monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    """Alone under `latest`: its restorer waits for it, but not for ever once it is to stop."""
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.2)
    sink = GatedSink()
    outlet, _ = _outlet(sink, lossless=True, depth=1, patient=False, stopping=True)
    outlet.offer(_restored(0, valid_until=1))
    assert sink.entered.acquire(timeout=20)
    outlet.offer(_restored(1, valid_until=2))
    if wait == "room":
        outlet.offer(_restored(2, valid_until=3))
    else:
        outlet.wait_until_free(1)
    outcome = outlet.outcome()
    assert "left behind" in outcome.error
    assert (outcome.written, outcome.dropped) == (0, 3 if wait == "room" else 2)
    sink.gate.release(100)
    outlet.end(complete=False)
    outlet.join()
    assert outlet.outcome().written == 0


def test_what_a_sink_took_and_could_not_deliver_is_not_written() -> None:
    class Pusher(GatedSink):
        def write(self, frame: Frame, restored_hwc: np.ndarray) -> None:
            super().write(frame, restored_hwc)
            self.lost += frame.serial % 2

    sink = Pusher(open_gate=True)
    outlet, _ = _outlet(sink, lossless=True)
    for number in range(9):
        outlet.offer(_restored(number))
    outlet.end(complete=True)
    outlet.join()
    assert (outlet.outcome().written, outlet.outcome().dropped) == (5, 4)
