"""The form of a GPU record: complete, honest about what was not run, and no dry run in disguise."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common import RESULTS, Limit, paired_ratio
from benchmarks.gpu_check.device import file_part
from benchmarks.gpu_check.record import (
    NOT_REACHED,
    TABLES,
    Built,
    Comparison,
    Judged,
    Record,
    Row,
    expected,
    faults,
)

MODELS = ("edge-s", "edge-n")
GPU = {"name": "NVIDIA Test", "compute_capability": "8.9", "driver": "580", "memory_mib": 8192}
SPREAD = {"median": 0.2, "lowest": 0.1, "highest": 0.3, "repeats": 15}
GOOD: dict[str, dict[str, Any]] = {
    "engines": {"build_seconds": 9.5, "engine_bytes": 1_000_000},
    "accuracy": {"passed": True, "psnr_to_fp32_db": None},
    "opening": {"native_seconds": SPREAD, "kit_seconds": SPREAD, "beyond_seconds": -0.01},
    "rows": {
        "ms_per_frame": SPREAD,
        "frames_per_second": 5000.0,
        "frames_per_burst": 150,
        "clock": "cuda events",
        "roof_share": None,
    },
}
ROW = Row("edge-s", "resident", "engine", "fp16", True, 1)
Content = dict[str, Any]


def facts(gpu: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "created": "2026-11-21T18:00:00+00:00",
        "took_seconds": 300.0,
        "host": {},
        "gpu": gpu,
        "polled": [],
        "engine": {"flavour": "tensorrt"},
        "software": {},
        "settings": {"models": list(MODELS)},
        "warnings": [],
        "roofs": {},
        "work": {},
    }


def full(*, dry_run: bool = False) -> Record:
    """Return a record in which everything was run."""
    record = Record(dry_run=dry_run, models=MODELS, facts=facts(None if dry_run else GPU))
    for table in TABLES:
        for key in expected(table, MODELS):
            record.fill(table, key, GOOD[table])
    return record


def content_of(record: Record) -> Content:
    return dict(json.loads(json.dumps(record.content(), allow_nan=False)))


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_whole_record_has_the_form(dry_run: bool) -> None:
    assert faults(content_of(full(dry_run=dry_run))) == []


def test_a_record_that_was_never_filled_gives_a_reason_for_everything() -> None:
    content = content_of(Record(dry_run=False, models=MODELS, facts=facts(GPU)))
    assert faults(content) == []
    entries = [entry for table in TABLES for entry in content[table]]
    assert {entry["not_run"] for entry in entries} == {NOT_REACHED}


def test_every_combination_that_was_asked_for_has_its_row() -> None:
    rows = {row for row in expected("rows", ["edge-n"]) if isinstance(row, Row)}
    for regime in ("resident", "copies", "end-to-end"):
        for precision in ("fp32", "fp16", "int8"):
            for cuda_graph in (True, False):
                for streams in (1, 4):
                    assert Row("edge-n", regime, "engine", precision, cuda_graph, streams) in rows
        assert Row("edge-n", regime, "torch", "fp16", False, 1) in rows
        assert Row("edge-n", regime, "torch-compile", "fp16", False, 1) in rows
        assert Row("edge-n", regime, "onnxruntime-cuda", "fp32", False, 1) in rows


def to_dry(content: Content) -> None:
    content["rows"][0]["dry_run_figures"] = content["rows"][0].pop("figures")


def both(content: Content) -> None:
    content["rows"][0]["not_run"] = "and yet it was"


def nothing(content: Content) -> None:
    del content["rows"][0]["figures"]


def lost_row(content: Content) -> None:
    del content["rows"][7]


def no_reason(content: Content) -> None:
    content["accuracy"][0] = {**content["accuracy"][0], "not_run": ""}
    del content["accuracy"][0]["figures"]


def no_time(content: Content) -> None:
    content["rows"][0]["figures"]["ms_per_frame"]["median"] = 0


def lost_figure(content: Content) -> None:
    del content["engines"][0]["figures"]["engine_bytes"]


def no_verdict(content: Content) -> None:
    content["accuracy"][0]["figures"]["passed"] = "yes"


def no_gpu(content: Content) -> None:
    content["gpu"] = None


def boast(content: Content) -> None:
    content["limits"]["x"] = {"value": 0.5, "at_least": 1.0, "met": True}


def no_zone(content: Content) -> None:
    content["created"] = "2026-11-21T18:00:00"


def newer(content: Content) -> None:
    content["schema"] = 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (to_dry, "has ['dry_run_figures']"),
        (both, "has ['figures', 'not_run']"),
        (nothing, "has []"),
        (lost_row, "rows lacks an entry"),
        (no_reason, "gives no reason"),
        (no_time, "ms_per_frame is"),
        (lost_figure, "lacks engine_bytes"),
        (no_verdict, "passed is 'yes'"),
        (no_gpu, "a dry run has no GPU"),
        (boast, "limit x says met = True wrongly"),
        (no_zone, "time zone"),
        (newer, "schema"),
    ],
)
def test_faults_are_found(spoil: Callable[[Content], None], words: str) -> None:
    content = copy.deepcopy(content_of(full()))
    spoil(content)
    assert any(words in fault for fault in faults(content)), faults(content)


def test_a_lost_key_is_found() -> None:
    content = content_of(full())
    del content["roofs"]
    assert faults(content) == ["keys ['roofs'] are missing or too many"]


def test_a_dry_run_cannot_pass_for_a_measurement() -> None:
    content = content_of(full(dry_run=True))
    assert content["dry_run"] is True
    assert content["gpu"] is None
    assert '"figures"' not in json.dumps(content)
    disguised = {**content, "dry_run": False, "gpu": GPU}
    assert any("dry_run_figures" in fault for fault in faults(disguised))


def test_a_dry_run_may_claim_nothing() -> None:
    record = full(dry_run=True)
    record.limits["edge-s_opening_seconds"] = Limit(0.5, at_most=1.0)
    record.comparisons.append(Comparison(ROW, ROW, paired_ratio([2.0], [1.0])))
    assert "a dry run claims nothing" in faults(content_of(record))


def test_an_entry_that_nobody_expects_is_refused() -> None:
    record = full()
    with pytest.raises(KeyError):
        record.fill("rows", ROW._replace(streams=3), "no")


def test_what_was_judged_wrong_is_told() -> None:
    record = full()
    assert record.wrong == []
    bad = Judged("edge-n", "engine", "int8")
    record.fill("accuracy", bad, {"passed": False, "psnr_to_fp32_db": 12.0, "reason": "x"})
    record.fill("accuracy", Judged("edge-n", "torch", "fp16"), "not there")
    assert record.wrong == [bad]


def test_rows_and_engines_read_well() -> None:
    assert str(ROW) == "edge-s engine fp16 graph x1 resident"
    assert Built("edge-s", "fp16")._asdict() == {"model": "edge-s", "precision": "fp16"}


def committed() -> list[Path]:
    return sorted(RESULTS.glob("gpu_check-*.json"))


def test_committed_records_have_the_form_and_come_from_a_gpu() -> None:
    for path in committed():
        content = json.loads(path.read_text(encoding="utf-8"))
        assert faults(content) == [], path.name
        assert not content["dry_run"], path.name
        assert path.stem == f"gpu_check-{file_part(content['gpu']['name'])}"
