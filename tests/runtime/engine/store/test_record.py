"""The sidecar tells whether an engine is still the one that was built."""

import errno
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.store import form
from crispstream.runtime.engine.store import record as record_module
from crispstream.runtime.engine.store.record import (
    SCHEMA,
    EngineRecord,
    check_engine,
    read_engine,
    sidecar_of,
    write_engine,
)
from tests.helpers.engines import ENGINE, PASSED, made_up_record, with_orders

RECORD = made_up_record()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.engine"
    record = replace(RECORD, retries=("level 1",), recheck=PASSED)
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
        (ENGINE + b"!", "it has 15 bytes, and 14 were written"),
        (ENGINE[::-1], "its SHA-256 starts with"),
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
        ("{", r"its sidecar a\.engine\.json is no JSON; build"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "extra": 2}), "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "retries": None}), "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "engine_bytes": "14"}), "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "gpu": {"name": 4070}}), "is not an engine's record"),
        (json.dumps({**asdict(RECORD), "flavour": "foo"}), "is not an engine's record"),
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


@pytest.mark.parametrize(
    ("schema", "words"),
    [(SCHEMA + 1, "newer crispstream .*update crispstream"), (1, "older crispstream .*build it")],
)
def test_a_sidecar_of_another_kit_is_no_damage(tmp_path: Path, schema: int, words: str) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, ENGINE, replace(RECORD, schema=schema))
    assert check_engine(path).damage == ""
    with pytest.raises(EngineError, match=words):
        read_engine(path)


def test_what_cannot_be_read_is_told_without_numbers(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(EngineError, match=r"it cannot be read \(Is a directory\)"):
        read_engine(tmp_path / "folder")
    with pytest.raises(EngineError, match="there is no engine file"):
        read_engine(tmp_path / "a.engine")
    path = tmp_path / "a.engine"
    path.write_bytes(ENGINE)
    sidecar_of(path).mkdir()
    with pytest.raises(EngineError, match=r"a\.engine\.json cannot be read \(Is a directory\)"):
        read_engine(path)


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        (["320x180"], "320x180"),
        (["160x96:320x180:640x360", "64x64"], "160x96 to 640x360 (best 320x180), 64x64"),
        ([f"{16 * each}x16" for each in range(1, 61)], "16x16, 32x16, 48x16 and 57 more"),
    ],
)
def test_sizes_in_words_are_three_at_most(profiles: list[str], expected: str) -> None:
    assert with_orders(RECORD, profiles=profiles).sizes_in_words == expected


def test_the_kind_of_every_field_is_checked() -> None:
    assert set(form._KINDS) == {field.name for field in fields(EngineRecord)}


def test_where_nothing_can_be_written_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(EngineError, match="choose another place with -o"):
        write_engine(blocked / "a.engine", ENGINE, RECORD)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    with pytest.raises(EngineError, match="File name too long; choose"):
        write_engine(tmp_path / ("x" * 300), ENGINE, RECORD)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("fails", ["write_json_atomically", "write_atomically"])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, fails: str
) -> None:
    path = tmp_path / "a.engine"
    if there:
        write_engine(path, ENGINE, RECORD)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(record_module, fails, full)
    with pytest.raises(EngineError, match="No space left on device"):
        write_engine(path, b"another", made_up_record(b"another", bundle="other"))
    if there:
        assert read_engine(path) == (ENGINE, RECORD)
    assert len(list(tmp_path.iterdir())) == (2 if there else 0)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("ending", [".engine", ".json"])
def test_if_one_file_cannot_be_put_in_place_neither_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, ending: str
) -> None:
    path = tmp_path / "a.engine"
    if there:
        write_engine(path, ENGINE, RECORD)
    replaced = Path.replace

    def refuse(source: Path, target: Path) -> Path:
        if target.suffix == ending and source.name in ("engine", "record"):
            raise OSError(errno.EIO, "Input/output error")
        return replaced(source, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(EngineError, match="Input/output error"):
        write_engine(path, b"another", made_up_record(b"another"))
    if there:
        assert read_engine(path) == (ENGINE, RECORD)
    assert len(list(tmp_path.iterdir())) == (2 if there else 0)


def test_a_folder_in_the_sidecars_place_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    (sidecar_of(path) / "deep").mkdir(parents=True)
    with pytest.raises(EngineError, match="cannot write"):
        write_engine(path, ENGINE, RECORD)
    assert (sidecar_of(path) / "deep").is_dir()
    assert not path.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"options": {"profiles": ["320x180"]}},
        {"options": {**RECORD.options, "compute_capabilities": 86}},
        {"options": {**RECORD.options, "compute_capabilities": [8.6]}},
        {"options": {**RECORD.options, "version_compatible": "no"}},
        {"options": {**RECORD.options, "profiles": []}},
        {"asked_options": {"profiles": ["320x180"]}},
        {"recheck": {"passed": True}},
        {"recheck": {**PASSED, "gpu": "RTX"}},
    ],
)
def test_orders_and_verdicts_that_cannot_be_read_are_damage(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, ENGINE, RECORD)
    sidecar = sidecar_of(path)
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **wrong}))
    with pytest.raises(EngineError, match="is not an engine's record"):
        read_engine(path)
