"""The page of a profile: a stream's stages and queues, and the layers of its network."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.measure.figures import Observer
from crispstream.runtime.measure.pages.frame import breakable
from crispstream.runtime.measure.pages.profile import profile_page, write_html
from crispstream.runtime.measure.profiling.record import LayerTime, ProfileRecord
from crispstream.runtime.measure.report import STAGE_NOTES
from tests.helpers.layer_records import GRAPH, plan_record, profile_record
from tests.helpers.markup import Markup, plain, self_contained
from tests.helpers.records import durations, spread_of


@pytest.fixture(scope="module")
def record() -> ProfileRecord:
    return profile_record()


@pytest.fixture(scope="module")
def page(record: ProfileRecord) -> Markup:
    return self_contained(profile_page(record, plan_record()))


def test_the_way_of_a_frame_is_told_in_words(page: Markup) -> None:
    assert "75\xa0%: of 28.60 ms from captured to written the network takes 21.50." in page.text
    way = "On average a frame takes 29.5 ms from captured to written: it waits in queues for 2."
    assert way in page.text
    assert "is in the network for 21.8 ms (74\xa0%) and is written for 4.36 ms" in page.text
    assert "Over the run the network was busy 64\xa0% of the time.On average" in page.text
    assert "in flight" not in page.text


def test_only_a_busy_network_is_said_to_set_the_rate(record: ProfileRecord) -> None:
    for policy in ("latest", "all"):
        run = {**record.run, "policy": policy}
        for busy, said in ((0.3, False), (0.64, False), (0.89, False), (0.91, True), (1.2, True)):
            text = Markup(profile_page(replace(record, run=run, engine_busy=busy))).text
            assert ("The network sets the rate." in text) == said
            assert "set elsewhere" not in text
            assert "120\xa0%" not in text


def test_what_of_a_frames_way_is_in_no_stage_has_a_bar(record: ProfileRecord) -> None:
    stages = {**record.stages, "total": spread_of(durations(60.0, 240))}
    html = profile_page(replace(record, stages=stages))
    means_ms = {name: spread.mean_ms for name, spread in stages.items()}
    whole_ms = means_ms.pop("total")
    rest_ms = whole_ms - sum(ms for name, ms in means_ms.items() if name != "decode")
    said = f"is in flight while the loop is with another frame for {rest_ms:.1f} ms"
    assert said in html
    chart = html[html.index('aria-labelledby="waterfall') : html.index("<h2>Over the run")]
    bars = re.findall(r'class="(\w+)" x="([\d.]+)%" y="\d+" width="([\d.]+)%"', chart)
    places = [(kind, float(left), float(left) + float(width)) for kind, left, width in bars]
    assert [kind for kind, _, _ in places].count("flight") == 1
    for (_, _, end), (_, begin, _) in itertools.pairwise(places[:-1]):
        assert begin == pytest.approx(end, abs=0.36)  # the shortest bar can be seen
    assert places[-1] == ("all", 0.0, pytest.approx(100, abs=0.01))
    assert places[-2][2] == pytest.approx(100, abs=0.4)  # what is shown adds up to the total
    assert "<dt>in flight, loop with another frame</dt>" in html


def test_tiles_do_not_tell_one_percentage_twice(record: ProfileRecord) -> None:
    def tiles(changed: ProfileRecord) -> list[str]:
        html = profile_page(changed)
        return re.findall(r'class="tile[^"]*"><b>([\d.]+\xa0%)', html)

    assert tiles(record) == ["75\xa0%", "64\xa0%"]
    assert tiles(replace(record, engine_busy=0.75)) == ["75\xa0%"]
    kept = replace(record, run={**record.run, "policy": "all"}, engine_busy=0.9)
    assert tiles(kept) == ["90\xa0%"]


def test_where_all_frames_are_kept_the_rate_counts(record: ProfileRecord) -> None:
    run = {**record.run, "policy": "all", "live": False}
    text = Markup(profile_page(replace(record, run=run, engine_busy=0.97))).text
    assert "97\xa0%: of the elapsed time the loop was with the network;" in text
    assert "Every frame was kept, so what counts is the rate, not the wait." in text


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
    medians = [layer.spread.median_ms for layer in record.layers.layers]
    dearest = record.layers.layers[medians.index(max(medians))]
    first = table[table.index("<tbody>") :]
    assert first.index(f'<th scope="row">{breakable(dearest.name)}<small>FusedConv fp32, ') < 60


def test_layers_beyond_the_table_are_summed(record: ProfileRecord) -> None:
    assert record.layers is not None
    many = tuple(
        LayerTime(f"/l{index}", (f"/l{index}",), "Conv", "fp32", (1,), spread_of([1.0]), 0.01)
        for index in range(100)
    )
    html = profile_page(replace(record, layers=replace(record.layers, layers=many)))
    assert '<tr class="sum"><th scope="row">76 more</th><td>76.0</td><td>76\xa0%</td>' in plain(
        html
    )
    bars = html[html.index('class="bars"') : html.index("The dearest layers")]
    assert bars.count("<li>") < 50


def test_a_plan_sets_layers_against_their_roofs(record: ProfileRecord, page: Markup) -> None:
    assert "of the roof" in page.text
    assert "Roofline of Example board 8 GB, 25 W" in page.text
    alone = profile_page(record)
    assert "of the roof" not in alone
    assert "Roofline" not in alone


def test_a_plan_of_measured_rates_sets_layers_against_an_estimate(record: ProfileRecord) -> None:
    plan = plan_record()
    html = profile_page(record, replace(plan, device=replace(plan.device, measured=True)))
    assert '<th scope="col">measured / estimate</th>' in html
    assert "of the roof" not in html
    assert "of the estimate" not in html


def test_notes_and_counts_are_written_for_people(record: ProfileRecord) -> None:
    assert record.layers is not None
    one = replace(
        record,
        run={**record.run, "frames": 1, "captured": 1},
        layers=replace(record.layers, frames=1),
        observer=Observer(0.0000001, "not at all"),
        notes=("`infer` is how long the loop was held <by each>",),
    )
    html = profile_page(one)
    text = self_contained(html).text
    assert "<code>infer</code> is how long the loop was held &lt;by each&gt;" in html
    for words in ("1frame, 9 dropped", "1 frame captured", "Medians of 1 frame,"):
        assert words in text
    assert "under 0.001\xa0% of the time: not at all" in text
    assert "`" not in text


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
