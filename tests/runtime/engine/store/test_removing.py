"""What has to go from the store, and that one which stays holds up no other."""

import errno
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.store.record import EngineRecord
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import keep, made_up_record


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "cache")


def graph(number: int) -> EngineRecord:
    """Return the record of another graph's engine."""
    return made_up_record(graph_sha256=f"{number}" * 64, bundle=f"net{number}")


def test_one_that_cannot_be_removed_is_told_and_the_others_go(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        keep(store, graph(number), used_days_ago=9)
    unlink = Path.unlink

    def stuck(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("net2"):
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", stuck)
    removal = store.prune(unused_days=6)
    assert sorted(entry.name[:4] for entry in removal.removed) == ["net1", "net3"]
    (left,) = store.entries()
    assert removal.stuck == {left.name: "Operation not permitted"}
    with pytest.raises(EngineError, match=r"cannot be removed \(Operation not permitted\); check"):
        store.remove("net2")


def test_an_engine_that_stays_costs_no_other_its_place(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, days in ((1, 3), (2, 9)):
        keep(store, graph(number), used_days_ago=days)

    def stuck(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    one = store.entries()[0].disk_bytes
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stuck)
        removal = store.prune(limit_bytes=one + 20)
    assert [name[:4] for name in removal.stuck] == ["net2"]


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
    assert store.prune() == ([], {})
    assert [entry.name[:4] for entry in store.prune(unused_days=6).removed] == ["net2"]
    assert [entry.name[:4] for entry in store.prune(limit_bytes=0).removed] == ["net3", "net1"]
    assert store.entries() == []
