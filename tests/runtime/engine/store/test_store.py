"""The store: what is kept is found again, whole, and what is not is explained."""

import errno
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.store import store as store_module
from crispstream.runtime.engine.store.fit import NOTHING_KEPT
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.places import listed
from crispstream.runtime.engine.store.record import (
    SCHEMA,
    check_engine,
    sidecar_of,
)
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import ENGINE, keep, key_of, made_for_4070, made_up_record

RECORD = made_up_record()
KEY = EngineKey.of(RECORD)


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "cache")


def test_what_is_added_is_found(store: EngineStore) -> None:
    assert store.find(KEY).why_not == NOTHING_KEPT
    path = store.add(KEY, ENGINE, RECORD)
    assert path.parent == store.folder / "engines"
    assert store.find(KEY) == (ENGINE, RECORD, path, "", None)
    assert sorted(p.name for p in listed(store.engines)) == [path.name, f"{path.name}.json"]


def test_the_bytes_that_were_hashed_are_handed_out(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(store, RECORD)
    reads = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: reads.append(p) or read_bytes(p))
    assert store.find(KEY).engine == ENGINE
    assert reads.count(path) == 1


def test_an_engine_built_with_less_is_found_by_what_was_asked_for(store: EngineStore) -> None:
    asked = {**RECORD.options, "profiles": ["160x96:320x180:640x360"]}
    key = key_of(RECORD, options=asked)
    store.add(key, ENGINE, RECORD)
    found = store.find(key)
    assert found.engine == ENGINE
    assert found.record is not None
    assert found.record.options == RECORD.options
    assert found.record.asked_options == asked
    assert store.find(KEY).engine is None


def test_adding_again_replaces_also_under_another_name(store: EngineStore) -> None:
    keep(store, RECORD)
    other = replace(RECORD, bundle="renamed", build_seconds=9.0)
    path = store.add(KEY, ENGINE, other)
    assert [p.name for p in listed(store.engines)] == [path.name, f"{path.name}.json"]
    assert store.find(KEY).record == other


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (ENGINE[:3], "it was cut off after 3 of 14 bytes"),
        (b"foreign bytes!", "it is not the engine its sidecar describes"),
    ],
)
def test_a_damaged_engine_is_removed_and_told(
    store: EngineStore, content: bytes, words: str
) -> None:
    path = keep(store, RECORD)
    path.write_bytes(content)
    found = store.find(KEY)
    assert found.engine is None
    assert words in found.why_not
    assert found.why_not.endswith("it was removed")
    assert listed(store.engines) == []
    assert store.find(KEY).why_not == NOTHING_KEPT


@pytest.mark.parametrize(("content", "words"), [(None, "it has no sidecar"), ("{", "is no JSON")])
def test_an_engine_that_nothing_vouches_for_is_removed(
    store: EngineStore, content: str | None, words: str
) -> None:
    sidecar = sidecar_of(keep(store, RECORD))
    sidecar.unlink() if content is None else sidecar.write_text(content)
    assert words in store.find(KEY).why_not
    assert listed(store.engines) == []


def test_an_engine_of_a_newer_kit_is_left_alone(store: EngineStore) -> None:
    path = keep(store, replace(RECORD, schema=99))
    why_not = store.find(KEY).why_not
    assert why_not.startswith(f"a new engine takes the place of {path.name}: it is of a newer")
    assert why_not.endswith(f"this one reads {SCHEMA})")
    assert path.exists()


@pytest.mark.parametrize("part", [lambda path: path, sidecar_of])
def test_what_may_not_be_read_is_no_damage(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch, part: Callable[[Path], Path]
) -> None:
    refused = part(keep(store, RECORD))
    read_bytes = Path.read_bytes

    def refuse(file: Path) -> bytes:
        if file == refused:
            raise PermissionError(errno.EACCES, "Permission denied")
        return read_bytes(file)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert store.find(KEY).why_not.endswith("cannot be read (Permission denied)")
    assert "cannot be read (Permission denied); check" in store.entry("tiny").obstacle
    assert store.entry("tiny").damage == ""
    monkeypatch.undo()
    assert store.find(KEY).engine == ENGINE


def test_an_engine_that_is_just_being_replaced_is_not_taken_for_damage(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(store, RECORD)
    looks = []

    def amid(engine: Path) -> object:
        looks.append(engine)
        checked = check_engine(engine)
        return checked._replace(damage="half of each") if len(looks) == 1 else checked

    monkeypatch.setattr("crispstream.runtime.engine.store.opened.check_engine", amid)
    assert store.find(KEY).engine == ENGINE
    assert looks == [path, path]


def test_why_another_version_does_not_serve(store: EngineStore) -> None:
    keep(store, made_for_4070())
    why = store.find(key_of(made_for_4070(), flavour_version="10.3.0")).why_not
    assert why == (
        "the engine kept for tiny fp16 320x180 was built by TensorRT 10.16.1.11, and this is 10.3.0"
    )


def test_a_version_compatible_engine_of_a_newer_version_does_not_serve(store: EngineStore) -> None:
    record = made_for_4070(options={**RECORD.options, "version_compatible": True})
    keep(store, record)
    assert store.find(key_of(record, flavour_version="10.20")).engine == ENGINE
    assert "and this is 10.3" in store.find(key_of(record, flavour_version="10.3")).why_not


def test_finding_marks_as_used_and_forgives_where_it_cannot(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(store, RECORD, used_days_ago=9)
    store.find(KEY)
    assert time.time() - sidecar_of(path).stat().st_mtime < 60

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", read_only)
    assert store.find(KEY).engine == ENGINE


def test_where_nothing_can_be_written_reading_and_building_go_on(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    store = EngineStore(blocked / "cache")
    assert store.find(KEY).why_not == NOTHING_KEPT
    with store.lock(KEY) as why_not:
        assert "no lock can be held" in why_not
    with pytest.raises(EngineError, match="set CRISPSTREAM_CACHE to a folder"):
        store.add(KEY, ENGINE, RECORD)
    assert (store.entries(), store.expected_seconds(KEY)) == ([], None)
    assert store.prune() == ([], {})
    assert store.refusal() == store.unreadable() == "a file is where a folder must be"


def test_a_full_disk_leaves_the_earlier_engine_whole(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(store, RECORD)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "write_atomically", full)
    with pytest.raises(EngineError, match=r"No space left on device\); free some space"):
        store.add(KEY, ENGINE, replace(RECORD, build_seconds=9.0))
    assert store.find(KEY) == (ENGINE, RECORD, path, "", None)
    assert listed(store.engines) == [path, sidecar_of(path)]


def test_a_crash_between_sidecar_and_engine_leaves_no_engine(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, RECORD)
    rename = Path.replace

    def crash(source: Path, target: Path) -> Path:
        if source.suffix == ".engine" and target.parent == store.engines:
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(EngineError, match="cannot be kept"):
        store.add(KEY, ENGINE, replace(RECORD, build_seconds=9.0))
    monkeypatch.undo()
    assert [path.name[-12:] for path in listed(store.engines)] == [".engine.json"]
    assert store.find(KEY).why_not == NOTHING_KEPT
    keep(store, RECORD)
    assert store.find(KEY).engine == ENGINE


def test_an_engine_is_kept_even_if_others_cannot_be_removed(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = keep(store, made_up_record(graph_sha256="1" * 64))
    store.limit_bytes = 1
    unlink = Path.unlink

    def stuck(path: Path, missing_ok: bool = False) -> None:
        if path == other:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", stuck)
    path = store.add(KEY, ENGINE, RECORD)
    assert {entry.path for entry in store.entries()} == {path, other}


def test_a_build_is_expected_to_take_as_long_as_the_most_similar_one(store: EngineStore) -> None:
    assert store.expected_seconds(KEY) is None
    bound = made_for_4070(build_seconds=40.0)
    keep(store, bound)
    keep(store, replace(bound, options={**bound.options, "optimisation_level": 0}, build_seconds=4))
    assert store.expected_seconds(key_of(bound, flavour_version="10.3.0")) == 40.0
    quick = {**bound.options, "optimisation_level": 0}
    assert store.expected_seconds(key_of(bound, options=quick, flavour_version="10.3.0")) == 4
    assert store.expected_seconds(key_of(bound, graph_sha256="1" * 64)) is None


def test_timing_caches_are_one_a_version_and_gpu(store: EngineStore) -> None:
    gpu = Gpu("NVIDIA L4", (8, 9), "580.95.05", 0, False, multiprocessors=58)
    path = store.timing_cache("tensorrt", "10.3.0", gpu)
    assert path == store.folder / "timing" / "tensorrt-10.3.0.NVIDIA-L4-8.9.580.cache"
    assert path != store.timing_cache("tensorrt", "10.7.0", gpu)


def test_the_usual_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRISPSTREAM_CACHE", str(tmp_path))
    assert EngineStore().engines == tmp_path / "engines"


def test_an_engine_removed_by_another_process_is_no_fault(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(store, RECORD)
    monkeypatch.setattr(EngineStore, "_of", lambda *_: [path])
    shutil.rmtree(store.engines)
    assert store.find(KEY).why_not == NOTHING_KEPT
