"""Two processes never build the same engine at once, and a dead one holds nobody up."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crispstream.core.errors import MissingExtraError
from crispstream.runtime.engine.store import lock as lock_module
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.places import DAY_SECONDS, listed
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import ENGINE, made_up_record

RECORD = made_up_record()
KEY = EngineKey.of(RECORD)

# A builder: takes the lock, begins to write, and goes on when it is told to.
BUILDER = """
import sys
import threading
from pathlib import Path
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.places import staged
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import ENGINE, made_up_record

store, record = EngineStore(Path(sys.argv[1])), made_up_record()
key = EngineKey.of(record)
with store.lock(key), staged(store.engines) as stage:
    (stage / "half.engine").write_bytes(ENGINE[:5])
    print("building", flush=True)
    sys.stdin.readline()
    store.add(key, ENGINE, record)
"""


@contextmanager
def a_builder(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a builder until it has begun; it is gone afterwards."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "building\n"
            yield child
        finally:
            child.kill()


def test_the_second_process_waits_and_finds_the_engine(tmp_path: Path) -> None:
    store, told = EngineStore(tmp_path), []
    with a_builder(tmp_path) as child:

        def on_wait(sentence: str) -> None:
            told.append(sentence)
            assert store.find(KEY).engine is None
            assert child.stdin is not None
            child.stdin.write("go on\n")
            child.stdin.flush()

        with store.lock(KEY, on_wait) as why_not:
            assert why_not == ""
            assert store.find(KEY).engine == ENGINE
    assert len(told) == 1
    assert f"being built by process {child.pid} on " in told[0]


def test_a_killed_build_holds_nobody_up_and_leaves_nothing(tmp_path: Path) -> None:
    store, told = EngineStore(tmp_path), []
    with a_builder(tmp_path) as child:
        assert len(listed(store.engines)) == 1
        child.kill()
        child.wait()
        with store.lock(KEY, told.append) as why_not:
            assert why_not == ""
            assert store.find(KEY).engine is None
    assert told == []
    assert listed(store.engines) == []


def test_threads_of_one_process_wait_for_each_other_too(tmp_path: Path) -> None:
    store = EngineStore(tmp_path)
    held, go_on = threading.Event(), threading.Event()

    def build() -> None:
        with store.lock(KEY):
            held.set()
            go_on.wait(10)
            store.add(KEY, ENGINE, RECORD)

    builder = threading.Thread(target=build)
    builder.start()
    assert held.wait(10)
    with store.lock(KEY, lambda _: go_on.set()):
        assert store.find(KEY).engine == ENGINE
    builder.join(10)


def test_a_lock_can_be_taken_again_and_others_are_free(tmp_path: Path) -> None:
    store, told = EngineStore(tmp_path), []
    other = EngineKey.of(made_up_record(graph_sha256="1" * 64))
    with store.lock(KEY, told.append), store.lock(other, told.append):
        holder = json.loads(next((tmp_path / "locks").glob(f"{KEY.digest[:16]}.json")).read_text())
        assert holder["pid"] == os.getpid()
    with store.lock(KEY, told.append) as why_not:
        assert why_not == ""
    assert told == []


def test_a_failure_inside_frees_the_lock_and_is_raised(tmp_path: Path) -> None:
    store = EngineStore(tmp_path)
    with pytest.raises(OSError, match="of the build"), store.lock(KEY):
        raise OSError("of the build")
    with store.lock(KEY, pytest.fail) as why_not:
        assert why_not == ""


def test_a_holder_that_left_no_name_is_another_process(tmp_path: Path) -> None:
    assert lock_module._who(tmp_path / "a.lock").endswith("by another process")
    (tmp_path / "a.json").write_text("[]")
    assert lock_module._who(tmp_path / "a.lock").endswith("by another process")


def test_pruning_removes_the_lock_files_of_builds_long_ago(tmp_path: Path) -> None:
    store = EngineStore(tmp_path)
    others = EngineKey.of(made_up_record(graph_sha256="1" * 64))
    third = EngineKey.of(made_up_record(graph_sha256="2" * 64))
    for key in (KEY, others, third):
        with store.lock(key):
            pass
    free, held = (tmp_path / "locks" / f"{key.digest[:16]}.lock" for key in (KEY, others))
    then = time.time() - 2 * DAY_SECONDS
    for lock in (free, held):
        os.utime(lock, (then, then))
    with store.lock(others):
        store.prune()
        assert not free.exists()
        assert held.exists()
    assert len(listed(tmp_path / "locks")) == 2
    with store.lock(KEY, pytest.fail) as why_not:
        assert why_not == ""


def test_without_filelock_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with (
        pytest.raises(MissingExtraError, match=r"crispstream\[rtx\]"),
        EngineStore(tmp_path).lock(KEY),
    ):
        pytest.fail("built without a lock")
    old = tmp_path / "locks" / "a.lock"
    old.parent.mkdir()
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    assert EngineStore(tmp_path).prune() == ([], {})


@pytest.mark.parametrize("error", [OSError(30, "Read-only file system"), NotImplementedError("no")])
def test_where_no_lock_can_be_had_the_work_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    import filelock

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with EngineStore(tmp_path).lock(KEY) as why_not:
        assert "no lock can be held in" in why_not


def test_a_wait_that_is_no_longer_wanted_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_ASK_SECONDS", 0.05)
    asked: list[int] = []

    def still_wanted() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt

    with (
        a_builder(tmp_path),
        pytest.raises(KeyboardInterrupt),
        EngineStore(tmp_path).lock(KEY, still_wanted=still_wanted),
    ):
        raise AssertionError("the lock was had")
    assert len(asked) == 3
    with EngineStore(tmp_path).lock(KEY) as why_not:
        assert why_not == ""
