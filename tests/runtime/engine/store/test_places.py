"""The cache folder, and what killed processes leave there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.engine.store import places
from crispstream.runtime.engine.store.places import cache_folder, listed, staged, sweep


@pytest.fixture
def a_dead_process() -> int:
    """Return the number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def aged(path: Path, days: float) -> Path:
    then = time.time() - days * places.DAY_SECONDS
    os.utime(path, (then, then))
    return path


def test_the_folder_is_the_named_one_then_xdgs_then_homes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("CRISPSTREAM_CACHE", "/named")
    assert cache_folder() == Path("/named")
    monkeypatch.setenv("CRISPSTREAM_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("CRISPSTREAM_CACHE", "")
    assert cache_folder() == Path("/xdg/crispstream")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "crispstream"


def test_a_user_without_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("CRISPSTREAM_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UsageError, match="set CRISPSTREAM_CACHE"):
        cache_folder()


def test_a_stage_is_gone_afterwards_even_after_a_failure(tmp_path: Path) -> None:
    def fails() -> None:
        with staged(tmp_path / "a") as stage:
            (stage / "half").write_bytes(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert listed(tmp_path / "a") == []


def test_a_stage_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        sweep(tmp_path)
        assert stage.is_dir()


def test_what_a_dead_process_left_is_removed_at_once(tmp_path: Path, a_dead_process: int) -> None:
    stage = tmp_path / f".adding-{a_dead_process}-{places._host()}-abcd"
    stage.mkdir()
    (stage / "half.engine").write_bytes(b"x")
    sweep(tmp_path)
    assert listed(tmp_path) == []


def test_a_process_of_another_machine_cannot_be_judged(tmp_path: Path, a_dead_process: int) -> None:
    stage = tmp_path / f".adding-{a_dead_process}-another.machine-abcd"
    stage.mkdir()
    sweep(tmp_path)
    assert stage.is_dir()
    aged(stage, days=2)
    sweep(tmp_path)
    assert listed(tmp_path) == []


def test_old_leftovers_go_and_engines_stay(tmp_path: Path) -> None:
    for name in (".a.engine.x1", "lost.engine.json", "b.engine", "b.engine.json", "note.txt"):
        aged_file = tmp_path / name
        aged_file.write_bytes(b"x")
        aged(aged_file, days=2)
    (tmp_path / ".young").write_bytes(b"x")
    (tmp_path / "young.engine.json").write_bytes(b"x")
    sweep(tmp_path)
    assert [path.name for path in listed(tmp_path)] == [
        ".young",
        "b.engine",
        "b.engine.json",
        "note.txt",
        "young.engine.json",
    ]


def test_sweeping_nothing_or_a_file_does_no_harm(tmp_path: Path) -> None:
    sweep(tmp_path / "missing")
    (tmp_path / "file").write_bytes(b"")
    sweep(tmp_path / "file" / "below")
