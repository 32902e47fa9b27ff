"""Signals of `crispstream run`: the first asks, the second ends, whichever they are."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from crispstream.cli import main as command_line
from crispstream.cli import run_output
from crispstream.cli.run_signals import signals_caught
from crispstream.core.errors import SourceError
from crispstream.runtime.stream import compose

NAMES = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.mark.parametrize("name", NAMES)
def test_after_the_first_all_are_the_systems_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [getattr(signal, name) for name in NAMES]
    before = [signal.getsignal(number) for number in numbers]
    seen: list[object] = []
    with signals_caught() as caught:
        # Already when the stop is set: who waits for that may hold the lock that it needs.
        monkeypatch.setattr(caught.stop, "set", lambda: seen.extend(map(signal.getsignal, numbers)))
        signal.raise_signal(getattr(signal, name))
        assert caught.signal_number == getattr(signal, name)
    assert seen == [signal.SIG_DFL] * len(numbers)
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_what_is_ignored_stays_ignored_after_the_first_too() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_caught():
            signal.raise_signal(signal.SIGTERM)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_while_the_source_is_opened_is_no_error_of_the_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*_: object, **options: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        stop = options["stop"]
        assert stop.is_set()
        raise SourceError("'rtsp://host/x' was told to stop before it answered")

    monkeypatch.setattr(compose, "open_source", told)
    words = ["run", "rtsp://host/x", "null://", "--model", "bicubic"]
    assert command_line.main(words) == 128 + signal.SIGTERM
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        "stopped by SIGTERM before the first frame; nothing was written\n",
    )


def test_without_a_signal_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SourceError("'rtsp://host/x' refused")

    monkeypatch.setattr(compose, "open_source", refuse)
    assert command_line.main(["run", "rtsp://host/x", "null://", "--model", "bicubic"]) == 1
    assert capsys.readouterr().err == "error: 'rtsp://host/x' refused\n"


def test_a_signal_counts_also_where_nobody_reads_the_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unread(*_: object, **__: object) -> None:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            raise SystemExit(1)  # noqa: B904 - as rich does

    opened = compose.open_sinks

    def signalled(*words: object, **options: bool) -> object:
        signal.raise_signal(signal.SIGTERM)
        return opened(*words, **options)

    monkeypatch.setattr(compose, "open_sinks", signalled)
    monkeypatch.setattr(run_output, "_print", unread)
    words = ["run", "synth://pattern?size=16x16&frames=2", "null://", "--model", "bicubic"]
    assert command_line.main(words) == 128 + signal.SIGTERM
    monkeypatch.undo()
    monkeypatch.setattr(run_output, "_print", unread)
    assert command_line.main(words) == command_line.UNREAD
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_says_nothing_holds_up_no_signal(scheme: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        words = [f"{scheme}://127.0.0.1:{server.getsockname()[1]}/x", str(tmp_path / "out.mp4")]
        process = subprocess.Popen(
            [sys.executable, "-m", "crispstream.cli.main", "run", *words, "--model", "bicubic"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stderr=subprocess.PIPE,
            text=True,
        )
        asked, _ = server.accept()
        with asked:  # and never answered
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert said == "stopped by SIGTERM before the first frame; nothing was written\n"
