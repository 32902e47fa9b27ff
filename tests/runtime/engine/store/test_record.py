"""The sidecar tells whether an engine is still the one that was built."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.store import record as record_module
from crispstream.runtime.engine.store.record import (
    SCHEMA,
    EngineRecord,
    check_engine,
    read_engine,
    sidecar_of,
    write_engine,
)
from tests.helpers.engines import ENGINE, made_up_record

RECORD = made_up_record()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.engine"
    record = replace(RECORD, retries=("level 1",), recheck={"passed": True})
    write_engine(path, ENGINE, record)
    assert path.read_bytes() == ENGINE
    assert read_engine(path) == (ENGINE, record)
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.engine", "a.engine.json"]


def test_an_engine_without_sidecar_has_no_record(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(ENGINE)
    assert read_engine(path) == (ENGINE, None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ENGINE[:-1] + b"?", "it is not the engine its sidecar describes"),
        (ENGINE[:5], "it was cut off after 5 of 14 bytes"),
        (ENGINE + b"!", "SHA-256 starts with"),
        (b"", "it is empty"),
    ],
)
def test_an_engine_that_was_changed_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, ENGINE, RECORD)
    path.write_bytes(content)
    with pytest.raises(EngineError, match="build it again") as caught:
        read_engine(path)
    assert words in str(caught.value)
    assert words in check_engine(path).damage


def test_an_empty_file_is_no_engine_even_without_sidecar(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(b"")
    with pytest.raises(EngineError, match="it is empty"):
        read_engine(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "is not an engine's record"),
        ('{"schema": 1}', "of an older kit"),
        (json.dumps({**asdict(RECORD), "extra": 2}), "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "retries": None}), "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "engine_bytes": "14"}), "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "gpu": {"name": 4070}}), "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "options": {}}), "is not an engine's record"),
        (
            json.dumps({**asdict(RECORD), "options": {"profiles": ["../x"]}}),
            "is not an engine's record",
        ),
        (
            json.dumps({**asdict(RECORD), "asked_options": {"profiles": [3]}}),
            "is not an engine's record",
        ),
    ],
)
def test_bad_sidecars_are_damage(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(ENGINE)
    sidecar_of(path).write_text(content)
    with pytest.raises(EngineError, match=words):
        read_engine(path)
    assert check_engine(path).damage


def test_a_sidecar_of_a_newer_kit_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, ENGINE, replace(RECORD, schema=SCHEMA + 1))
    with pytest.raises(EngineError, match="update crispstream"):
        check_engine(path)


def test_the_kind_of_every_field_is_checked() -> None:
    assert set(record_module._KINDS) == {field.name for field in fields(EngineRecord)}


def test_where_nothing_can_be_written_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(EngineError, match="choose another place with -o"):
        write_engine(blocked / "a.engine", ENGINE, RECORD)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
