"""docs/reports.md is what its script writes, and what the records are."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks import reports_page
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.comparing.compare import compare_records
from crispstream.runtime.measure.comparing.record import Row
from crispstream.runtime.measure.records import as_json, read_record
from crispstream.runtime.measure.report import Quality, report_from_run
from crispstream.runtime.stream.drift import Drift, FigureDrift
from crispstream.runtime.stream.outcome import StreamReport
from tests.helpers.compared import bench, plan, profile

TEXT = reports_page.PAGE.read_text(encoding="utf-8")


def names(keys) -> set[str]:
    return {key.name for key in keys}


def test_writing_the_page_again_changes_nothing():
    assert reports_page.page(TEXT) == TEXT, "run benchmarks/reports_page.py"


def test_a_page_without_a_place_for_a_table_is_refused():
    with pytest.raises(ValueError, match="no place for the table 'plan'"):
        reports_page.page(TEXT.replace("<!-- plan -->", ""))


def test_every_key_has_a_meaning():
    rows = [line for line in TEXT.splitlines() if re.match(r"\| `\w+`( \*)? \| ", line)]
    assert len(rows) > 100
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_type_that_is_named_has_its_table():
    linked = set(re.findall(r"\]\(#(\w+)\)", TEXT))
    headings = {heading.lower() for heading in re.findall(r"^##+ (\w+)$", TEXT, re.MULTILINE)}
    assert linked <= headings


@pytest.mark.parametrize("record", [bench(), profile(), plan()], ids=lambda record: record.kind)
def test_the_keys_of_a_file_are_those_of_its_table(record):
    assert set(as_json(record)) == names(reports_page.keys_of(type(record)))


def test_the_keys_of_a_comparison_are_those_of_its_table():
    content = compare_records(bench(), bench(), "a", "b").as_json()
    assert set(content) == names(reports_page.keys_of(reports_page.compared.Comparison))
    assert set(content["rows"][0]) == {field.name for field in fields(Row)}


def test_the_keys_of_the_report_of_a_run_are_those_of_its_table():
    stages = Latencies(("total",))
    counts = dict.fromkeys(("frames", "dropped", "damaged"), 1)
    seconds = dict.fromkeys(("elapsed_seconds", "cpu_seconds", "first_frame_ms"), 1.0)
    stream = StreamReport(
        **counts,
        **seconds,
        stopped=False,
        frames_per_second=1.0,
        latencies=stages.summary(),
        peak_depths={},
    )
    told = {"source": "a", "sink": "b", "model": "m", "precision": "p", "backend": "b"}
    drift = Drift(1, 1, 1, (FigureDrift("noise", 0.0, 1.0, 2.0, 2.0, 1),))
    content = report_from_run(stream, **told, quality=Quality(1, 2.0, 3.0), drift=drift).as_json()
    assert list(content)[:2] == ["kind", "schema"]
    assert (content["kind"], content["schema"]) == ("run", 1)
    assert set(content) == names(reports_page.run_keys())
    assert set(content["quality"]) == names(reports_page.quality_keys())
    assert set(content["drift"]) == names(reports_page.drift_keys())


def test_the_example_on_the_page_is_a_record(tmp_path: Path):
    block = re.search(r"<!-- example -->\n```json\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "example.json").write_text(block[1])
    record = read_record(tmp_path / "example.json")
    assert record.kind == "bench"
    assert set(json.loads(block[1])) == set(as_json(record))
