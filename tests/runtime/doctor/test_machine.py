"""The real machine: what is not there is None, and a program that hangs is let go."""

import os
import sys
from pathlib import Path

import pytest

from crispstream.runtime.doctor import machine as machine_module
from crispstream.runtime.doctor.machine import Machine


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    machine = Machine()
    assert machine.read(str(tmp_path / "nothing")) is None
    assert machine.read(str(tmp_path)) is None
    assert machine.run("no-such-program") is None
    assert machine.which("no-such-program") is None
    assert machine.version_of("no-such-distribution") is None
    assert machine.glob(str(tmp_path / "*")) == []


def test_what_is_there_is_read(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"NVIDIA Orin\0")
    machine = Machine()
    assert machine.read(str(tmp_path / "model")) == "NVIDIA Orin"
    assert machine.glob(f"{tmp_path}/*") == [str(tmp_path / "model")]
    assert machine.sizes_of(f"{tmp_path}/*") == [12]
    assert machine.run(sys.executable, "-c", "print(6 * 7)") == "42\n"
    assert machine.version_of("pytest") == pytest.__version__


def test_a_program_that_fails_or_hangs_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_module, "_PROGRAM_SECONDS", 0.1)
    machine = Machine()
    assert machine.run(sys.executable, "-c", "print(1); raise SystemExit(3)") is None
    assert machine.run("sleep", "60") is None


def test_a_folder_that_will_be_made_is_judged_by_the_nearest_that_exists(tmp_path: Path) -> None:
    machine = Machine()
    deep = str(tmp_path / "not/yet/made")
    assert machine.may_write(deep)
    assert machine.free_bytes(deep) > 0
    assert list(tmp_path.iterdir()) == [], "that it was tried is not to be seen"
    (tmp_path / "file").touch()
    assert not machine.may_write(str(tmp_path / "file/below"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_others_may_not_be_written() -> None:
    assert not Machine().may_write("/usr/lib/crispstream")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc")
def test_a_place_that_refuses_root_too_may_not_be_written() -> None:
    assert not Machine().may_write("/proc/crispstream/engines")


def test_below_a_folder_that_may_not_be_entered_nothing_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    whole = Path.exists

    def exists(path: Path) -> bool:  # as for a user who is not root
        if closed in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(Path, "exists", exists)
    assert Machine().free_bytes(str(closed / "cache")) > 0


def test_damaged_engines_are_found(tmp_path: Path) -> None:
    engines = tmp_path / "engines"
    assert Machine().damaged_engines(str(tmp_path)) == {}
    engines.mkdir()
    (engines / "edge-n.fp16.engine").write_bytes(b"")
    found = Machine().damaged_engines(str(tmp_path))
    assert list(found) == ["edge-n.fp16"]
    assert all(found.values())


def test_names_of_the_platform() -> None:
    found = Machine().platform()
    assert found.system
    assert "-" not in found.kernel
    assert Machine().interpreter().version == sys.version_info[:3]
