"""The page of a profile: a stream's stages and queues, and the layers of its network."""

from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.measure.pages.frame import breakable
from crispstream.runtime.measure.pages.profile import profile_page, write_html
from crispstream.runtime.measure.profiling.record import LayerTime, ProfileRecord
from crispstream.runtime.measure.report import STAGE_NOTES
from tests.helpers.layer_records import GRAPH, plan_record, profile_record
from tests.helpers.markup import Markup, self_contained
from tests.helpers.records import spread_of


@pytest.fixture(scope="module")
def record() -> ProfileRecord:
    return profile_record()


@pytest.fixture(scope="module")
def page(record: ProfileRecord) -> Markup:
    return self_contained(profile_page(record, plan_record()))


def test_the_way_of_a_frame_is_told_in_words(page: Markup) -> None:
    assert "Pipeline efficiency: 75\xa0%" in page.text
    assert "a typical frame is in the network for 21.5 ms (75\xa0%)" in page.text
    assert "it waits in queues for 2." in page.text
    assert "the network was busy 64\xa0% of the time: the rate is set elsewhere." in page.text


def test_where_all_frames_are_kept_the_rate_counts(record: ProfileRecord) -> None:
    run = {**record.run, "policy": "all", "live": False}
    text = Markup(profile_page(replace(record, run=run, engine_busy=0.97))).text
    assert "Every frame was kept, so the rate counts, not the wait." in text
    assert "the network was busy 97\xa0% of the time: it sets the rate." in text
    assert "Pipeline efficiency: 97\xa0%" in text


def test_every_stage_is_defined_and_has_its_figures(record: ProfileRecord, page: Markup) -> None:
    html = profile_page(record)
    for stage in STAGE_NOTES:
        name = "next frame" if stage == "decode" else stage
        assert f"<dt>{name}</dt>" in html
        assert f'<th scope="row">{name}</th>' in html
    assert STAGE_NOTES["infer"] in page.text


def test_losses_are_told_by_cause_the_worst_first(record: ProfileRecord) -> None:
    html = profile_page(record)
    slot, source = (html.index(f'<th scope="row">{cause}</th>') for cause in ("slot", "source"))
    assert slot < source
    assert '<th scope="row">slot</th><td>9</td><td>3.6\xa0%</td>' in html
    run = {**record.run, "live": False, "drops": {"slot": 0}}
    assert "Frames lost" not in profile_page(replace(record, run=run))


def test_queues_and_latency_are_shown_over_the_run(page: Markup) -> None:
    for words in ("frames in slot, before the restorer", "frames in queue, before an output"):
        assert words in page.text
    assert "at most 3" in page.text


def test_layers_come_in_order_and_then_dearest_first(record: ProfileRecord) -> None:
    assert record.layers is not None
    html = profile_page(record)
    bars = html[html.index('class="bars"') : html.index("The dearest layers")]
    places = [bars.index(f">{breakable(layer.name)}</span>") for layer in record.layers.layers]
    assert places == sorted(places)
    table = html[html.index("The dearest layers") :]
    means = [layer.spread.mean_ms for layer in record.layers.layers]
    dearest = record.layers.layers[means.index(max(means))]
    first = table[table.index("<tbody>") :]
    assert first.index(f'<th scope="row">{breakable(dearest.name)}<small>FusedConv fp32, ') < 60


def test_layers_beyond_the_table_are_summed(record: ProfileRecord) -> None:
    assert record.layers is not None
    many = tuple(
        LayerTime(f"/l{index}", (f"/l{index}",), "Conv", "fp32", (1,), spread_of([1.0]), 0.01)
        for index in range(100)
    )
    html = profile_page(replace(record, layers=replace(record.layers, layers=many)))
    assert '<tr class="sum"><th scope="row">76 more</th><td>76.0</td><td>76\xa0%</td>' in html
    bars = html[html.index('class="bars"') : html.index("The dearest layers")]
    assert bars.count("<li>") < 50


def test_a_plan_sets_layers_against_their_roofs(record: ProfileRecord, page: Markup) -> None:
    assert "of the roof" in page.text
    assert "Roofline of Example board 8 GB, 25 W" in page.text
    alone = profile_page(record)
    assert "of the roof" not in alone
    assert "Roofline" not in alone


def test_a_plan_of_another_graph_is_refused(record: ProfileRecord) -> None:
    plan = replace(plan_record(), graph_sha256="ab" * 32)
    with pytest.raises(UsageError, match=f"of graph abababababab .*{GRAPH[:12]}; plan the bundle"):
        profile_page(record, plan)


def test_what_measuring_cost_is_told(page: Markup) -> None:
    assert "0.21\xa0% of the time: the stream ran with and without it in turns" in page.text
    assert "Layers are timed in runs of their own" in page.text


def test_odd_records_have_pages(record: ProfileRecord) -> None:
    assert record.layers is not None
    nothing = replace(
        record,
        run={"policy": "latest"},
        stages={},
        timeline=(),
        depths=(),
        engine_ms=0.0,
        end_to_end_ms=0.0,
        engine_busy=0.0,
        layers=None,
        graph_sha256="",
    )
    assert "none: bicubic" in self_contained(profile_page(nothing)).text
    without_layers = replace(record, layers=replace(record.layers, layers=()))
    assert "Layers in order" not in self_contained(profile_page(without_layers)).text
    zero = {name: spread_of([0.0]) for name in record.stages}
    self_contained(profile_page(replace(record, stages=zero)))


def test_names_of_layers_are_escaped(record: ProfileRecord) -> None:
    assert record.layers is not None
    bad = '/body/"<img src=x>&'
    layers = (replace(record.layers.layers[0], name=bad, nodes=(bad,)),)
    html = profile_page(replace(record, layers=replace(record.layers, layers=layers)))
    assert "<img" not in html
    assert "&lt;img src=x&gt;&amp;" in html
    assert "secret" not in html


def test_the_file_holds_the_page(record: ProfileRecord, tmp_path: Path) -> None:
    write_html(record, tmp_path / "profile.html", plan_record())
    text = (tmp_path / "profile.html").read_text(encoding="utf-8")
    assert text == profile_page(record, plan_record())
