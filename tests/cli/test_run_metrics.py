"""`crispstream run --metrics`: scraped while it runs, and gone when it ends."""

import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client")

from crispstream.cli import main as command_line
from crispstream.cli import run_metrics as command
from crispstream.runtime.measure.metrics.families import SINGLE
from tests.helpers.cameras import FILE, LIVE, camera
from tests.helpers.metrics import Values, get, labelled, taken_port, value, values_of

GUARD_SECONDS = "60"


class Scraper:
    """Asks again and again once it is told where, and presses Ctrl-C when it has seen enough."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, enough: Callable[[Values], bool]) -> None:
        self.said: list[str] = []
        self.seen: list[Values] = []
        self.port = 0
        self._enough = enough
        self._thread = threading.Thread(target=self._scrape)
        monkeypatch.setattr(command, "say", self._told)

    def _told(self, line: str) -> None:
        self.said.append(line)
        if (found := re.search(r"http://127\.0\.0\.1:(\d+)/metrics$", line)) is not None:
            self.port = int(found[1])
            self._thread.start()

    def _scrape(self) -> None:
        until = time.monotonic() + float(GUARD_SECONDS)
        try:
            while time.monotonic() < until:
                self.seen.append(values_of(get(self.port)[2]))
                if self._enough(self.seen[-1]):
                    return
                time.sleep(0.02)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def join(self) -> list[Values]:
        self._thread.join()
        return self.seen


def _run(*words: object) -> int:
    return command_line.main(["run", *map(str, words), "--seconds", GUARD_SECONDS])


def _state(told: Values, name: str) -> str:
    states = {
        dict(labels)["state"]: found
        for (metric, labels), found in told.items()
        if metric == "crispstream_camera_state" and dict(labels)["camera"] == name
    }
    (state,) = (state for state, found in states.items() if found)
    return state


def _restored(told: Values, name: str) -> float:
    try:
        return value(told, "restored_frames_total", name)
    except KeyError:
        return 0  # it has not opened its books yet


def test_a_stream_is_scraped_while_it_runs_and_not_after(monkeypatch, capsys) -> None:
    scraper = Scraper(monkeypatch, lambda told: _restored(told, SINGLE) >= 5)
    words = (LIVE, "null://", "--model", "bicubic", "--json", "--metrics", "0")
    assert _run(*words) == 128 + signal.SIGINT
    told = scraper.join()[-1]
    assert _restored(told, SINGLE) >= 5
    assert _state(told, SINGLE) == "live"
    assert labelled(told, "rung", "rung") == {"bicubic": 1}
    assert value(told, "stage_seconds_count", SINGLE, stage="infer") >= 5
    assert value(told, "damaged_pieces_total", SINGLE) == 0
    (line,) = capsys.readouterr().out.splitlines()  # --json is not disturbed
    assert json.loads(line)["frames"] >= _restored(told, SINGLE)
    assert "metrics" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", scraper.port), timeout=5)


def test_cameras_come_and_end_and_fail_and_keep_their_counts(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    (tmp_path / "none.mp4").write_text("no video")
    cameras = camera("door", LIVE) + camera("clip", FILE) + camera("broken", "none.mp4")
    config = tmp_path / "cameras.toml"
    config.write_text(f"model = 'bicubic'\n{cameras}")
    ends = {"door": "live", "clip": "ended", "broken": "failed"}
    after = []  # scrapes since all were as they should be

    def enough(told: Values) -> bool:
        if all(_state(told, name) == end for name, end in ends.items()):
            after.append(_restored(told, "door"))
        return bool(after) and after[-1] >= after[0] + 5

    scraper = Scraper(monkeypatch, enough)
    assert _run("--config", config, "--metrics", ":0") == 128 + signal.SIGINT
    seen = scraper.join()
    capsys.readouterr()
    assert {name: _state(seen[-1], name) for name in ends} == ends
    assert _restored(seen[-1], "clip") == 12
    assert value(seen[-1], "stage_seconds_count", "clip", stage="turn") == 12
    assert set(labelled(seen[0], "camera_state", "camera")) == set(ends)
    _check_nothing_went_back(seen)


def _check_nothing_went_back(seen: list[Values]) -> None:
    counted = re.compile(r"_(total|bucket|count|sum)$")
    before: Values = {}
    for told in seen:
        assert before.keys() <= told.keys()
        assert all(told[key] >= before[key] for key in before)
        before = {key: found for key, found in told.items() if counted.search(key[0])}
    assert before


def test_a_port_in_use_is_told_before_anything_is_opened(capsys) -> None:
    listening, port = taken_port()
    with listening:
        assert _run("none.mp4", "null://", "--metrics", f"127.0.0.1:{port}") == 2
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 cannot be listened on" in said
    assert "none.mp4" not in said


def test_a_port_in_use_is_told_before_any_camera_starts(tmp_path: Path, capsys) -> None:
    config = tmp_path / "cameras.toml"
    config.write_text(camera("door", LIVE, "out.mp4"))
    listening, port = taken_port()
    with listening:
        assert _run("--config", config, "--metrics", port) == 2
    assert f"port {port} of 127.0.0.1 cannot be listened on" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


def test_who_lets_others_look_is_told_so(capsys) -> None:
    assert _run("none.mp4", "null://", "--metrics", "0.0.0.0:0") == 2
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"the metrics are at http://0\.0\.0\.0:[1-9]\d*/metrics", lines[0])
    assert lines[1].startswith("warning: the metrics at http://0.0.0.0:")
    assert "no password" in lines[1]
    assert _run("none.mp4", "null://", "--metrics", "127.0.0.1:0") == 2
    assert "warning" not in capsys.readouterr().err


def test_without_the_extra_only_metrics_are_missing(monkeypatch, capsys) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "prometheus_client"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    words = (FILE, "null://", "--model", "bicubic")
    assert _run(*words, "--metrics", "0") == 1
    assert 'pip install "crispstream[metrics]"' in capsys.readouterr().err
    assert _run(*words) == 0
