import json
import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.measure import records
from crispstream.runtime.measure.bench.record import BenchRecord
from crispstream.runtime.measure.comparing.compare import compare_records
from crispstream.runtime.measure.plan.record import PlanRecord
from crispstream.runtime.measure.profiling.record import ProfileRecord
from crispstream.runtime.measure.records import (
    RunRecord,
    as_json,
    read_record,
    write_record,
)
from tests.helpers.any_value import any_value
from tests.helpers.compared import bench, plan, profile, run_content

KINDS = (BenchRecord, PlanRecord, ProfileRecord)


def written(folder: Path, content: object) -> Path:
    path = folder / "record.json"
    path.write_text(json.dumps(content))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_record(path)
    return str(caught.value)


def changed(content: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return the content with another value at a path such as `variants.0.name`."""
    changed = json.loads(json.dumps(content))
    *parents, last = path.split(".")
    at = changed
    for key in parents:
        at = at[int(key) if isinstance(at, list) else key]
    at[int(last) if isinstance(at, list) else last] = value
    return changed


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_what_is_written_is_read_again_whatever_it_holds(kind, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(records, "_checked", lambda record, content: record)
    monkeypatch.setattr(records, "_refuse_empty", lambda record, path: None)
    path = tmp_path / "record.json"
    for seed in range(40):
        record = any_value(kind, random.Random(seed))
        write_record(record, path)
        assert read_record(path) == record


@pytest.mark.parametrize("record", [bench(), plan(), profile()], ids=lambda record: record.kind)
def test_a_record_begins_with_what_it_is(record, tmp_path: Path) -> None:
    write_record(record, tmp_path / "record.json")
    content = json.loads((tmp_path / "record.json").read_text())
    assert list(content)[:2] == ["kind", "schema"]
    assert (content["kind"], content["schema"]) == (record.kind, 1)
    assert set(content) == {field.name for field in fields(record)}
    assert read_record(tmp_path / "record.json") == record


@pytest.mark.parametrize("with_kind", [True, False])
def test_the_report_of_a_run_is_a_record_too_also_from_before_it_had_a_kind(
    with_kind: bool, tmp_path: Path
) -> None:
    content = run_content()
    if not with_kind:
        del content["kind"]
    record = read_record(written(tmp_path, content))
    assert isinstance(record, RunRecord)
    assert (record.kind, record.schema, record.model) == ("run", 1, "edge-n")
    assert record.stages["total"]["p50_ms"] == content["stages"]["total"]["p50_ms"]


def test_keys_of_a_newer_kit_are_left_out_and_those_an_older_one_lacks_have_their_default(
    tmp_path: Path,
) -> None:
    content = as_json(bench())
    content["new"] = content["variants"][0]["new"] = {"a": [1]}
    del content["notes"], content["settings"]["idle_ms"]
    assert read_record(written(tmp_path, content)) == bench()


def test_whole_numbers_are_numbers_too(tmp_path: Path) -> None:
    content = changed(as_json(bench()), "settings.seconds", 20)
    record = read_record(written(tmp_path, content))
    assert isinstance(record, BenchRecord)
    assert record.settings.seconds == 20.0
    assert isinstance(record.settings.seconds, float)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("settings.seconds", "20", "'settings.seconds' is the text '20'; expected a number"),
        ("settings.seconds", None, "'settings.seconds' is null; expected a number"),
        ("settings.block", 2.5, "'settings.block' is 2.5; expected a whole number"),
        ("settings.block", True, "'settings.block' is true; expected a whole number"),
        ("settings.deadline_ms", [], "'settings.deadline_ms' is a list; expected a number"),
        ("settings.size", [320], "'settings.size' has 1 entries; expected 2"),
        ("settings.size.1", "180", r"'settings.size\[1\]' is the text '180'; expected a whole"),
        ("variants", {}, "'variants' is an object; expected a list"),
        ("variants.0", 3, r"'variants\[0\]' is 3; expected an object"),
        ("variants.0.name", 7, r"'variants\[0\].name' is 7; expected text"),
        ("variants.0.scopes.engine.rounds_ms.0", {}, r"rounds_ms\[0\]' is an object; expected"),
        ("variants.0.scopes.engine.spread.mean_ms", 10**400, "is 1000.*; expected a number"),
        ("readings.0.facts.load_average", [1], "is a list; expected a number or text"),
        ("host.packages", [], "'host.packages' is a list; expected an object"),
    ],
)
def test_what_is_of_another_type_is_told_with_its_path(path, value, words, tmp_path) -> None:
    content = changed(as_json(bench()), path, value)
    with pytest.raises(UsageError, match=words) as caught:
        read_record(written(tmp_path, content))
    assert "is no whole bench record" in str(caught.value)
    assert str(caught.value).endswith("make it again: crispstream bench edge-n --report FILE")


@pytest.mark.parametrize("record", [bench(), plan(), profile()], ids=lambda record: record.kind)
def test_every_missing_key_is_told(record, tmp_path: Path) -> None:
    content = as_json(record)
    optional = {"kind", "schema", "notes", "profile"}
    for key in set(content) - optional:
        without = {name: value for name, value in content.items() if name != key}
        assert f"the key '{key}' is missing; expected " in refusal(written(tmp_path, without))


def test_percentiles_that_readers_look_up_are_missed(tmp_path: Path) -> None:
    content = as_json(bench())
    del content["variants"][0]["scopes"]["end_to_end"]["spread"]["percentiles_ms"]["99.9"]
    said = refusal(written(tmp_path, content))
    at = "variants[0].scopes.end_to_end.spread.percentiles_ms.99.9"
    assert f"the key '{at}' is missing; expected a number" in said


def test_the_run_inside_of_a_profile_is_checked_too(tmp_path: Path) -> None:
    content = changed(as_json(profile()), "run.frames", "many")
    assert "'run.frames' is the text 'many'" in refusal(written(tmp_path, content))


def test_a_run_inside_of_a_profile_without_later_keys_has_their_defaults(tmp_path: Path) -> None:
    content = as_json(profile())
    for key in ("policy", "live", "budget_ms"):
        del content["run"][key]
    record = read_record(written(tmp_path, content))
    assert isinstance(record, ProfileRecord)
    assert (record.run["policy"], record.run["live"], record.run["budget_ms"]) == (
        "all",
        False,
        None,
    )
    assert record.efficiency == min(1.0, record.engine_busy)
    compare_records(record, profile(), "a", "b")


def test_what_no_terminal_prints_is_written_out_wherever_it_is(tmp_path: Path) -> None:
    content = changed(as_json(bench()), "variants.0.name", "a\x1b[2J\u202eb\ud800")
    content["host"]["packages"]["\x1b]0;x\x07"] = "1"
    content["notes"] = ["one\nanother é"]
    record = read_record(written(tmp_path, content))
    assert isinstance(record, BenchRecord)
    assert record.variants[0].name == r"a\x1b[2J\u202eb\ud800"
    assert record.host.packages[r"\x1b]0;x\x07"] == "1"
    assert record.notes == ("one\nanother é",)


def test_a_record_of_before_gpus_were_told_is_read(tmp_path: Path) -> None:
    content = as_json(bench())
    del content["host"]["gpu"], content["host"]["driver"]
    record = read_record(written(tmp_path, content))
    assert isinstance(record, BenchRecord)
    assert (record.host.gpu, record.host.driver) == ("", "")


def test_a_missing_key_far_below_is_told_with_its_path(tmp_path: Path) -> None:
    content = as_json(bench())
    del content["variants"][1]["scopes"]["engine"]["spread"]["count"]
    said = refusal(written(tmp_path, content))
    assert "the key 'variants[1].scopes.engine.spread.count' is missing; expected a whole" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"kind": "bench", "a": NaN}', "NaN is no number of JSON's"),
        (b"9" * 5000, "is not JSON|holds 9999"),
        (b"[1]", "holds a list, and a record is an object"),
        (b"null", "holds null, and a record is an object"),
        (b"{}", "has no kind, and a record is one of bench, profile, plan, run"),
        (b'{"kind": "ranges", "schema": 1}', "has the kind 'ranges', and a record is"),
        (b'{"kind": ["bench"]}', "has the kind a list"),
        (b'{"cameras": {"door": {}}, "schema": 1}', "of several cameras.*run one camera by"),
        (
            b'{"kind": "bench", "schema": 2}',
            "schema 2, this kit reads 1; it is of a newer kit; update this one to read it",
        ),
        (b'{"kind": "bench", "schema": 0}', "schema 0, this kit reads 1; make the file again"),
        (b'{"kind": "bench", "schema": true}', "schema true, this kit reads 1; make the file"),
        (b'{"kind": "bench", "schema": "1"}', "schema the text '1', this kit reads 1; make"),
        (b'{"kind": "bench"}', "schema null, this kit reads 1; make the file again"),
        (b'{"stages": {}, "schema": 1}', "is no whole run record: the key 'source' is missing"),
    ],
)
def test_what_is_no_record_is_refused_with_what_it_is(text, words, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=words) as caught:
        read_record(path)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "cannot be read (No such file" in refusal(tmp_path / "none.json")
    assert "cannot be read (Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (changed(as_json(bench()), "variants", []), "it has no variants"),
        (changed(as_json(bench()), "variants.1.scopes", {}), "'edge-s fp32' has nothing measured"),
        (
            changed(as_json(bench()), "variants.0.scopes.engine.rounds_ms", []),
            "'edge-n fp32' has no frames in engine",
        ),
        (
            changed(as_json(bench()), "variants.0.scopes.engine.spread.count", 0),
            "'edge-n fp32' has no frames in engine",
        ),
        (changed(as_json(profile()), "stages", {}), "no stage has frames"),
        (changed(as_json(plan()), "layers", []), "it has no layers"),
        (changed(run_content(), "frames", 0), "it has no frames"),
    ],
)
def test_a_run_in_which_nothing_was_measured_is_refused(content, words, tmp_path) -> None:
    said = refusal(written(tmp_path, content))
    assert f"is an empty run, {words}; make it again: crispstream {content['kind']} " in said


def test_numbers_that_json_does_not_know_are_null() -> None:
    record = any_value(BenchRecord, random.Random(1))
    object.__setattr__(record.settings, "seconds", float("nan"))
    object.__setattr__(record.settings, "idle_ms", float("inf"))
    settings = as_json(record)["settings"]
    assert (settings["seconds"], settings["idle_ms"]) == (None, None)
