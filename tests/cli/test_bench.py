"""`crispstream bench` on the CPU: what is compared, what is refused, what is written."""

import itertools
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from crispstream.cli import main as command_line
from crispstream.cli.bench_output import bench_bar
from crispstream.core.pixels import Bytes
from crispstream.runtime.measure.bench.record import BenchRecord
from crispstream.runtime.measure.records import read_record
from crispstream.runtime.restorer import Restorer
from tests.helpers.bundles import four_graphs, write_tiny_bundle

QUICK = ["--size", "16x8", "--seconds", "0.01", "--iterations", "1", "--warm-up-ms", "0"]
ENGINE = ["--scopes", "engine"]
Said = Callable[..., str]


def bench(*words: str) -> int:
    return command_line.main(["bench", *words, "--threads", "1"])


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Said:
    """Return the error of a bench that is bad usage."""

    def run(*words: str) -> str:
        assert bench(*words) == 2
        return capsys.readouterr().err

    return run


@pytest.fixture
def record(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Return the JSON of a quick bench of the engine alone."""

    def run(*words: str) -> dict[str, Any]:
        assert bench(*words, *QUICK, *ENGINE, "--json") == 0
        content: dict[str, Any] = json.loads(capsys.readouterr().out)
        return content

    return run


def names(content: dict[str, Any]) -> list[str]:
    return [variant["name"] for variant in content["variants"]]


def test_things_times_precisions_are_compared_with_the_first(
    tmp_path: Path, record: Callable[..., dict[str, Any]]
) -> None:
    path = str(write_tiny_bundle(tmp_path / "t", four_graphs(), certified=("int8-cpu",)).path)
    content = record(path, "bicubic", "--precision", "fp32,int8", "--percentile", "99.5")
    assert names(content) == ["tiny fp32", "tiny int8-cpu", "bicubic"]
    assert list(content["ratios"]) == ["tiny int8-cpu", "bicubic"]
    assert list(content["ratios"]["bicubic"]) == ["engine"]
    assert content["settings"]["size"] == [16, 8]
    percentiles = content["variants"][0]["scopes"]["engine"]["spread"]["percentiles_ms"]
    assert list(percentiles) == ["50", "90", "95", "99", "99.5", "99.9"]


def test_a_thing_twice_is_an_a_a_test(record: Callable[..., dict[str, Any]]) -> None:
    content = record("bicubic", "bicubic")
    assert names(content) == ["bicubic", "bicubic (2)"]
    assert list(content["ratios"]) == ["bicubic (2)"]


def test_bundles_of_one_name_are_told_apart_by_their_paths(
    tmp_path: Path, record: Callable[..., dict[str, Any]]
) -> None:
    paths = [str(write_tiny_bundle(tmp_path / each).path) for each in ("a", "b")]
    assert names(record(*paths)) == [f"tiny fp32 ({path})" for path in paths]


def test_a_precision_that_one_bundle_lacks_is_left_out_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = write_tiny_bundle(tmp_path / "full", four_graphs(), name="full", certified=["int8-cpu"])
    bare = write_tiny_bundle(tmp_path / "bare", name="bare")
    words = [str(full.path), str(bare.path), "--precision", "fp32,int8"]
    assert bench(*words, *QUICK, *ENGINE, "--json") == 0
    said = capsys.readouterr()
    note = f"{bare.path} has no int8 for onnxruntime, so it is left out"
    assert said.err == f"note: {note}\n"
    content = json.loads(said.out)
    assert names(content) == ["full fp32", "full int8-cpu", "bare fp32"]
    assert note in content["notes"]


def test_a_precision_that_none_has_is_refused(tmp_path: Path, refused: Said) -> None:
    bare = write_tiny_bundle(tmp_path / "bare", name="bare")
    said = refused(str(bare.path), "bicubic", "--precision", "fp32,int8")
    assert "bare has no int8 graph for onnxruntime; choose --precision from auto, fp32" in said


def test_an_uncertified_graph_needs_to_be_allowed(
    tmp_path: Path, refused: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_tiny_bundle(tmp_path / "t", four_graphs()).path)
    assert "--allow-uncertified" in refused(path, "--precision", "int8", *QUICK)
    words = ["--precision", "int8", "--allow-uncertified", *QUICK, *ENGINE]
    assert bench(path, *words) == 0
    assert "the int8-cpu graph of tiny is not certified" in capsys.readouterr().err


def test_the_terminal_gets_tables_and_the_files_the_same_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, html = tmp_path / "r.json", tmp_path / "r.html"
    assert bench("bicubic", *QUICK, "--report", str(report), "--html", str(html)) == 0
    said = capsys.readouterr().out
    assert "engine alone" in said
    assert "end to end" in said
    kept = read_record(report)
    assert isinstance(kept, BenchRecord)
    assert list(kept.variants[0].scopes) == ["engine", "copies", "end_to_end"]
    assert "bicubic" in html.read_text()


def test_times_of_single_frames_are_written_without_the_warm_up(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    words = ["--scopes", "copies", "--idleTime", "0", "--useCudaGraph", "--exportTimes", str(path)]
    assert bench("bicubic", *QUICK, *words, "--json") == 0
    records = json.loads(path.read_text())
    assert records[0]["startH2dMs"] == 0
    # Eight rounds at least, of a frame that is not timed and three that are.
    assert len(records) % 4 == 0


def test_camera_pace_and_a_deadline_are_in_the_record(
    record: Callable[..., dict[str, Any]],
) -> None:
    content = record("bicubic", "--paced-fps", "500", "--deadline-ms", "1000")
    assert content["settings"]["paced_fps"] == 500
    misses = content["variants"][0]["scopes"]["engine"]["misses"]
    assert (misses["missed"], misses["deadline_ms"]) == (0, 1000)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["bicubic", "--iterations", "0"], "--iterations 0 times no frame"),
        (["bicubic", "--seconds", "-1"], "--seconds is -1; give a finite number above 0"),
        (["bicubic", "--duration", "nan"], "--seconds is nan"),
        (["bicubic", "--seconds", "3", "--duration", "3"], "mean the same; give one of them"),
        (["bicubic", "--warmUp", "-1"], "--warm-up-ms is -1; give 0"),
        (["bicubic", "--idle-ms", "inf"], "--idle-ms is inf"),
        (["bicubic", "--paced-fps", "0"], "--paced-fps is 0"),
        (["bicubic", "--paced-fps", "9", "--idle-ms", "1"], "leave one of the two out"),
        (["bicubic", "--deadline-ms", "0"], "--deadline-ms is 0"),
        (["bicubic", "--percentile", "100"], "--percentile '100' is not above 0 and below 100"),
        (["bicubic", "--percentile", "half"], "--percentile 'half'"),
        (["bicubic", "--percentile", "99.9999999"], "with six digits at most"),
        (["bicubic", "--paced-fps", "1e-12"], "--paced-fps 1e-12 is no camera's rate"),
        (["bicubic", "--idle-ms", "1e14"], "--idle-ms 1e+14 cannot be waited for"),
        (["bicubic", "--scopes", "engin"], "did you mean 'engine'"),
        (["bicubic", "--size", "320"], "the size '320' is not WIDTHxHEIGHT"),
        (["edge-n", "--precision", "fp99"], "there is no precision 'fp99'"),
        (["edge-n", "--precision", "fp32,"], "--precision 'fp32,' has an empty place"),
        (["edge-x"], "there is no model 'edge-x'; did you mean 'edge-"),
        (["edge-n", "--backend", "trt"], "did you mean 'tensorrt'"),
        (["bicubic", "--backend", "onnxruntime"], "--backend onnxruntime is for bundles"),
        (["edge-n", "--device", "cpu", "--backend", "tensorrt"], "--device is cpu, and the"),
        (["no.engine"], "there is no engine file 'no.engine'"),
        (["bicubic", "edge-n", "--export-times", "t.json"], "there are 2"),
    ],
)
def test_bad_requests_are_refused_before_any_work(
    words: list[str], sentence: str, refused: Said
) -> None:
    assert sentence in refused(*words)


@pytest.mark.parametrize("frame", [9, 13, 40])
def test_a_bench_that_is_stopped_writes_a_report_that_can_be_read_or_none(
    frame: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The warm-up of all scopes takes frames 0 to 8, a round 9 to 16."""
    report, seen = tmp_path / "r.json", itertools.count()
    submit = Restorer.submit

    def interrupted(self: Restorer, frame_hwc: Bytes) -> None:
        if next(seen) == frame:
            signal.raise_signal(signal.SIGTERM)
        submit(self, frame_hwc)

    monkeypatch.setattr(Restorer, "submit", interrupted)
    words = ["--size", "16x8", "--seconds", "60", "--warm-up-ms", "0"]
    assert bench("bicubic", *words, "--report", str(report)) == 128 + signal.SIGTERM
    if frame == 40:
        kept = read_record(report)
        assert isinstance(kept, BenchRecord)
        assert len(kept.variants[0].scopes["end_to_end"].rounds_ms) == 3
    else:
        assert "stopped before the end of the first round; nothing was" in capsys.readouterr().err
        assert not report.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--loadEngine=x.engine"], "give the engine file by itself"),
        (["--onnx=x.onnx"], "give a shipped name or a bundle's path"),
        (["edge-n", "--fp16"], "use --precision fp16"),
        (["edge-n", "--int8"], "use --precision int8"),
        (["edge-n", "--best"], "use --precision auto"),
        (["edge-n", "--shapes=frame:1x180x320x3"], "use --size WIDTHxHEIGHT"),
        (["edge-n", "--avgRuns=10"], "--export-times FILE"),
        (["edge-n", "--useSpinWait"], "waits for frames as a stream does"),
        (["edge-n", "--noDataTransfers"], "use --scopes engine"),
        (["edge-n", "--infStreams=2"], "one frame under way at a time"),
        (["edge-n", "--dumpProfile"], "use crispstream profile"),
    ],
)
def test_what_trtexec_has_and_this_has_not_is_answered(
    words: list[str], sentence: str, refused: Said
) -> None:
    assert sentence in refused(*words)


def test_reports_do_not_replace_other_things(tmp_path: Path, refused: Said) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    same = str(tmp_path / "r.json")
    assert "is a folder" in refused("bicubic", "--report", str(tmp_path / "folder.json"))
    assert "is no report" in refused("bicubic", "--report", str(tmp_path / "notes.txt"))
    assert "is the --report" in refused("bicubic", "--report", same, "--html", same)
    assert "does not exist" in refused("bicubic", "--html", str(tmp_path / "no" / "r.html"))


def test_a_report_that_cannot_be_written_in_the_end_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()

    def full(*_: object) -> None:
        shutil.rmtree(folder)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crispstream.runtime.measure.records.write_record", full)
    assert bench("bicubic", *QUICK, *ENGINE, "--report", str(folder / "r.json")) == 1
    assert "cannot be written (No space left on device)" in capsys.readouterr().err


def test_the_bar_is_drawn_when_it_is_called_and_only_on_a_terminal() -> None:
    console = Console(force_terminal=True, width=80, stderr=True)
    with console.capture() as captured, bench_bar(shown=True, console=console) as step:
        step(4, 0.25)
    assert "round 5" in captured.get()
    assert "25 %" in captured.get()
    quiet = Console(force_terminal=False, width=80, stderr=True)
    with quiet.capture() as captured, bench_bar(shown=True, console=quiet) as step:
        step(4, 0.25)
    assert captured.get() == ""
