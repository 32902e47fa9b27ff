"""Why nothing can be kept in a place, known before there is anything to keep."""

import errno
import os
import re
import tempfile
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.places import listed
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import ENGINE, keep, made_up_record

RECORD = made_up_record()
KEY = EngineKey.of(RECORD)


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "cache")


def test_whether_engines_can_be_kept_is_known_beforehand(store: EngineStore) -> None:
    assert store.refusal() == ""
    assert not store.folder.exists()
    keep(store, RECORD)
    there = listed(store.engines)
    assert store.refusal() == ""
    assert listed(store.engines) == there


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (errno.ENOSPC, "No space left on device", "; free some space there, or set CRISPSTREAM_C"),
        (errno.EACCES, "Permission denied", "; set CRISPSTREAM_CACHE to a folder"),
        (errno.ENOENT, "no folder can be made there", "; set CRISPSTREAM_CACHE to a folder"),
    ],
)
def test_the_reason_for_not_keeping_and_what_helps_against_it(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch, error: int, reason: str, remedy: str
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    assert store.refusal() == reason
    with pytest.raises(EngineError, match=re.escape(f"({reason}){remedy}")):
        store.add(KEY, ENGINE, RECORD)


def test_where_nothing_was_kept_yet_is_readable(store: EngineStore) -> None:
    assert store.unreadable() == ""
    keep(store, RECORD)
    assert store.unreadable() == ""
