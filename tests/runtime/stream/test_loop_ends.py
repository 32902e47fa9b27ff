"""However a run ends, every captured frame is in the books, and every sink is closed once."""

import threading

import pytest

from crispstream.core.errors import EngineError, SinkError, SourceError, UsageError
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.loop import run_stream
from tests.helpers.streams import (
    BreakingSource,
    ListedSource,
    NotingSink,
    NumberSink,
    RepeatingRestorer,
    flat_frame,
    synth,
)


class CollectFails(RepeatingRestorer):
    """Fails to hand out any frame once it was given enough of them."""

    def collect(self) -> Bytes:
        if len(self.submitted) > self._fail_at:
            raise EngineError("the device went away")
        return super().collect()

    def submit(self, frame_hwc: Bytes) -> None:
        at, self._fail_at = self._fail_at, None
        super().submit(frame_hwc)
        self._fail_at = at


def _watch_fails(at: int) -> dict[str, object]:
    def fail(frame: Frame) -> None:
        if frame.serial >= at:
            raise ZeroDivisionError

    return {"watch": fail}


ENDS = {
    "the source breaks": (lambda at: BreakingSource(at + 4), RepeatingRestorer, {}, SourceError),
    "a submit fails": (lambda at: synth(400), RepeatingRestorer, {}, EngineError),
    "a collect fails": (lambda at: synth(400), CollectFails, {}, EngineError),
    "the watch fails": (lambda at: synth(400), RepeatingRestorer, _watch_fails, ZeroDivisionError),
    "the limit is reached": (lambda at: synth(400), RepeatingRestorer, {"limit": 5}, None),
}


@pytest.mark.parametrize("policy", ["all", "latest"])
@pytest.mark.parametrize("in_flight", [1, 2, 3])
@pytest.mark.parametrize("end", ENDS)
def test_every_captured_frame_is_accounted_for(end: str, in_flight: int, policy: str) -> None:
    make_source, make_restorer, options, expected = ENDS[end]
    at = 5 if policy == "all" else 0  # of the newest frames there may be as few as one
    source, sink = make_source(at), NotingSink()
    ledger = Ledger(source.health)
    fails = expected is EngineError
    arguments = (source, make_restorer(3, at if fails else None), sink)
    options = options(at) if callable(options) else options
    named = {"policy": policy, "in_flight": in_flight, "ledger": ledger, **options}
    if expected is None:
        run_stream(*arguments, **named)
    else:
        with pytest.raises(expected):
            run_stream(*arguments, **named)
    books = ledger.snapshot()
    dropped = sum(books.dropped[cause] for cause in ("slot", "deadline", "stop"))
    assert books.captured == books.restored + dropped
    assert len(sink.numbers) == books.restored
    assert len(sink.closed) == 1


@pytest.mark.parametrize("in_flight", [1, 3])
def test_the_books_balance_when_the_last_sink_fails(in_flight: int) -> None:
    source = synth(100_000)
    ledger = Ledger(source.health)
    with pytest.raises(SinkError):
        run_stream(
            source, RepeatingRestorer(3), NotingSink(fail_at=5), ledger=ledger, in_flight=in_flight
        )
    books = ledger.snapshot()
    assert books.captured == books.restored + books.dropped["stop"]
    assert books.dropped["sink"] == books.restored - 5


@pytest.mark.parametrize("policy", ["latest", "deadline"])
def test_what_is_fresh_stays_so_when_its_frame_is_dropped(policy: str) -> None:
    """Frame 3 begins a new scene and gives way to frame 5 while the restorer works on frame 2."""
    restoring, go_on = threading.Semaphore(0), threading.Semaphore(0)

    class Gated(RepeatingRestorer):
        def collect(self) -> Bytes:
            restoring.release()
            assert go_on.acquire(timeout=20)
            return super().collect()

    class Paced(ListedSource):
        def __iter__(self):
            for frame in self._frames[:3]:
                yield frame
                assert restoring.acquire(timeout=20)
                if frame.serial < 2:
                    go_on.release()
            yield from self._frames[3:]
            for _ in range(9):
                go_on.release()

    frames = [flat_frame(n, fresh=n == 3) for n in range(6)]
    restorer, sink = Gated(), NumberSink()
    budget_ms = 1e9 if policy == "deadline" else None
    report = run_stream(Paced(frames), restorer, sink, policy=policy, budget_ms=budget_ms)
    assert sink.seen == [0, 1, 2, 5]
    assert report.drops["slot"] == 2
    assert restorer.resets == [3]


def test_a_program_fault_in_any_sink_ends_the_run() -> None:
    class Faulty(NotingSink):
        def write(self, frame: Frame, restored_hwc: Bytes) -> None:
            raise ZeroDivisionError

    for names in (("faulty", "good"), ("good", "faulty")):
        sinks = {name: Faulty() if name == "faulty" else NotingSink() for name in names}
        with pytest.raises(ZeroDivisionError):
            run_stream(synth(100_000), RepeatingRestorer(), sinks)
        assert len(sinks["good"].numbers) < 100_000


def test_sinks_are_closed_when_the_request_itself_is_refused() -> None:
    sink = NotingSink()
    with pytest.raises(UsageError):
        run_stream(synth(1), RepeatingRestorer(), sink, policy="newest")
    assert sink.closed == [False]


def test_a_thousand_frames_keep_their_order_and_their_times() -> None:
    """The short version of benchmarks/stream.py."""

    class Times(NumberSink):
        def write(self, frame: Frame, restored_hwc: Bytes) -> None:
            self.seen.append(frame.pts)

    sink = Times()
    report = run_stream(synth(1000), RepeatingRestorer(3), sink, in_flight=2)
    assert sink.seen == list(range(1000))
    assert (report.captured, report.frames, report.dropped) == (1000, 1000, 0)


def test_a_fast_camera_never_makes_frames_old() -> None:
    """The short version of benchmarks/stream.py, counted in frames instead of milliseconds.

    While the restorer works, the camera brings ten frames; it must go on with the newest.
    """
    restoring, go_on = threading.Semaphore(0), threading.Semaphore(0)
    newest: list[int] = []

    class Gated(RepeatingRestorer):
        def submit(self, frame_hwc: Bytes) -> None:
            super().submit(frame_hwc)
            restoring.release()
            assert go_on.acquire(timeout=20)

    class Fast(ListedSource):
        def __iter__(self):
            yield self._frames[0]
            for ten in range(1, 200, 10):
                assert restoring.acquire(timeout=20)
                yield from self._frames[ten : ten + 10]
                newest.append(self._frames[ten + 9].serial)
                go_on.release()
            assert restoring.acquire(timeout=20)
            go_on.release()

    frames = [flat_frame(n) for n in range(201)]
    sink = NumberSink()
    report = run_stream(Fast(frames), Gated(), sink, policy="latest")
    assert sink.seen == [0, *newest]
    assert report.drops["slot"] == 20 * 9
