"""What a scrape says of a stream: counts, states, histograms, rungs, alarms; parsed back."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("prometheus_client")

from crispstream.core.clock import FakeClock
from crispstream.runtime.frame import Frame
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.metrics.exposition import Exposition
from crispstream.runtime.measure.metrics.families import FAMILIES
from crispstream.runtime.measure.metrics.samples import STAGES_TOLD
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.drift import DriftWatch
from crispstream.runtime.stream.health import STATES
from crispstream.runtime.stream.ladder.use import Tally
from crispstream.runtime.stream.watched import WATCHED_STATES, Watched
from tests.helpers.metrics import MS, fake_stream, labelled, scraped, value
from tests.helpers.streams import BreakingSource

RUNGS = ("edge-s fp32", "edge-n fp32", "bicubic")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bicubic() -> Iterator[Restorer]:
    with Restorer.open("bicubic") as restorer:
        yield restorer


def test_frames_are_told_by_what_became_of_them(clock) -> None:
    watched, ledger, stages = fake_stream(clock, budget_ms=33)
    for _ in range(10):
        ledger.capture()
    ledger.drop("slot", 2)
    ledger.drop("deadline")
    ledger.drop("stop")
    ledger.health.lose(4)
    ledger.sink_losses = lambda: 5
    for age_ms in (10, 20, 40):
        ledger.restore(age_ms * MS, "edge-n fp32")
        stages.record("write", MS)
    told = scraped(watched)
    counts = ("captured_frames_total", "restored_frames_total", "written_frames_total")
    assert [value(told, name) for name in counts] == [10, 3, 3]
    assert value(told, "late_frames_total") == 1
    causes = labelled(told, "dropped_frames_total", "cause")
    assert causes == {"source": 4, "slot": 2, "deadline": 1, "stop": 1, "sink": 5}
    assert value(told, "budget_seconds") == 0.033


def test_times_and_depths_are_those_of_this_moment(clock) -> None:
    watched, ledger, _ = fake_stream(clock)
    ledger.depths = lambda: {"slot": 1, "queue": 4}
    clock.advance(500 * MS)
    assert value(scraped(watched), "idle_seconds") == 0.5
    for _ in range(40):
        clock.advance(50 * MS)
        ledger.restore(MS, "edge-n fp32")
    clock.advance(250 * MS)
    told = scraped(watched)
    assert value(told, "idle_seconds") == 0.25
    assert value(told, "frames_per_second") == pytest.approx(20, rel=0.25)
    assert labelled(told, "waiting_frames", "place") == {"slot": 1, "queue": 4}
    with pytest.raises(KeyError):
        value(told, "budget_seconds")  # there is none


def test_a_stage_is_a_histogram_with_all_its_counts(clock) -> None:
    watched, ledger, stages = fake_stream(clock)
    watched.turns = Latencies(("turn",))
    for milliseconds in (3, 9, 20_000):
        stages.record("infer", milliseconds * MS)
        ledger.restore(milliseconds * MS, "edge-n fp32")
        watched.turns.record("turn", milliseconds * MS)
    told = scraped(watched)
    for name, labels in (
        ("stage_seconds", {"stage": "infer"}),
        ("stage_seconds", {"stage": "turn"}),
        ("frame_age_seconds", {}),
    ):
        edges = {le: value(told, f"{name}_bucket", le=le, **labels) for le in ("0.004", "0.012")}
        assert edges == {"0.004": 1, "0.012": 2}
        assert value(told, f"{name}_bucket", le="10.0", **labels) == 2
        assert value(told, f"{name}_bucket", le="+Inf", **labels) == 3
        assert value(told, f"{name}_count", **labels) == 3
        assert value(told, f"{name}_sum", **labels) == 20.012
    assert set(labelled(told, "stage_seconds_count", "stage")) == set(STAGES_TOLD)


def test_a_stream_is_in_one_state(clock) -> None:
    watched, ledger, _ = fake_stream(clock)
    for state in STATES:
        ledger.health.enter(state)
        told = labelled(scraped(watched), "camera_state", "state")
        assert told == {name: float(name == state) for name in WATCHED_STATES}
    watched.outcome = "failed"
    assert labelled(scraped(watched), "camera_state", "state")["failed"] == 1
    assert labelled(scraped(Watched("new")), "camera_state", "state")["connecting"] == 1


def test_a_source_that_came_back_is_counted(clock) -> None:
    watched, ledger, _ = fake_stream(clock)
    for state in ("live", "lost", "connecting", "live"):
        ledger.health.enter(state)
    watched.source = BreakingSource(1)
    told = scraped(watched)
    assert value(told, "reconnects_total") == 1
    assert value(told, "damaged_pieces_total") == 2


def test_one_model_is_its_own_rung(clock, bicubic) -> None:
    watched, ledger, _ = fake_stream(clock)
    watched.model = bicubic
    assert labelled(scraped(watched), "rung", "rung") == {}
    for _ in range(3):
        ledger.restore(MS, bicubic.rung)
    told = scraped(watched)
    assert labelled(told, "rung", "rung") == {"bicubic": 1}
    assert labelled(told, "rung_frames_total", "rung") == {"bicubic": 3}
    facts = {"backend": "bicubic", "model": "bicubic", "precision": bicubic.precision}
    assert value(told, "build_info", version="1.2.3", **facts) == 1
    assert labelled(told, "ladder_changes_total", "camera") == {}


def test_of_a_ladder_every_rung_is_told_and_one_is_in_use(clock) -> None:
    watched, ledger, _ = fake_stream(clock, budget_ms=33)
    tally = Tally(RUNGS, 33)
    watched.ladder = tally.use
    tally.charge(clock())
    tally.switch(2, "too slow")
    for number in (0, 2, 2):
        tally.restored(number)
        ledger.restore(MS, RUNGS[number])
    told = scraped(watched)
    assert labelled(told, "rung", "rung") == dict(zip(RUNGS, (0, 0, 1), strict=True))
    assert labelled(told, "rung_frames_total", "rung") == dict(zip(RUNGS, (1, 0, 2), strict=True))
    assert value(told, "ladder_changes_total") == 1


def test_the_drift_alarm_is_raised_and_over(clock) -> None:
    watched, _, _ = fake_stream(clock)
    assert labelled(scraped(watched), "drift_alarm", "camera") == {}
    watched.drift = DriftWatch({"brightness": (40.0, 80.0)})
    seen = []
    for second, level in enumerate([60] * 4 + [12] * 5 + [60] * 8 + [12] * 5):
        pixels = np.full((8, 8, 3), level, np.uint8)
        watched.drift(Frame(pixels, second, second, Fraction(1), 0))
        told = scraped(watched)
        seen.append((value(told, "drift_alarm"), value(told, "drift_alarms_total")))
    assert seen[3] == (0, 0)
    assert seen[8] == (1, 1)
    assert seen[16] == (0, 1)
    assert seen[-1] == (1, 2)


def test_every_metric_is_told_with_its_kind_and_meaning(clock) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    text, content_type = Exposition(lambda: (fake_stream(clock)[0],), "1").text()
    assert content_type.startswith("text/plain; version=0.0.4")
    kinds = {
        family.name.removesuffix("_total"): (family.type, family.documentation)
        for family in text_string_to_metric_families(text.decode())
    }
    expected = {each.name.removesuffix("_total"): (each.kind, each.help) for each in FAMILIES}
    assert kinds == expected


def test_names_are_those_that_prometheus_asks_for() -> None:
    for family in FAMILIES:
        assert family.name.startswith("crispstream_")
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert not family.name.endswith(("_ms", "_milliseconds", "_bucket", "_sum", "_count"))
        assert family.help.endswith(".")
    histograms = [family for family in FAMILIES if family.kind == "histogram"]
    assert all(family.name.endswith("_seconds") for family in histograms)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_openmetrics_is_spoken_to_who_asks_for_it(clock) -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    watched, ledger, stages = fake_stream(clock)
    ledger.restore(MS, "edge-n fp32")
    stages.record("infer", MS)
    accept = "application/openmetrics-text;version=1.0.0"
    text, content_type = Exposition(lambda: (watched,), "1").text(accept)
    assert content_type.startswith("application/openmetrics-text")
    families = list(text_string_to_metric_families(text.decode()))
    assert len(families) == len(FAMILIES)


def test_labels_may_hold_any_character(clock) -> None:
    name = 'back "yard"\\ \n ünï'
    watched, _, _ = fake_stream(clock, name)
    assert value(scraped(watched), "captured_frames_total", camera=name) == 0


def test_a_day_tells_of_no_more_series_than_its_first_minute(clock) -> None:
    watched, ledger, stages = fake_stream(clock, budget_ms=33)
    tally = Tally(RUNGS, 33)
    watched.ladder = tally.use
    exposition = Exposition(lambda: (watched,), "1")
    seen, sizes = [], []
    for second in range(24 * 3600):
        clock.advance(1000 * MS)
        if second % 7 == 0:
            tally.charge(clock())
            tally.switch(second % 3, "it is so")
            ledger.health.enter(STATES[1 + second % 3])
        if second % 3600 == 60 or second < 3:
            text, _ = exposition.text()
            sizes.append(len(text))
            seen.append(frozenset(line.split(" ")[0] for line in text.decode().splitlines()))
        ledger.capture()
        ledger.restore((second % 97) * MS, RUNGS[second % 3])
        stages.record("infer", (second % 89) * MS)
    assert len(set(seen)) == 1
    assert max(sizes[-20:]) - min(sizes[-20:]) < 200  # digits
    assert value(scraped(watched), "restored_frames_total") == 24 * 3600
