"""What befalls one camera of several is its own affair; what befalls all is told at once."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError, SinkError, SourceError, UsageError
from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream import compose
from crispstream.runtime.stream.cameras import cameras
from crispstream.runtime.stream.cameras import running as camera_run
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.sinks.null import NullSink
from crispstream.runtime.stream.source import Source, open_source
from tests.helpers.cameras import FILE, GUARD_SECONDS, LIVE, camera, restored, run


class HangingSource:
    """A source that ignores `stop`, as a driver may; it ends with the test."""

    damaged = 0

    def __init__(self, ended: threading.Event) -> None:
        self._source = open_source(LIVE)
        self._ended = ended

    @property
    def info(self) -> StreamInfo:
        return self._source.info

    @property
    def health(self) -> Health:
        return self._source.health

    def __iter__(self) -> Iterator[Frame]:
        self._ended.wait(GUARD_SECONDS)
        yield from ()

    def stop(self) -> None: ...

    def close(self) -> None:
        self._source.close()


def test_a_camera_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    for name in ("there.mp4", "none.mp4"):
        (tmp_path / name).write_bytes(b"x")
    text = camera("a", "none.mp4") + camera("b", FILE) + camera("c", FILE, "there.mp4")
    report = run(tmp_path, text)
    assert report.failed
    assert [each.failed for each in report.cameras.values()] == [True, False, True]
    assert report.cameras["b"].stream.frames == 12
    assert isinstance(report.cameras["a"].error, SourceError)
    assert isinstance(report.cameras["c"].error, UsageError)
    assert str(report.cameras["c"].error).endswith(
        "exists already; name another output or add overwrite = true"
    )
    assert report.cameras["a"].stream is None
    assert report.cameras["a"].snapshot is None


def test_an_engine_that_fails_midway_takes_one_camera_down(tmp_path, monkeypatch) -> None:
    real_twin, twins = Restorer.twin, []

    def frail_twin(self: Restorer) -> Restorer:
        twin = real_twin(self)
        twins.append(twin)
        if len(twins) == 1:
            monkeypatch.setattr(twin, "collect", lambda: (_ for _ in ()).throw(EngineError("lost")))
        return twin

    monkeypatch.setattr(Restorer, "twin", frail_twin)
    report = run(tmp_path, "".join(camera(name, FILE) for name in "abc"))
    frames = sorted(each.stream.frames if each.stream else 0 for each in report.cameras.values())
    assert frames == [0, 12, 12]
    (failed,) = (each for each in report.cameras.values() if each.failed)
    assert str(failed.error) == "lost"
    assert failed.snapshot.restored == 0


def test_a_fault_in_the_program_is_kept_too(tmp_path, monkeypatch, caplog) -> None:
    def broken(self: Restorer) -> Restorer:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Restorer, "twin", broken)
    report = run(tmp_path, camera("a", FILE))
    assert isinstance(report.cameras["a"].error, ZeroDivisionError)
    assert "Traceback" in caplog.text


def test_the_end_of_a_build_that_was_cancelled_is_no_interrupt(tmp_path, monkeypatch) -> None:
    def cancelled(self: Restorer, width: int, height: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Restorer, "reserve", cancelled)
    report = run(tmp_path, camera("a", FILE))
    assert str(report.cameras["a"].error) == "it was told to end before its engine was built"


def test_a_camera_that_never_answers_ends_with_the_others(tmp_path, monkeypatch) -> None:
    def refuse(uri: str, *arguments, **options) -> Source:
        if uri.startswith("rtsp"):
            raise SourceError("it does not answer")
        return open_source(uri, *arguments, **options)

    monkeypatch.setattr(compose, "open_source", refuse)
    text = camera("a", "rtsp://me:secret@127.0.0.1:9/x") + camera("b", LIVE)
    report = run(tmp_path, text, until=lambda states: restored(states, "b") > 3)
    assert str(report.cameras["a"].error) == "it does not answer"
    assert report.cameras["a"].source == "rtsp://***@127.0.0.1:9/x"
    assert not report.cameras["b"].failed


def test_a_camera_that_is_being_opened_is_told_to_end(tmp_path, monkeypatch) -> None:
    """As one does that takes long to answer."""

    def slow(uri: str, *arguments, stop: threading.Event, **options) -> Source:
        if not uri.startswith("rtsp"):
            return open_source(uri, *arguments, **options)
        assert stop.wait(GUARD_SECONDS), "nobody told it to end"
        raise SourceError("it was told to end")

    monkeypatch.setattr(compose, "open_source", slow)
    text = camera("a", "rtsp://127.0.0.1:9/x") + camera("b", LIVE)
    report = run(tmp_path, text, until=lambda states: restored(states, "b") > 3)
    assert str(report.cameras["a"].error) == "it was told to end"


def test_a_signal_that_comes_at_any_moment_ends_them(tmp_path, monkeypatch) -> None:
    """Whoever waits for an event holds its lock now and then, and a handler runs in between."""
    monkeypatch.setattr(threading.Event, "wait", lambda *_: pytest.fail("it waits for an event"))
    stop, ticks = threading.Event(), []
    monkeypatch.setattr(cameras.time, "sleep", lambda _: (ticks.append(1), stop.set()))

    class Working:
        alive = True

    cameras._wait([Working()], stop, None, None, lambda: 0)
    assert len(ticks) == 1


def test_a_camera_that_does_not_end_is_left_behind(tmp_path, monkeypatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(compose, "open_source", lambda *_, **__: HangingSource(ended))
    for name in ("END_SECONDS", "_LAST_SECONDS"):
        monkeypatch.setattr(cameras, name, 0.1)
    report = run(tmp_path, camera("a", LIVE), seconds=0.1)
    ended.set()
    assert "was left behind" in str(report.cameras["a"].error)
    until = time.monotonic() + GUARD_SECONDS
    while any(thread.name == "a" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_budget_for_what_turns_out_not_to_be_live_is_that_cameras_fault(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(compose, "open_source", lambda *_, **__: open_source(FILE))
    more = "budget_ms = 33\nladder = 'off'"
    report = run(tmp_path, camera("a", "http://127.0.0.1:9/clip.mp4", more=more))
    assert "a budget of 33 ms is asked for a source that is not live" in str(
        report.cameras["a"].error
    )


@pytest.mark.parametrize(
    ("more", "line", "words"),
    [
        ("precision = 'fp32'", 7, "bicubic has no graph to run as fp32"),
        ("precision = 'int8'\nmodel = 'edge-n'\nbackend = 'tensorrt'", 9, "the backend tensorrt"),
        (
            "ladder = 'edge-n,edge-x'\nbudget_ms = 9\npolicy = 'latest'",
            7,
            "there is no model 'edge-x'; did you",
        ),
    ],
)
def test_what_cannot_be_opened_is_told_with_its_line_before_anything_starts(
    tmp_path, monkeypatch, more: str, line: int, words: str
) -> None:
    started = []
    monkeypatch.setattr(camera_run.CameraRun, "start", lambda self: started.append(self))
    first = f"camera.first = {{ source = '{FILE}', sinks = 'null://' }}\n\n"
    with pytest.raises(UsageError) as raised:
        run(tmp_path, first + camera("a", FILE, more=more))
    assert str(raised.value).startswith(f"{tmp_path}/cameras.toml:{line}: {words}")
    assert not started


def test_a_failed_output_makes_a_camera_fail_and_the_others_go_on(tmp_path, monkeypatch) -> None:
    written = []

    def full(self: NullSink, frame: Frame, restored_hwc) -> None:
        written.append(frame.serial)
        raise SinkError("the disk is full")

    monkeypatch.setattr(NullSink, "write", full)
    text = "[camera.a]\nsource = '" + FILE + "'\nsinks = ['null://', 'a.mp4']\n"
    report = run(tmp_path, text)
    assert report.failed
    assert report.cameras["a"].error is None
    assert sum(1 for _ in open_source(str(tmp_path / "a.mp4"))) == 12


def test_an_error_of_who_looks_on_ends_them_all(tmp_path: Path) -> None:
    def fail(_states: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(tmp_path, camera("a", LIVE) + camera("b", LIVE), on_tick=fail)
    assert not {thread.name for thread in threading.enumerate()} & {"a", "b", "capture"}
