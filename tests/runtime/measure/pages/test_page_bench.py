"""The page of a bench: what it says, and that odd records have one too."""

from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.runtime.measure.bench.record import SCOPES, TRTEXEC, BenchRecord
from crispstream.runtime.measure.figures import Observer, Ratio
from crispstream.runtime.measure.pages.bench import bench_page, write_html
from crispstream.runtime.measure.pages.bench_words import verdicts
from tests.helpers.markup import Markup, plain, self_contained
from tests.helpers.records import bench_record, spread_of


@pytest.fixture(scope="module")
def record() -> BenchRecord:
    return bench_record()


@pytest.fixture(scope="module")
def page(record: BenchRecord) -> Markup:
    return self_contained(bench_page(record))


def one_variant(record: BenchRecord, durations_ms: list[float]) -> BenchRecord:
    """The first variant alone, in one scope, with other times."""
    variant = record.variants[0]
    spread = spread_of(durations_ms)
    bare = replace(variant.scopes["engine"], spread=spread, rounds_ms=(), timeline=(), misses=None)
    return replace(
        record,
        variants=(replace(variant, scopes={"engine": bare}),),
        ratios={},
        readings=(),
        notes=(),
        observer=Observer(0.0, "not looked at"),
    )


def test_the_headline_names_the_fastest_with_ratio_and_interval(record: BenchRecord) -> None:
    lines = verdicts(record)
    ratio = record.ratios["edge-s int8-cpu"]["engine"]
    said = (
        f"<strong>edge-s int8-cpu</strong> at 10.9 ms is fastest, and takes {ratio.median:.3f} "
        f"(99\xa0% interval {ratio.low:.3f} to {ratio.high:.3f}) times as long as edge-s fp32 at"
    )
    assert len(lines) == len(SCOPES)
    assert said in lines[0]
    assert lines[0].startswith('<span class="soft">Engine alone:')


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ({"b": Ratio(1.2, 1.1, 1.3, 9)}, "<strong>a at 21.5 ms</strong> is fastest: b takes 1.200"),
        ({"b": Ratio(1.0, 0.9, 1.1, 9)}, "no difference between a at 21.5 ms and b: 1.000"),
        (
            {"b": Ratio(1.0, 0.9, 1.1, 9), "c": Ratio(2.0, 1.9, 2.1, 9)},
            "no difference between a at 21.5 ms and b: 1.000 (99\xa0% interval 0.900 to 1.100) "
            "times; c takes 2.000 (99\xa0% interval 1.900 to 2.100) times as long.",
        ),
        (
            {"b": Ratio(0.5, 0.4, 0.6, 9), "c": Ratio(0.55, 0.5, 0.7, 9)},
            "<strong>b</strong> at 10.9 ms and <strong>c</strong> at 25.1 ms are fastest, and take",
        ),
    ],
)
def test_verdicts_claim_no_more_than_the_intervals(
    record: BenchRecord, ratios: dict[str, Ratio], words: str
) -> None:
    renamed = tuple(
        replace(variant, name=name, scopes={"engine": variant.scopes["engine"]})
        for name, variant in zip("abc", record.variants, strict=True)
    )
    by_scope = {name: {"engine": ratio} for name, ratio in ratios.items()}
    (line,) = verdicts(replace(record, variants=renamed, ratios=by_scope))
    assert words in line


def test_every_scope_says_what_it_holds_and_what_trtexec_calls_it(page: Markup) -> None:
    for scope in SCOPES:
        assert SCOPES[scope] in page.text
        assert TRTEXEC[scope] in page.text


def test_every_variant_has_its_percentiles_misses_and_graph(
    record: BenchRecord, page: Markup
) -> None:
    for variant in record.variants:
        assert variant.graph_sha256[:12] in page.text
        assert variant.why in page.text
    misses = record.variants[2].scopes["engine"].misses
    assert misses is not None
    assert misses.missed > 0
    html = bench_page(record)
    missed = plain(html[html.index("Misses of the deadline") :])
    row = '<th scope="row">edge-m int8-cpu</th><td class="words">engine alone</td>'
    assert f"{row}<td>{misses.missed}</td><td>240</td>" in missed
    for heading in ("p50", "p90", "p95", "p99", "p99.9", "max", "jitter", "frames/s"):
        assert html.count(f'<th scope="col">{heading}</th>') == len(SCOPES)


def test_readings_notes_settings_and_cost_are_told(page: Markup) -> None:
    for words in (
        "the processor was busy with something else in 3 of 40 readings",
        "GPU throttle: thermal",
        "3 (7.5\xa0%)",
        "GPU temperature, °C",
        "0.04\xa0% of the time: an empty call was timed the same way (call us 0.42)",
        "20 s in all, at least 50 frames",
        "8 frames of one variant, then of the next",
        "Example CPU E-1234 v5",
    ):
        assert words in page.text


def test_notes_come_before_anything_else(record: BenchRecord) -> None:
    html = bench_page(record)
    assert html.index('class="notes"') < html.index('class="tiles"')


def test_percentiles_asked_for_besides_have_a_column(record: BenchRecord) -> None:
    variant = record.variants[0]
    measured = variant.scopes["engine"]
    percentiles = {**measured.spread.percentiles_ms, "99.99": 77.25}
    spread = replace(measured.spread, percentiles_ms=percentiles)
    scopes = {"engine": replace(measured, spread=spread)}
    html = bench_page(replace(record, variants=(replace(variant, scopes=scopes),), ratios={}))
    assert '<th scope="col">p99.9</th><th scope="col">p99.99</th>' in html
    assert "<td>77.2</td>" in plain(html)


@pytest.mark.parametrize("durations_ms", [[12.5], [0.0], [0.0, 0.0], []])
def test_a_record_with_next_to_nothing_has_a_page(
    record: BenchRecord, durations_ms: list[float]
) -> None:
    page = self_contained(bench_page(one_variant(record, durations_ms)))
    assert "Against" not in page.text
    assert "What the machine told" not in page.text


def test_a_record_without_variants_has_a_page(record: BenchRecord) -> None:
    page = self_contained(bench_page(replace(record, variants=(), ratios={})))
    assert "0 variants: bench" in page.text


def test_names_are_escaped(record: BenchRecord) -> None:
    bad = "<script>a&b</script>"
    variants = (replace(record.variants[0], name=bad, why=bad), *record.variants[1:])
    html = bench_page(replace(record, variants=variants, notes=(bad,)))
    assert "<script" not in html
    assert "&lt;script&gt;a&amp;b" in html
    self_contained(html)


def test_the_file_holds_the_page(record: BenchRecord, tmp_path: Path) -> None:
    write_html(record, tmp_path / "bench.html")
    assert (tmp_path / "bench.html").read_text(encoding="utf-8") == bench_page(record)
