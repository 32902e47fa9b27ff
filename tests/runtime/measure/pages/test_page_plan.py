"""The page of a plan: the roof, the roofline, and the layers below it."""

from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.runtime.measure.pages.frame import breakable
from crispstream.runtime.measure.pages.plan import plan_page, write_html
from crispstream.runtime.measure.plan.record import PlannedLayer, PlanRecord
from tests.helpers.layer_records import plan_record
from tests.helpers.markup import Markup, plain, self_contained


@pytest.fixture(scope="module")
def record() -> PlanRecord:
    return plan_record()


@pytest.fixture(scope="module")
def page(record: PlanRecord) -> Markup:
    return self_contained(plan_page(record))


def test_the_headline_has_the_roof_and_what_is_expected(record: PlanRecord, page: Markup) -> None:
    assert "no less than 0.81 ms: a lower bound, not a forecast." in page.text
    assert "reach about 35\xa0% of that, which is an assumption and makes 430 frames/s" in page.text
    assert f"{1000 / record.roof_ms:.0f}frames/s at the roof" in page.text
    assert "What sets the time: compute 54\xa0%, memory 46\xa0% and launch 0.74\xa0%." in page.text


def test_rates_measured_on_the_spot_bound_nothing(record: PlanRecord) -> None:
    device = replace(record.device, measured=True, passes_gb_per_second={"Resize": 3.25})
    page = self_contained(plan_page(replace(record, device=device, expected_share=1.0)))
    assert "should take edge-s fp16 about 0.81 ms: an estimate" in page.text
    for words in ("lower bound", "roof of", "expected", "at the roof", "their roof"):
        assert words not in page.text
    assert "Resize 3.25, in GB/s" in page.text
    for words in ("0.81msa frame, an estimate", "frames/s, an estimate", "estimate, ms",
                  "estimate, frames/s", "estimate of a layer"):  # fmt: skip
        assert words in page.text


def test_layers_measured_beside_an_estimate_are_a_ratio_and_never_reach_it() -> None:
    record = plan_record(measured=True)
    first = replace(record.layers[1], measured_ms=record.layers[1].roof_ms / 1.84, achieved=1.84)
    device = replace(record.device, measured=True)
    html = plan_page(replace(record, device=device, layers=(first,)))
    assert '<th scope="col">measured / estimate</th>' in html
    assert "<td>0.54</td>" in plain(html)
    assert "184" not in html
    assert "of the roof" not in html


def test_only_a_cache_makes_steps_faster_than_their_roof(page: Markup) -> None:
    assert "Only a cache can make it take less" in page.text
    assert "No layer can be above the lines, other than one whose tensors a cache" in page.text
    assert "caches, tiles" not in page.text


def test_every_kind_of_bound_has_a_key_and_a_word(page: Markup) -> None:
    html = plan_page(plan_record())
    for kind in ("compute", "memory", "launch"):
        assert f'<i class="{kind}"></i>{kind}: ' in html
        assert f'<span class="value">{kind} ' in html
    assert "2 layers without multiply-accumulates" in page.text


def test_sources_memory_sustained_rates_and_method_are_told(
    record: PlanRecord, page: Markup
) -> None:
    for source in record.device.sources:
        assert source in page.text
    for words in (
        "Of 8 GB that the device has: 0.27\xa0%",
        "expected frames/s",
        "640x360",
        "102 GB/s, 8 GB",
        "the longest of three times",
        "6 µs a layer at least",
    ):
        assert words in page.text


def test_measured_layers_are_ordered_by_what_they_lose() -> None:
    record = plan_record(measured=True)
    html = plan_page(record)
    self_contained(html)
    worst = max(record.layers, key=lambda layer: layer.lost_ms or 0.0)
    table = html[html.index("<h2>The layers</h2>") :]
    first = f'<tbody><tr><th scope="row">{breakable(worst.name)}<small>'
    assert table[table.index("<tbody>") :].startswith(first)
    assert "Those that take most beyond their roof first" in table
    assert "as measured (profile.json, 2025-06-01)" in html
    assert 'class="loss"' in html


def test_odd_records_have_pages(record: PlanRecord) -> None:
    nothing = replace(record, layers=(), macs=0, bytes=0, roof_ms=0.0, sustained=(), memory_mb={})
    text = self_contained(plan_page(nothing)).text
    assert "There are no layers to tell of." in text
    assert "Roofline" not in text
    still = PlannedLayer("/a", ("/a",), "Cast", "fp16", (), 0, 0, 0.0, 0.0, "launch")
    self_contained(plan_page(replace(record, layers=(still,), roof_ms=0.0)))
    unknown = replace(record.layers[1], precision="other")
    self_contained(plan_page(replace(record, layers=(unknown,))))


def test_many_layers_are_folded_together(record: PlanRecord) -> None:
    layers = tuple(
        replace(record.layers[1], name=f"/l{index}", roof_ms=1.0 + index % 7)
        for index in range(200)
    )
    html = plan_page(replace(record, layers=layers))
    assert ">176 more</th>" in html
    assert html[html.index('class="bars"') :].split("</ol>")[0].count("<li>") <= 49


def test_names_are_escaped(record: PlanRecord) -> None:
    bad = "<b>x</b>&"
    device = replace(record.device, title=bad, sources=(bad,))
    layers = (replace(record.layers[1], name=bad), *record.layers[2:])
    html = plan_page(replace(record, model=bad, device=device, layers=layers, notes=(bad,)))
    assert "<b>x" not in html
    self_contained(html)


def test_the_file_holds_the_page(record: PlanRecord, tmp_path: Path) -> None:
    write_html(record, tmp_path / "plan.html")
    assert (tmp_path / "plan.html").read_text(encoding="utf-8") == plan_page(record)
