"""`crispstream run --config`: a line for each camera, a report for machines, and clean ends."""

import inspect
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from crispstream.cli import main as command_line
from crispstream.cli import run_config as command
from crispstream.cli.run import run as run_command
from crispstream.cli.run_checks import BESIDE_CONFIG
from crispstream.core.errors import SourceError
from crispstream.runtime.stream import compose
from crispstream.runtime.stream.cameras.cameras import States
from crispstream.runtime.stream.cameras.config import load_config
from crispstream.runtime.stream.cameras.keys import KEYS, RUN_KEYS
from crispstream.runtime.stream.source import open_source
from tests.helpers.cameras import FILE, LIVE, camera, restored

EXAMPLE = Path(__file__).parents[2] / "examples/cameras.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "cameras.toml"
    path.write_text(f"model = 'bicubic'\n{text}")
    return path


def run(path: Path, *words: str) -> int:
    return command_line.main(["run", "--config", str(path), *words])


def one_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().out.splitlines()
    return dict(json.loads(line))


def test_the_table_has_a_line_for_each_camera(tmp_path: Path, capsys) -> None:
    path = written(tmp_path, camera("door", FILE) + camera("yard", FILE.replace("12", "7")))
    assert run(path) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "2 cameras in" in said.out
    lines = {words[1]: words for words in map(str.split, said.out.splitlines()) if len(words) > 3}
    assert lines["door"][3:6:2] == ["bicubic", "12"]
    assert lines["yard"][3:6:2] == ["bicubic", "7"]


def test_the_report_has_every_camera_by_name(tmp_path: Path, capsys) -> None:
    (tmp_path / "none.mp4").write_text("no video")
    path = written(tmp_path, camera("door", FILE) + camera("'back yard'", "none.mp4"))
    assert run(path, "--json", "--report", str(tmp_path / "report.json")) == 1
    content = one_line(capsys)
    assert content == json.loads((tmp_path / "report.json").read_text())
    assert content["schema"] == command.SCHEMA
    assert content["config"] == str(path)
    assert content["host"]["cores"] > 0
    assert (content["failed"], content["stopped"]) == (True, False)
    door, yard = content["cameras"]["door"], content["cameras"]["back yard"]
    assert set(door) == set(yard)
    assert (door["sinks"], door["policy"], door["failed"]) == (["null://"], "all", False)
    assert door["run"]["frames"] == door["books"]["restored"] == door["turn_waits"]["count"] == 12
    assert "total" in door["run"]["stages"]
    assert "cpu_seconds" not in door["run"]
    assert (yard["run"], yard["books"], yard["failed"]) == (None, None, True)
    assert "none.mp4" in yard["error"]


def test_a_camera_that_failed_is_told_without_its_password(tmp_path, monkeypatch, capsys) -> None:
    def refuse(uri: str, *arguments, **options):
        if uri.startswith("rtsp"):
            raise SourceError("'rtsp://***@127.0.0.1:9/x' refused; check user and password")
        return open_source(uri, *arguments, **options)

    monkeypatch.setattr(compose, "open_source", refuse)
    uri = "rtsp://me:secret@127.0.0.1:9/x"
    path = written(tmp_path, camera("door", uri) + camera("yard", FILE))
    report = tmp_path / "report.json"
    assert run(path, "--seconds", "0.3", "--report", str(report)) == 1
    said = capsys.readouterr()
    assert "error: camera door: 'rtsp://***@127.0.0.1:9/x' refused" in said.err
    assert "secret" not in said.out + said.err + report.read_text()


@pytest.mark.parametrize(
    ("text", "line"), [("polcy = 'all'\n" + camera("a", FILE), 2), ("[camera.a\n", 2)]
)
def test_a_fault_in_the_file_is_bad_usage(tmp_path: Path, capsys, text: str, line: int) -> None:
    assert run(written(tmp_path, text)) == 2
    assert f"cameras.toml:{line}: " in capsys.readouterr().err


def test_a_time_that_is_none_is_bad_usage(tmp_path: Path, capsys) -> None:
    assert run(written(tmp_path, camera("a", FILE)), "--seconds", "0") == 2
    assert "--seconds is 0" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_time_without_end_is_bad_usage(tmp_path: Path, capsys, value: str) -> None:
    assert run(written(tmp_path, camera("a", FILE)), "--seconds", value) == 2
    assert f"--seconds is {value}; give a finite number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["--model", "edge-s"], "--model is not heeded beside --config; write `model = ...` in"),
        (["--model", "edge-n"], "write `model = ...`"),  # though that is the default
        (["--budget-ms", "33"], "write `budget_ms = ...`"),
        (["--fps", "25"], "--input-fps is not heeded beside --config; write `input_fps = ...`"),
        (["--threads", "2"], "write `threads = ...`"),
        (["--overwrite"], "write `overwrite = true`"),
        (["--no-cuda-graph"], "--no-cuda-graph is for one stream, and '"),
        (["--html", "r.html"], "--html is for one stream, and '"),
    ],
)
def test_what_the_file_decides_is_not_ignored(
    tmp_path: Path, capsys, words: list[str], instead: str
) -> None:
    path = written(tmp_path, camera("a", FILE, "a.mp4"))
    assert run(path, *words) == 2
    said = capsys.readouterr().err
    assert instead in said
    assert str(path) in said
    assert said.count("\n") == 1
    assert not (tmp_path / "a.mp4").exists()


def test_only_the_options_that_are_refused_are_not_heeded() -> None:
    """An option that is added later is the file's, or in BESIDE_CONFIG."""
    options = set(inspect.signature(run_command).parameters) - {"context", "source", "sinks"}
    one_stream = {"no_cuda_graph", "html"}
    assert options - set(BESIDE_CONFIG) - one_stream <= {*KEYS, *RUN_KEYS}


def test_the_end_of_the_time_is_no_stop(tmp_path: Path, capsys) -> None:
    path = written(tmp_path, camera("a", LIVE))
    assert run(path, "--seconds", "0.3", "--json") == 0
    content = one_line(capsys)
    assert content["stopped"] is content["cameras"]["a"]["run"]["stopped"] is False


def test_a_report_does_not_destroy_an_output(tmp_path: Path, capsys) -> None:
    path = written(tmp_path, camera("a", FILE, "a.mp4"))
    assert run(path, "--report", str(tmp_path / "a.mp4")) == 2
    assert "is the output of this run" in capsys.readouterr().err
    assert run(path, "--report", str(path)) == 2
    assert path.read_text().startswith("model")


def test_a_signal_finishes_all_outputs(tmp_path: Path, capsys, monkeypatch) -> None:
    signals = [signal.SIGTERM]

    @contextmanager
    def shown(_building: object, *, shown: bool) -> Iterator[Callable[[States], None]]:
        def show(states: States) -> None:
            if signals and min(restored(states, name) for name in states) > 3:
                signal.raise_signal(signals.pop())

        yield show

    monkeypatch.setattr(command, "_shown", shown)
    path = written(tmp_path, camera("a", LIVE, "a.mp4") + camera("b", LIVE, "b.mp4"))
    report = tmp_path / "report.json"
    assert run(path, "--report", str(report)) == 128 + signal.SIGTERM
    assert json.loads(report.read_text())["stopped"] is True
    said = capsys.readouterr()
    assert "stopped by SIGTERM; all outputs are finished\n" in said.err
    assert "2 cameras in" in said.out
    for name in ("a.mp4", "b.mp4"):
        assert sum(1 for _ in open_source(str(tmp_path / name))) > 3


def test_building_an_engine_is_shown_and_cancelled() -> None:
    stop = threading.Event()
    building = command._Building(stop)
    building("Building", 3, 9)
    assert building.note == "building an engine: Building 3 of 9"
    building("Building", 9, 9)
    assert building.note == ""
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        building("Building", 0, 9)


def test_nothing_is_drawn_where_there_is_no_terminal(tmp_path: Path, capsys) -> None:
    run(written(tmp_path, camera("a", LIVE)), "--seconds", "0.4")
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_the_example_runs_as_it_is(tmp_path: Path) -> None:
    """In a process of its own: its cameras import what they need at the same time."""
    text = EXAMPLE.read_text().replace("preview://127.0.0.1:8080", "preview://127.0.0.1:0")
    (tmp_path / "media").symlink_to(EXAMPLE.parent / "media")
    (tmp_path / "cameras.toml").write_text(text)
    words = [sys.executable, "-m", "crispstream.cli.main", "run", "--config", "cameras.toml"]
    done = subprocess.run(
        [*words, "--seconds", "3", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["cameras"]
    assert list(found) == ["door", "yard", "clip"]
    assert all(each["run"]["frames"] > 0 for each in found.values())
    assert found["clip"]["run"]["frames"] == 30
    assert found["yard"]["run"]["ladder"] is not None


def test_what_the_example_has_in_comments_is_right_too(tmp_path: Path) -> None:
    begun = False
    lines = []
    for line in EXAMPLE.read_text().splitlines():
        begun = begun or line.startswith("# [camera.")
        wanted = begun and line.startswith("# ") and ("=" in line or "[camera." in line)
        lines.append(line.removeprefix("# ") if wanted else line)
    (tmp_path / "media").symlink_to(EXAMPLE.parent / "media")
    text = "\n".join(lines).replace("/var/lib/cameras/", "")  # a folder of some machine
    (tmp_path / "cameras.toml").write_text(text)
    config = load_config(tmp_path / "cameras.toml", {"GATE_PASSWORD": "p@ss"})
    assert [each.name for each in config.cameras] == ["door", "yard", "clip", "gate", "bench"]
    assert config.cameras[3].source == "rtsp://admin:p%40ss@192.168.1.20:554/stream1"


def test_frames_read_ahead_of_the_end_that_was_asked_for_are_not_missing(
    tmp_path: Path, capsys
) -> None:
    path = written(tmp_path, camera("door", FILE, more="limit = 3"))
    report = tmp_path / "report.json"
    assert run(path, "--report", str(report)) == 0
    books = json.loads(report.read_text())["cameras"]["door"]["books"]
    assert (books["restored"], books["dropped"]["stop"]) == (3, books["captured"] - 3)
    said = capsys.readouterr().out
    (row,) = (line for line in said.splitlines() if " door " in line)
    assert row.split("│")[-2].strip() == "0"
    assert "dropped by cause" not in said


def test_what_failed_is_told_also_where_nobody_reads_the_table(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    def unread(*_: object, **__: object) -> None:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            raise SystemExit(1)  # noqa: B904 - as rich does

    (tmp_path / "none.mp4").write_text("no video")
    monkeypatch.setattr(command, "_print", unread)
    assert run(written(tmp_path, camera("door", "none.mp4"))) == command_line.UNREAD
    assert "error: camera door: " in capsys.readouterr().err
