"""What the store lists, how it is named, and what has to go."""

from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.places import listed
from crispstream.runtime.engine.store.record import EngineRecord
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import ENGINE, RTX_4070, keep, key_of, made_up_record

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


def test_entries_tell_damage_by_length_and_if_asked_by_hash(store: EngineStore) -> None:
    path = keep(store, RECORD)
    path.write_bytes(ENGINE[:4])
    assert store.entries()[0].damage == "it has 4 bytes, and 14 were written"
    path.write_bytes(b"x" * len(ENGINE))
    assert store.entries()[0].damage == ""
    assert "not the engine its sidecar" in store.entries(hashed=True)[0].damage
    assert "not the engine its sidecar" in store.entry("tiny").damage
    path.write_bytes(b"")
    assert "0 bytes" in store.entries()[0].damage
    (store.engines / "foreign.engine").write_bytes(b"?")
    assert store.entry("foreign").damage == "it has no sidecar"


def test_the_least_recently_used_make_room(store: EngineStore) -> None:
    for number, days in ((1, 3), (2, 9), (3, 5)):
        keep(store, graph(number), used_days_ago=days)
    one = store.entries()[0].disk_bytes
    store.limit_bytes = 3 * one + 20
    keep(store, graph(4))
    assert [entry.name.split(".")[0] for entry in store.entries()] == ["net4", "net1", "net3"]


def test_the_engine_just_added_stays_however_small_the_limit(store: EngineStore) -> None:
    store.limit_bytes = 1
    keep(store, graph(1))
    path = keep(store, graph(2))
    assert [entry.path for entry in store.entries()] == [path]


def test_pruning_by_age_and_by_size(store: EngineStore) -> None:
    for number, days in ((1, 3), (2, 9), (3, 5)):
        keep(store, graph(number), used_days_ago=days)
    assert store.prune() == []
    assert [entry.name[:4] for entry in store.prune(unused_days=6)] == ["net2"]
    assert [entry.name[:4] for entry in store.prune(limit_bytes=0)] == ["net3", "net1"]
    assert store.entries() == []
