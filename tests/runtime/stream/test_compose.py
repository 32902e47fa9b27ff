"""From what is asked of a stream to what the loop takes."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.stream.compose import open_input, open_sinks, policy_for, wait_for_source
from crispstream.runtime.stream.live import opening as opening_module
from crispstream.runtime.stream.live.backoff import Backoff
from crispstream.runtime.stream.sinks.file import FileSink
from crispstream.runtime.stream.source import Source, open_source
from crispstream.runtime.stream.sources.synth import SynthSource

SYNTH = "synth://pattern?size=32x16&frames=3"
INFO = open_source(SYNTH).info
LIVE = replace(INFO, live=True)


class NoBackoff(Backoff):
    """Fake waits, of no time."""

    def next_seconds(self) -> float:
        return 0.0


def test_auto_means_what_suits_the_stream() -> None:
    assert policy_for("auto", INFO) == "all"
    assert policy_for("auto", LIVE) == "latest"
    assert policy_for("auto", LIVE, 33.0) == "deadline"


@pytest.mark.parametrize("policy", ["all", "latest", "deadline"])
def test_a_policy_that_is_named_is_kept(policy: str) -> None:
    assert policy_for(policy, INFO, 33.0) == policy_for(policy, LIVE) == policy


def test_a_budget_for_a_file_is_refused() -> None:
    with pytest.raises(UsageError, match="a budget of 33 ms is asked for a source that is not"):
        policy_for("auto", INFO, 33.0)


def test_an_input_may_be_a_region() -> None:
    source = open_input(SYNTH, roi="8,0,16,16")
    assert (source.info.width, source.info.height) == (16, 16)
    assert [frame.pixels_hwc.shape for frame in source] == [(16, 16, 3)] * 3
    assert open_input(SYNTH).info == INFO


@pytest.mark.parametrize("uri", ["rtsp://127.0.0.1:9/x", "0", "gst:fakesrc", "csi://0"])
def test_what_does_not_answer_is_given_up_when_told_to(monkeypatch, uri: str) -> None:
    stop, release = threading.Event(), threading.Event()
    monkeypatch.setattr(opening_module.Opening, "_run", lambda _: release.wait(20))
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(SourceError, match="told to stop"):
        open_input(uri, stop=stop)
    release.set()


def test_a_source_without_the_region_is_closed(monkeypatch) -> None:
    closed = []
    monkeypatch.setattr(SynthSource, "close", lambda self: closed.append(self))
    with pytest.raises(UsageError):
        open_input(SYNTH, roi="8,0,160,16")
    assert len(closed) == 1


def test_a_source_is_waited_for() -> None:
    told: list[str] = []

    def open_late() -> Source:
        if len(told) < 3:
            raise SourceError(f"not yet {len(told)}")
        return open_source(SYNTH)

    def note(error: SourceError) -> None:
        told.append(str(error))

    stop = threading.Event()
    assert wait_for_source("rtsp://127.0.0.1:9/x", open_late, stop, note, NoBackoff()).info == INFO
    assert told == ["not yet 0", "not yet 1", "not yet 2"]


def test_the_wait_for_a_source_ends_with_the_reason() -> None:
    stop = threading.Event()

    def fail() -> Source:
        raise SourceError("it does not answer")

    with pytest.raises(SourceError, match="it does not answer"):
        wait_for_source("rtsp://127.0.0.1:9/x", fail, stop, lambda _: stop.set())


@pytest.mark.parametrize(
    ("uri", "error"), [("clip.mp4", SourceError("broken")), ("rtsp://h/x", UsageError("wrong"))]
)
def test_what_another_try_cannot_mend_is_not_waited_for(uri: str, error: Exception) -> None:
    def fail() -> Source:
        raise error

    told: list[SourceError] = []
    with pytest.raises(type(error)):
        wait_for_source(uri, fail, threading.Event(), told.append)
    assert told == []


def test_sinks_have_names_of_their_own_without_passwords(tmp_path: Path) -> None:
    uris = ["null://", str(tmp_path / "a.mp4"), "null://", "null://"]
    sinks = open_sinks(uris, INFO, source=SYNTH)
    assert list(sinks) == ["null://", str(tmp_path / "a.mp4"), "null:// (2)", "null:// (3)"]
    for sink in sinks.values():
        sink.close()


def test_sinks_are_closed_if_another_cannot_be_opened(tmp_path: Path, monkeypatch) -> None:
    closed, close = [], FileSink.close

    def noted(self: FileSink, *, complete: bool = True) -> None:
        closed.append(complete)
        close(self, complete=complete)

    monkeypatch.setattr(FileSink, "close", noted)
    (tmp_path / "there.mp4").write_bytes(b"x")
    with pytest.raises(UsageError, match="exists already"):
        open_sinks([str(tmp_path / "a.mp4"), str(tmp_path / "there.mp4")], INFO, source=SYNTH)
    assert closed == [False]
