"""What the HTML page and the terminal tell of a live stream, and that files are not told of."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.pages.run import html_page
from crispstream.runtime.measure.pages.run_live import live_sections
from crispstream.runtime.measure.report import RunReport, report_from_run
from crispstream.runtime.measure.summary import summary_lines
from crispstream.runtime.stream.health import Event
from crispstream.runtime.stream.ladder.use import LadderUse, RungUse
from crispstream.runtime.stream.loop import STAGES
from crispstream.runtime.stream.outcome import SinkOutcome, StreamReport

RUNGS = (
    RungUse("edge-s fp32", 10, 4, 1.5, 0, 21.0, left_out=False),
    RungUse("edge-n int8-cpu", 80, 1, 8.0, 1, 9.5, left_out=False),
)


def _latencies() -> Latencies:
    latencies = Latencies(STAGES)
    for stage in STAGES:
        latencies.record(stage, 5_000_000)
    return latencies


def _sink(name: str, **changes: object) -> SinkOutcome:
    whole = SinkOutcome(name, 90, 0, 1, "", _latencies().summary(), {})
    return replace(whole, **changes)


@pytest.fixture
def live() -> RunReport:
    latencies = _latencies()
    stream = StreamReport(
        frames=90,
        dropped=10,
        damaged=0,
        stopped=False,
        elapsed_seconds=10.0,
        frames_per_second=9.0,
        first_frame_ms=30.0,
        cpu_seconds=3.0,
        latencies=latencies.summary(),
        peak_depths={"slot": 1, "queue": 1},
        histograms=(latencies,),
        live=True,
        policy="deadline",
        captured=100,
        drops={"source": 2, "slot": 7, "deadline": 3, "stop": 0},
        late=5,
        missed_in_a_row=4,
        intervals=latencies.summary()["infer"],
        jitter_ms=1.25,
        state="live",
        reconnects=1,
        events=(Event(0.0, "live", ""), Event(3.0, "lost", "<refused>"), Event(4.0, "live", "")),
        sinks=(
            _sink("out.mp4"),
            _sink("timecode://", dropped=1, figures={"latency_p50_ms": 12.345}),
            _sink("rtsp://***@127.0.0.1/x", error="the server went away"),
        ),
    )
    return report_from_run(
        stream,
        source="rtsp://admin:secret@127.0.0.1/door",
        sink="out.mp4",
        model="edge-s",
        precision="fp32",
        backend="onnxruntime-cpu",
        budget_ms=33,
        ladder=LadderUse(33.0, RUNGS, 1, ()),
    )


def test_the_page_tells_of_losses_outputs_rungs_and_states(live: RunReport) -> None:
    page = html_page(live)
    for words in (
        "dropped: deadline</th><td>3<",
        "later than 33 ms</th><td>5<",
        "latency_p50_ms 12.3",
        "the server went away",
        "edge-n int8-cpu</th><td>80</td><td>1</td><td>8.0</td>",
        "Reconnects: 1.",
        "&lt;refused&gt;",
        "jitter 1.2 ms",
    ):
        assert words in page
    assert "<refused>" not in page
    assert "secret" not in page


def test_the_terminal_tells_the_same(live: RunReport) -> None:
    text = "\n".join(summary_lines(live))
    for words in (
        "dropped by cause: source 2, slot 7, deadline 3; 100 frames were captured",
        "budget 33 ms: 5 frames late, at most 4 missed in a row",
        "edge-s fp32 1.5 s (10 frames, 4 missed)",
        "reconnects of the source: 1; it was live at the end",
        "timecode://: 90 written, 1 left out, latency_p50_ms 12.35",
        "rtsp://***@127.0.0.1/x: 90 written, failed: the server went away",
    ):
        assert words in text
    Console(file=io.StringIO()).print(text)


def test_waiting_for_a_camera_is_not_shown_as_work(live: RunReport) -> None:
    page = html_page(live)
    chart = page[page.index('aria-labelledby="waterfall') : page.index("How latency is spread")]
    assert "next frame" not in chart
    assert ">decode<" not in chart
    assert '<tr><th scope="row">next frame</th>' in page
    assert "<dt>next frame</dt>" in page


def test_frames_read_ahead_of_a_limit_are_not_called_dropped(live: RunReport) -> None:
    drops = {"source": 0, "slot": 0, "deadline": 0, "stop": 3, "sink": 0}
    stream = replace(live.stream, live=False, policy="all", dropped=0, drops=drops)
    assert "dropped by cause" not in "".join(summary_lines(replace(live, stream=stream)))


def test_json_holds_the_books(live: RunReport) -> None:
    content = live.as_json()
    assert content["source"] == "rtsp://***@127.0.0.1/door"
    assert content["events"][1] == {"seconds": 3.0, "state": "lost", "why": "<refused>"}
    assert content["ladder"]["rungs"][1]["frames"] == 80
    assert content["sinks"][1]["figures"] == {"latency_p50_ms": 12.345}
    assert content["captured"] == content["frames"] + content["dropped"] == 100
    assert (content["live"], content["policy"]) == (True, "deadline")


def test_a_file_that_went_through_whole_has_none_of_it(live: RunReport) -> None:
    stream = replace(
        live.stream,
        live=False,
        drops=dict.fromkeys(live.stream.drops, 0),
        sinks=(_sink("out.mp4"),),
        events=(),
    )
    assert live_sections(replace(live, stream=stream, budget_ms=None, ladder=None)) == []
