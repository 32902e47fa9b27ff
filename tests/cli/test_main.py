"""The face of the command line: help, version, one-sentence errors and exit codes."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
import typer

from crispstream.cli import main as command_line
from crispstream.core.errors import CrispstreamError, EngineError, SourceError, UsageError

ROOT = Path(__file__).parents[2]
NAMES = [command_line.NAMES.get(do, do.__name__) for do, _ in command_line.COMMANDS]


def crispstream(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "build/links")} | variables
    command = [sys.executable, "-m", "crispstream.cli.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Replace the commands by one that raises what it is given."""

    def replace(error: BaseException) -> None:
        app = typer.Typer(pretty_exceptions_enable=False)

        @app.command()
        def fail() -> None:
            raise error

        monkeypatch.setattr(command_line, "app", app)

    return replace


def test_help_lists_every_command() -> None:
    done = crispstream("--help")
    assert done.returncode == 0, done.stderr
    for name in [*NAMES, "data"]:
        assert f" {name} " in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_help_of_a_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main([name, "--help"]) == 0
    assert f"Example: crispstream {name}" in " ".join(capsys.readouterr().out.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("crispstream ")


def test_version_without_an_installed_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise command_line.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(command_line.metadata, "version", missing)
    assert "not installed" in command_line.installed_version()


@pytest.mark.parametrize("words", [["sharpen"], ["run"], ["run", "--no-such-option"]])
def test_bad_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(words) == 2
    captured = capsys.readouterr()
    assert captured.err
    assert not captured.out


@pytest.mark.parametrize(
    ("error", "code"),
    [(CrispstreamError("it broke"), 1), (SourceError("it broke"), 1), (UsageError("it broke"), 2)],
)
def test_own_errors_are_one_sentence(
    error: CrispstreamError,
    code: int,
    raising: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(error)
    assert command_line.main([]) == code
    captured = capsys.readouterr()
    assert captured.err == "error: it broke\n"
    assert not captured.out


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("the builder refused the graph", "error: the builder refused the graph\n[E] no cast\n"),
        ("the builder said: [E] no cast", "error: the builder said: [E] no cast\n"),
    ],
)
def test_the_engines_own_words_are_shown_once(
    message: str,
    expected: str,
    raising: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(EngineError(message, native_log="[E] no cast"))
    assert command_line.main([]) == 1
    assert capsys.readouterr().err == expected


def test_debug_shows_the_traceback(
    raising: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRISPSTREAM_DEBUG", "1")
    raising(SourceError("it broke"))
    with pytest.raises(SourceError, match="it broke"):
        command_line.main([])


def test_a_fault_of_ours_is_not_hidden(raising: Callable[[BaseException], None]) -> None:
    raising(ZeroDivisionError("a fault"))
    with pytest.raises(ZeroDivisionError):
        command_line.main([])


@pytest.mark.parametrize(
    "error",
    [ImportError("libGL.so.1: cannot open\nmore", name="cv2.cv2"), ImportError("broken")],
)
def test_a_library_that_cannot_be_loaded_is_one_sentence(
    error: ImportError,
    raising: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(error)
    assert command_line.main([]) == 1
    package = "cv2" if error.name else __name__.partition(".")[0]  # where it was raised
    said = str(error).partition("\n")[0]
    expected = f"error: {package} cannot be loaded ({said}); see crispstream doctor\n"
    assert capsys.readouterr().err == expected


def test_an_onnxruntime_that_cannot_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('libcblas.so.3: cannot open')\n")
    words = ("run", "synth://pattern?frames=1", "null://", "--model", "edge-n")
    done = crispstream(*words, PYTHONPATH=f"{tmp_path}:{ROOT / 'build/links'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: onnxruntime cannot be loaded (libcblas.so.3: cannot open); ")
    assert "pip install --force-reinstall onnxruntime" in line


def test_a_module_of_ours_that_is_missing_is_not_hidden(
    raising: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(ImportError("cannot import name 'x'", name="crispstream.core.pixels"))
    with pytest.raises(ImportError):
        command_line.main([])
    raising(ImportError("libGL.so.1", name="cv2"))
    monkeypatch.setenv("CRISPSTREAM_DEBUG", "1")
    with pytest.raises(ImportError):
        command_line.main([])


def test_interrupt_is_130(
    raising: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    raising(KeyboardInterrupt())
    assert command_line.main([]) == 130
    assert not capsys.readouterr().err


@pytest.mark.parametrize("debug", ["0", "1"])
def test_a_missing_file_reaches_the_shell_as_one_line(debug: str) -> None:
    words = ("run", "missing.mp4", "null://", "--model", "bicubic")
    done = crispstream(*words, CRISPSTREAM_DEBUG=debug)
    assert done.returncode in (1, 2)
    assert ("Traceback" in done.stderr) == (debug == "1")
    assert "missing.mp4" in done.stderr
    if debug == "0":
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["engines", "list"]])
def test_a_reader_that_left_is_no_error(words: list[str], tmp_path: Path) -> None:
    """Whether typer or rich writes: 128 + SIGPIPE, as shells expect, and not the 1 of a failure."""
    reading, writing = os.pipe()
    os.close(reading)
    variables = {"PYTHONPATH": str(ROOT / "build/links"), "CRISPSTREAM_CACHE": str(tmp_path)}
    environment = os.environ | variables
    command = [sys.executable, "-m", "crispstream.cli.main", *words]
    done = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (command_line.UNREAD, b"")


class LeftAtTheEnd:
    """A standard output whose reader leaves just before the last flush."""

    def __init__(self, file: IO[str]) -> None:
        self.fileno = file.fileno

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("ends", "code"), [(typer.Exit(), command_line.UNREAD), (UsageError("no"), 2)]
)
def test_who_leaves_before_the_last_flush_hides_no_failure(
    ends: BaseException,
    code: int,
    raising: Callable[[BaseException], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    raising(ends)
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", LeftAtTheEnd(file))
        assert command_line.main([]) == code


def test_ctrl_c_that_a_library_tells_as_a_failed_import_is_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as behind:
            raise ImportError("initialization failed") from behind

    monkeypatch.setattr(command_line, "app", interrupted)
    assert command_line.main(["doctor"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "seen"), [("capture", True), ("tqdm_monitor", False)])
def test_a_thread_of_a_stream_that_was_left_behind_is_seen(name: str, seen: bool) -> None:
    """The process then ends without taking the interpreter down around it."""
    let_go = threading.Event()
    thread = threading.Thread(target=let_go.wait, name=name, daemon=True)
    assert not command_line._left_behind()
    thread.start()
    try:
        assert command_line._left_behind() is seen
    finally:
        let_go.set()
        thread.join(20)
    assert not command_line._left_behind()
