"""Engines that were built elsewhere are kept only if their sidecars tell the truth."""

from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError, UsageError
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.record import write_engine
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import ENGINE, made_for_4070, made_up_record

RECORD = made_up_record()
KEY = EngineKey.of(RECORD)


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "cache")


def test_an_engine_built_elsewhere_is_adopted(store: EngineStore, tmp_path: Path) -> None:
    built = tmp_path / "a.engine"
    write_engine(built, ENGINE, RECORD)
    path = store.adopt(built)
    assert store.find(KEY) == (ENGINE, RECORD, path, "", None)
    assert built.exists()


def test_what_is_no_whole_engine_is_not_adopted(store: EngineStore, tmp_path: Path) -> None:
    built = tmp_path / "a.engine"
    with pytest.raises(UsageError, match="there is no engine file"):
        store.adopt(built)
    built.write_bytes(ENGINE)
    with pytest.raises(UsageError, match=r"no sidecar a\.engine\.json"):
        store.adopt(built)
    write_engine(built, ENGINE, replace(RECORD, engine_sha256="0" * 64))
    with pytest.raises(EngineError, match="not the engine its sidecar describes"):
        store.adopt(built)
    with pytest.raises(UsageError, match="there is no engine file"):
        store.adopt(tmp_path / ("x" * 300))
    assert store.entries() == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"schema": 1}, r"older crispstream .*; build it again$"),
        ({"schema": 99}, r"newer crispstream .*; update crispstream$"),
        ({"flavour": "foo"}, r"is not an engine's record; copy it again"),
    ],
)
def test_a_sidecar_that_this_kit_cannot_read_is_not_adopted(
    store: EngineStore, tmp_path: Path, facts: dict[str, object], words: str
) -> None:
    built = tmp_path / "a.engine"
    write_engine(built, ENGINE, replace(RECORD, **facts))
    with pytest.raises(EngineError, match=words):
        store.adopt(built)


def test_a_sidecar_of_another_version_than_the_engines_header_is_not_adopted(
    store: EngineStore, tmp_path: Path
) -> None:
    engine = b"vtrt" + bytes(20) + bytes([1, 7, 1, 116]) + b"and so on"
    built = tmp_path / "a.engine"
    for record in (made_for_4070(engine), made_up_record(engine, flavour_version="1.4")):
        write_engine(built, engine, record)
        with pytest.raises(EngineError, match=r"built by TensorRT-RTX 1\.7\.1\.116, and its side"):
            store.adopt(built)
    write_engine(built, engine, made_up_record(engine))
    assert store.adopt(built).exists()
