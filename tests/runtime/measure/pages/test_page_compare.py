"""The page of a comparison."""

from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.runtime.measure.comparing.compare import compare_records
from crispstream.runtime.measure.comparing.record import Comparison
from crispstream.runtime.measure.pages.compare import compare_page, write_html
from tests.helpers.layer_records import plan_record, profile_record
from tests.helpers.markup import plain, self_contained
from tests.helpers.records import bench_record


@pytest.fixture(scope="module")
def record() -> Comparison:
    a, b = bench_record(), bench_record(frames=400)
    settings = replace(b.settings, threads=1)
    return compare_records(a, replace(b, settings=settings), "a.json", "b&.json")


def test_verdicts_intervals_and_what_else_differs_are_told(record: Comparison) -> None:
    html = compare_page(record)
    page = self_contained(html)
    said = "Of 9 comparisons with a test, B against A (two runs, not in turns): 9 no difference."
    assert said in page.text
    assert "<h1>bench: B against A (two runs, not in turns)</h1>" in html
    assert '<th scope="row">settings.threads</th><td class="words">2</td>' in plain(html)
    assert html.count('class="interval no-difference"') == 9
    assert '<td class="words">engine alone</td>' in plain(html)
    assert "b&amp;.json" in html
    for note in record.notes:
        assert note in page.text


def test_the_table_says_of_what_its_columns_are(record: Comparison) -> None:
    html = compare_page(record)
    note = "A and B are medians of all frames. A ratio with an interval is of the medians of rounds"
    beside = html[html.index("<h2>Bench: B against A") :]
    assert note in beside[: beside.index("<table")]
    untested = replace(record, rows=tuple(replace(row, tested=None) for row in record.rows))
    assert "A ratio with an interval" not in compare_page(untested)
    profiles = compare_records(profile_record(), profile_record(frames=120), "a", "b")
    assert "is of the means of stretches of the runs" in compare_page(profiles)


def test_plans_have_nothing_to_test_and_a_page() -> None:
    a, b = plan_record(), replace(plan_record(), roof_ms=1.25)
    page = self_contained(compare_page(compare_records(a, b, "a.json", "b.json")))
    assert "comparisons with a test" not in page.text
    assert "not tested" in page.text
    assert "two runs" not in page.text
    assert "A ratio with an interval" not in page.text


def test_profiles_have_stages_and_layers() -> None:
    a, b = profile_record(), profile_record(frames=120)
    page = self_contained(compare_page(compare_records(a, b, "a.json", "b.json")))
    assert "Layers that changed most" in page.text
    assert "infer" in page.text


def test_the_file_holds_the_page(record: Comparison, tmp_path: Path) -> None:
    write_html(record, tmp_path / "compare.html")
    assert (tmp_path / "compare.html").read_text(encoding="utf-8") == compare_page(record)
