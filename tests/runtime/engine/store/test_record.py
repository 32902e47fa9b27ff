"""The sidecar tells whether an engine is still the one that was built."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError
from crispstream.core.files import sha256_of
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.store.record import (
    EngineRecord,
    read_engine,
    sidecar_of,
    write_engine,
)

ENGINE = b"vtrt and so on"
RECORD = EngineRecord(
    bundle="tiny",
    graph_sha256="0" * 64,
    precision="fp16",
    flavour="tensorrt-rtx",
    flavour_version="1.7.1",
    options=BuildOptions.static((320, 180)).as_json(),
    gpu={},
    engine_sha256=sha256_of(ENGINE),
    engine_bytes=len(ENGINE),
    build_seconds=0.25,
    built_at="2026-11-21T18:00:00Z",
    crispstream_version="0.1.0",
    convolutions={"Half": 3, "Float": 1},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.engine"
    write_engine(path, ENGINE, RECORD)
    assert path.read_bytes() == ENGINE
    assert read_engine(path) == (ENGINE, RECORD)
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.engine", "a.engine.json"]


def test_an_engine_without_sidecar_has_no_record(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(ENGINE)
    assert read_engine(path) == (ENGINE, None)


def test_a_changed_engine_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, ENGINE, RECORD)
    path.write_bytes(ENGINE + b"!")
    with pytest.raises(EngineError, match="build it again"):
        read_engine(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "is not an engine's record"),
        ('{"schema": 1}', "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "schema": 3}), "update crispstream"),
        (json.dumps({**asdict(RECORD), "extra": 2}), "is not an engine's record"),
    ],
)
def test_bad_sidecars_are_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(ENGINE)
    sidecar_of(path).write_text(content)
    with pytest.raises(EngineError, match=words):
        read_engine(path)


def test_where_nothing_can_be_written_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(EngineError, match="choose another place with -o"):
        write_engine(blocked / "a.engine", ENGINE, replace(RECORD))
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
