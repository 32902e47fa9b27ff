"""What `crispstream run` decides before, around and after the stream."""

import io
import json
import signal
import sys
import threading
from pathlib import Path

import pytest

from crispstream.cli import main as command_line
from crispstream.cli import run_one
from crispstream.cli.run_restorer import Running, abreast_and_in_flight, open_running
from crispstream.cli.run_signals import signals_caught
from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.engine import available
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream import compose
from tests.helpers.bundles import four_graphs, write_tiny_bundle
from tests.helpers.media import write_video


def _run(*words: object) -> int:
    return command_line.main(["run", *map(str, words), "--model", "bicubic"])


@pytest.mark.parametrize("option", ["--report", "--html"])
@pytest.mark.parametrize("victim", ["in.mp4", "alias.json", "out.mp4", "notes.txt", "folder"])
def test_report_destroys_nothing(
    tmp_path: Path, option: str, victim: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, frames=2)
    (tmp_path / "alias.json").symlink_to(source)
    (tmp_path / "notes.txt").write_text("precious")
    (tmp_path / "folder").mkdir()
    before = source.read_bytes()
    assert _run(source, target, option, tmp_path / victim) == 2
    said = capsys.readouterr()
    assert (said.err.count("\n"), said.out) == (1, "")
    assert option in said.err
    assert not target.exists()  # no work was done
    assert source.read_bytes() == before
    assert (tmp_path / "notes.txt").read_text() == "precious"


def test_the_two_reports_are_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = tmp_path / "r.json"
    assert _run("synth://pattern?frames=1", "null://", "--report", one, "--html", one) == 2
    assert "--html" in capsys.readouterr().err
    assert not one.exists()


def test_an_older_report_is_replaced(tmp_path: Path) -> None:
    report, html = tmp_path / "r.json", tmp_path / "r.html"
    for path in (report, html):
        path.write_text("old")
    source = "synth://pattern?size=16x16&frames=1"
    assert _run(source, "null://", "--report", report, "--html", html) == 0
    assert "old" not in (report.read_text(), html.read_text())


@pytest.mark.parametrize("option", ["--report", "--html"])
def test_failed_report_names_what_was_asked_for(
    tmp_path: Path,
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path.parent / ".r.temporary"))

    for module in ("report", "pages.run"):
        monkeypatch.setattr(f"crispstream.runtime.measure.{module}.write_atomically", full)
    path = tmp_path / "r.json"
    assert (
        _run("synth://pattern?size=16x16&frames=1", "null://", option, path) == SinkError.exit_code
    )
    said = capsys.readouterr().err
    assert f"'{path}'" in said
    assert "temporary" not in said


def test_one_image_of_a_video_needs_a_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.png"
    write_video(source, frames=3)
    assert _run(source, target) == 2
    assert "--limit 1" in capsys.readouterr().err
    assert not target.exists()
    assert _run(source, target, "--limit", 1) == 0
    assert target.exists()


def test_threads_are_at_least_one() -> None:
    assert _run("synth://pattern?frames=1", "null://", "--threads", 0) == 2


@pytest.mark.parametrize(
    ("waits", "chosen", "threads", "abreast", "in_flight"),
    [
        (True, "onnxruntime", 1, 1, 1),
        (True, "onnxruntime", 2, 2, 2),
        (True, "onnxruntime", 7, 7, 7),
        (True, "onnxruntime", 8, 4, 4),
        (True, "onnxruntime", 64, 4, 4),
        (True, "onnxruntime-cuda", 8, 1, 2),
        (True, "tensorrt", 8, 1, 2),
        (False, "onnxruntime", 8, 1, 1),
        (False, "tensorrt", 8, 1, 1),
    ],
)
def test_frames_abreast_and_in_flight(
    monkeypatch: pytest.MonkeyPatch,
    waits: bool,
    chosen: str,
    threads: int,
    abreast: int,
    in_flight: int,
) -> None:
    monkeypatch.setattr(available, "choose_backend", lambda _: available.Choice(chosen, ""))
    assert abreast_and_in_flight(waits, "auto", threads) == (abreast, in_flight)


def test_restorer_is_closed_when_the_source_fails_first(monkeypatch: pytest.MonkeyPatch) -> None:
    source_failed = threading.Event()
    closed: list[str] = []
    close = Restorer.close

    def slowly(request: run_one.Request, **options: object) -> Running:
        assert source_failed.wait(10)
        return open_running(request, **options)

    def fail(*_: object, **__: object) -> None:
        source_failed.set()
        raise UsageError("no such source")

    def noted(restorer: Restorer) -> None:
        closed.append(restorer.name)
        close(restorer)

    monkeypatch.setattr(run_one, "open_running", slowly)
    monkeypatch.setattr("crispstream.runtime.stream.compose.open_source", fail)
    monkeypatch.setattr(Restorer, "close", noted)
    assert _run("synth://pattern", "null://") == 2
    assert closed == ["bicubic"]


def test_stopped_before_the_first_frame_prints_no_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = compose.open_sinks

    def signalled(*words: object, **options: bool) -> object:
        signal.raise_signal(signal.SIGTERM)
        return opened(*words, **options)

    monkeypatch.setattr(compose, "open_sinks", signalled)
    assert _run("synth://pattern?size=16x16", "null://") == 128 + signal.SIGTERM
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "stopped by SIGTERM before the first frame; nothing was written\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_ignored_signals_stay_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_caught():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


SYNTH = "synth://pattern?size=16x16&fps=1&frames=12"  # 12 s
DARK = {"figures": {"brightness": {"mean": 1.0, "low": 0.0, "high": 2.0}}}
BOTH = ("fp16", "int8-cpu")


def _figures(bundle: Path, *words: str) -> dict[str, object]:
    """Run the bundle on synthetic frames; return the report."""
    report = bundle.parent / "report.json"
    asked = ["--model", str(bundle), "--report", str(report)]
    assert command_line.main(["run", SYNTH, "null://", *asked, *words]) == 0
    return dict(json.loads(report.read_text()))


def test_int8_is_that_of_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), certified=BOTH).path
    assert _figures(bundle, "--precision", "int8")["precision"] == "int8-cpu"
    assert _figures(bundle, "--precision", "int8-cpu")["precision"] == "int8-cpu"
    assert _figures(bundle)["precision"] == "fp32"  # nothing says that int8-cpu is faster
    assert capsys.readouterr().err == ""


def test_auto_takes_certified_int8_that_is_faster(tmp_path: Path) -> None:
    judged = {"int8-cpu": {"speed_over_fp32": 1.8}}
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), judged=judged).path
    assert _figures(bundle)["precision"] == "int8-cpu"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_uncertified_graphs_are_refused_or_warned_of(
    tmp_path: Path, precision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs()).path
    target = tmp_path / "out.mp4"
    words = ["--model", str(bundle), "--precision", precision]
    assert command_line.main(["run", SYNTH, str(target), *words]) == 2
    said = capsys.readouterr().err
    assert "crispstream verify" in said
    assert "--allow-uncertified" in said
    assert said.count("\n") == 1
    assert not target.exists()
    ran = _figures(bundle, "--precision", precision, "--allow-uncertified", "--json")
    assert str(ran["precision"]).startswith(precision)
    said = capsys.readouterr()
    assert "is not certified" in said.err
    assert (said.err.count("warning: "), said.out.count("\n")) == (1, 1)


def test_what_need_not_be_allowed_is_not_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs()).path
    assert _figures(bundle, "--allow-uncertified")["precision"] == "fp32"
    assert capsys.readouterr().err == ""


def test_a_stream_unlike_its_calibration_is_warned_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_tiny_bundle(
        tmp_path / "b", four_graphs(), name="night", certified=BOTH, input_statistics=DARK
    ).path
    drift = _figures(bundle, "--precision", "int8", "--json")["drift"]
    assert isinstance(drift, dict)
    assert (drift["watched"], drift["outside"], drift["alarms"]) == (12, 12, 1)
    said = capsys.readouterr().err
    assert said.startswith("warning: the stream has left what night int8-cpu was calibrated for: ")
    assert ": brightness " in said
    assert ", calibrated 0 to 2" in said
    assert "crispstream data collect" in said
    assert said.count("\n") == 1


def test_a_ladder_that_begins_in_fp32_is_watched_for_its_int8_rung(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_tiny_bundle(
        tmp_path / "b", four_graphs(), name="night", certified=BOTH, input_statistics=DARK
    ).path
    rungs = f"{bundle}:fp32,{bundle}:int8-cpu"
    ran = _figures(bundle, "--policy", "all", "--budget-ms", "60000", "--ladder", rungs)
    assert (ran["precision"], ran["ladder"]["rungs"][1]["name"]) == ("fp32", "night int8-cpu")
    assert (ran["drift"]["watched"], ran["drift"]["alarms"]) == (12, 1)
    assert "has left what night int8-cpu was calibrated for" in capsys.readouterr().err


def test_fp32_has_no_calibration_to_leave(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), input_statistics=DARK).path
    assert _figures(bundle)["drift"] is None
    assert "calibrat" not in "".join(capsys.readouterr())


def test_a_warning_that_nobody_reads_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    bundle = write_tiny_bundle(tmp_path / "b", four_graphs()).path
    monkeypatch.setattr(sys, "stderr", Closed())
    assert _figures(bundle, "--precision", "fp16", "--allow-uncertified")["frames"] == 12
