"""What a folder says of itself, damaged: named, with what to remove."""

import json

import pytest

from crispstream.core.errors import TrainError
from crispstream.train.data.journal import header_of, open_journal, read_manifest

HEADER = header_of("toy", {"side_px": 4}, {})
DAMAGED = [b"rot\n", b"[]\n", b'{"a": 1}\n', b"5\n", b"\xff\n"]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_journal_says_what_to_remove(tmp_path, data):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(data)
    with pytest.raises(TrainError, match=r"journal\.jsonl' is damaged; remove the folder '/"):
        open_journal(tmp_path, HEADER, {})
    assert path.read_bytes() == data


def test_a_damaged_line_after_a_sound_one_is_told_too(tmp_path):
    line = {"item": "test/c", "sources": "", "files": {"a.png": {}}}
    (tmp_path / "journal.jsonl").write_text(f"{json.dumps(HEADER)}\n{json.dumps(line)}\n")
    with pytest.raises(TrainError, match=r"is damaged; remove the folder"):
        open_journal(tmp_path, HEADER, {})


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_manifest_says_what_to_remove(tmp_path, data):
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(TrainError, match=r"manifest\.json' is damaged; remove the folder '/"):
        read_manifest(tmp_path)


def test_a_manifest_of_another_schema_says_so(tmp_path):
    about = {**HEADER, "schema": 2, "made": {}, "files": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(about))
    with pytest.raises(TrainError, match="has schema 2, this version reads 1; remove the folder"):
        read_manifest(tmp_path)
