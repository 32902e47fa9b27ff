"""What the store lists, how it is named, and what has to go."""

import os
from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.places import listed
from crispstream.runtime.engine.store.record import EngineRecord
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import (
    ENGINE,
    RTX_4070,
    keep,
    key_of,
    made_for_4070,
    made_up_record,
    with_orders,
)

RECORD = made_up_record()


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "cache")


def graph(number: int) -> EngineRecord:
    """Return the record of another graph's engine."""
    return made_up_record(graph_sha256=f"{number}" * 64, bundle=f"net{number}")


def test_kernels_go_with_their_engine(store: EngineStore) -> None:
    keep(store, RECORD)
    kernels = store.runtime_cache(key_of(RECORD, gpu=RTX_4070))
    others = store.runtime_cache(EngineKey.of(graph(1)))
    assert kernels != store.runtime_cache(key_of(RECORD, gpu={**RTX_4070, "name": "NVIDIA L4"}))
    for path in (kernels, others):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"k" * 1000)
    assert store.entries()[0].disk_bytes > 1000
    store.remove("tiny")
    assert listed(kernels.parent) == [others]


def test_names_may_be_parts_that_only_one_has(store: EngineStore) -> None:
    first, second = keep(store, graph(1)), keep(store, graph(2))
    assert store.entry("net1").path == first
    assert store.entry(second.name).path == second
    with pytest.raises(UsageError, match="in the names of 2 engines"):
        store.remove("net")
    with pytest.raises(UsageError, match="no engine in the store has 'edge'"):
        store.remove("edge")
    with pytest.raises(UsageError, match="no engine in the store"):
        store.remove("")
    assert store.remove("net1").path == first
    assert [entry.path for entry in store.entries()] == [second]


def test_a_name_without_library_and_digits_is_not_taken_for_longer_ones(
    store: EngineStore,
) -> None:
    path = keep(store, RECORD)
    keep(store, with_orders(RECORD, profiles=["320x180", "320x180:320x180:640x360"]))
    keep(store, with_orders(RECORD, compute_capabilities=["8.9"]))
    assert store.entry("tiny.fp16.320x180").path == path
    bound = keep(store, made_for_4070(bundle="bound"))
    keep(store, made_for_4070(bundle="bound", options=BuildOptions.static((320, 1800)).as_json()))
    assert store.entry("bound.fp16.320x180").path == bound
    with pytest.raises(UsageError, match=r"or its last eight digits$"):
        store.entry("320x180")


def test_whole_parts_of_a_name_go_before_others(store: EngineStore) -> None:
    path = keep(store, RECORD)
    keep(store, made_up_record(graph_sha256="1" * 64, bundle="tiny-2"))
    assert store.entry("tiny").path == path


def test_a_path_names_its_engine(store: EngineStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keep(store, graph(1))
    keep(store, graph(2))
    monkeypatch.chdir(store.folder)
    for part in (str(path), f"engines/{path.name}", f"engines/../engines/{path.name}"):
        assert store.entry(part).path == path
    with pytest.raises(UsageError, match="no engine in the store"):
        store.entry(f"/elsewhere/{path.name}")


def test_only_files_are_engines(store: EngineStore) -> None:
    path = keep(store, graph(1))
    (store.engines / "folder.engine").mkdir()
    os.mkfifo(store.engines / "pipe.engine")
    assert [entry.path for entry in store.entries()] == [path]


def test_entries_tell_damage_by_length_and_if_asked_by_hash(store: EngineStore) -> None:
    path = keep(store, RECORD)
    path.write_bytes(ENGINE[:4])
    assert store.entries()[0].damage == "it was cut off after 4 of 14 bytes"
    assert store.entry("tiny").damage == store.entries()[0].damage
    path.write_bytes(ENGINE + b"!")
    assert store.entries()[0].damage == "it has 15 bytes, and 14 were written"
    assert store.entry("tiny").damage == store.entries()[0].damage
    path.write_bytes(b"x" * len(ENGINE))
    assert store.entries()[0].damage == ""
    assert "not the engine its sidecar" in store.entries(hashed=True)[0].damage
    assert "not the engine its sidecar" in store.entry("tiny").damage
    path.write_bytes(b"")
    assert store.entries()[0].damage == store.entry("tiny").damage == "it is empty"
    (store.engines / "foreign.engine").write_bytes(b"?")
    assert store.entry("foreign").damage == "it has no sidecar"
