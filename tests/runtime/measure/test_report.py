import io
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.pages.run import html_page, write_html
from crispstream.runtime.measure.pages.words import milliseconds
from crispstream.runtime.measure.report import (
    SCHEMA,
    STAGE_NOTES,
    Quality,
    RunReport,
    report_from_run,
    write_json,
)
from crispstream.runtime.measure.summary import print_table
from crispstream.runtime.stream.drift import Drift, FigureDrift
from crispstream.runtime.stream.loop import STAGES, StreamReport
from tests.helpers.markup import Markup

MS = 1_000_000
KEYS = {
    "schema", "source", "sink", "model", "precision", "backend", "frames", "dropped", "damaged",
    "stopped", "elapsed_seconds", "frames_per_second", "first_frame_ms", "cpu_seconds",
    "cpu_ms_per_frame", "stages", "peak_depths", "host", "created", "distributions", "quality",
    "drift", "captured", "drops", "late", "missed_in_a_row", "jitter_ms", "intervals", "state",
    "reconnects", "events", "sinks", "budget_ms", "ladder", "live", "policy", "kind",
}  # fmt: skip
DRIFT = Drift(
    watched=12,
    outside=9,
    alarms=1,
    figures=(
        FigureDrift("brightness", 35.0, 180.25, lowest=12.0, highest=60.0, outside=9),
        FigureDrift("noise", 0.4, 3.2, lowest=1.0, highest=2.0, outside=0),
    ),
)


def latencies_of(names: tuple[str, ...], frames: int = 40) -> Latencies:
    latencies = Latencies(names)
    for frame in range(frames):
        for index, name in enumerate(names):
            latencies.record(name, (index + 1) * MS + frame * MS // 10)
    return latencies


def stream_report(latencies: Latencies) -> StreamReport:
    return StreamReport(
        frames=40,
        dropped=3,
        damaged=0,
        stopped=False,
        elapsed_seconds=2.0,
        frames_per_second=20.0,
        first_frame_ms=70.0,
        cpu_seconds=3.0,
        latencies=latencies.summary(),
        peak_depths={"slot": 2, "queue": 1},
        histograms=(latencies,),
        captured=43,
        drops={"source": 0, "slot": 2, "deadline": 1, "stop": 0},
        intervals=latencies.summary()["infer"],
    )


@pytest.fixture
def report() -> RunReport:
    latencies = latencies_of(STAGES)
    return report_from_run(
        stream_report(latencies),
        source="in.mp4",
        sink="out.mp4",
        model="edge-s",
        precision="fp32",
        backend="onnxruntime-cpu",
    )


def test_every_stage_of_the_loop_is_explained() -> None:
    assert tuple(STAGE_NOTES) == STAGES


def test_json_has_the_keys_of_its_schema(report: RunReport, tmp_path: Path) -> None:
    write_json(report, tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    assert set(content) == KEYS
    assert content["schema"] == SCHEMA == 1
    assert list(content["stages"]) == list(STAGES)
    assert set(content["stages"]["infer"]) == {
        "count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms",
    }  # fmt: skip
    assert content["cpu_ms_per_frame"] == 75.0
    told = {"processor", "cores", "system", "python", "packages", "gpu", "driver"}
    assert set(content["host"]) == told
    assert {"crispstream", "onnxruntime", "av", "numpy"} <= set(content["host"]["packages"])


def test_distributions_hold_every_frame(report: RunReport) -> None:
    for name in STAGES:
        assert sum(count for _, count in report.distributions[name]) == 40
        uppers = [upper_ms for upper_ms, _ in report.distributions[name]]
        assert uppers == sorted(uppers)
        assert uppers[-1] == pytest.approx(report.stream.latencies[name]["max_ms"], rel=0.02)


def test_quality_is_written_with_its_gain(report: RunReport, tmp_path: Path) -> None:
    with_quality = replace(report, quality=Quality(30, 28.0, 28.75))
    write_json(with_quality, tmp_path / "report.json")
    quality = json.loads((tmp_path / "report.json").read_text())["quality"]
    assert quality == {
        "frames": 30, "bicubic_psnr_db": 28.0, "restored_psnr_db": 28.75, "gain_db": 0.75,
    }  # fmt: skip
    assert "+0.75" in html_page(with_quality)


def test_infinite_psnr_becomes_null_in_json(report: RunReport, tmp_path: Path) -> None:
    write_json(replace(report, quality=Quality(1, 28.0, float("inf"))), tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()
    assert json.loads(text)["quality"]["restored_psnr_db"] is None
    assert "Infinity" not in text


def test_drift_is_written_with_its_share_and_worst_figure(
    report: RunReport, tmp_path: Path
) -> None:
    write_json(replace(report, drift=DRIFT), tmp_path / "report.json")
    drift = json.loads((tmp_path / "report.json").read_text())["drift"]
    assert set(drift) == {"watched", "outside", "alarms", "figures", "outside_share", "worst"}
    assert (drift["watched"], drift["outside"], drift["alarms"]) == (12, 9, 1)
    assert (drift["outside_share"], drift["worst"]) == (0.75, "brightness")
    assert drift["figures"][0] == {
        "figure": "brightness", "calibrated_low": 35.0, "calibrated_high": 180.25,
        "lowest": 12.0, "highest": 60.0, "outside": 9,
    }  # fmt: skip


def test_drift_is_shown_to_people(report: RunReport) -> None:
    out = io.StringIO()
    print_table(replace(report, drift=DRIFT), Console(file=out, width=120))
    said = "9 of 12 watched frames outside of the calibration, mostly in brightness: 12, "
    assert said + "calibrated 35 to 180" in out.getvalue()
    page = Markup(html_page(replace(report, drift=DRIFT)))
    assert page.open == []
    for words in ("9 of 12 watched frames", "(75 %), 1 alarm.", "35 to 180", "0.4 to 3.2"):
        assert words in page.text


def test_drift_is_left_out_where_nothing_was_watched(report: RunReport, tmp_path: Path) -> None:
    write_json(report, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["drift"] is None
    out = io.StringIO()
    print_table(report, Console(file=out, width=120))
    for text in (out.getvalue(), html_page(report)):
        assert "calibrat" not in text


def test_a_stream_inside_is_said_to_be(report: RunReport) -> None:
    out = io.StringIO()
    inside = Drift(3, 0, 0, (FigureDrift("noise", 0.4, 3.2, lowest=1.0, highest=2.0, outside=0),))
    print_table(replace(report, drift=inside), Console(file=out, width=120))
    assert "0 of 3 watched frames outside of the calibration\n" in out.getvalue()


def test_page_is_well_formed_and_needs_nothing_else(report: RunReport, tmp_path: Path) -> None:
    write_html(report, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Markup(html)
    assert page.open == []
    assert page.references == []
    assert "script" not in page.tags
    assert not re.search(r"https?:|url\(|@import|//\w", html)
    assert len(page.ids) == len(set(page.ids))
    assert "$" not in html


def test_page_shows_every_stage_in_both_charts_and_the_table(report: RunReport) -> None:
    html = html_page(report)
    for stage in STAGES:
        assert f">{stage}</text>" in html
        assert f'<span class="name">{stage}</span>' in html
        assert f'<th scope="row">{stage}</th>' in html
        assert f"<dt>{stage}</dt>" in html
    assert f"{milliseconds(report.stream.latencies['infer']['p99_ms'])}</td>" in html


def test_charts_have_names_for_those_who_cannot_see_them(report: RunReport) -> None:
    html = html_page(report)
    assert 'aria-labelledby="waterfall-title waterfall-desc"' in html
    assert '<title id="waterfall-title">' in html
    assert '<desc id="waterfall-desc">' in html
    assert 'aria-label="Distribution of each stage&#x27;s latency"' in html


def test_names_from_outside_are_escaped(report: RunReport) -> None:
    html = html_page(replace(report, source="<script>a&b</script>.mp4"))
    assert "<script>" not in html
    assert "&lt;script&gt;a&amp;b" in html


def test_page_without_histograms_leaves_the_chart_out(report: RunReport) -> None:
    html = html_page(replace(report, distributions={}))
    assert "How latency is spread" not in html
    assert Markup(html).open == []


def test_a_run_without_frames_still_reports(tmp_path: Path) -> None:
    latencies = Latencies(STAGES)
    empty = replace(stream_report(latencies), frames=0, frames_per_second=0.0)
    report = report_from_run(empty, source="a", sink="b", model="m", precision="p", backend="c")
    write_html(report, tmp_path / "report.html")
    assert report.cpu_ms_per_frame == 0.0
    assert report.distributions == {}


def test_waterfall_bars_follow_one_another(report: RunReport) -> None:
    html = html_page(report)
    chart = html[html.index('aria-labelledby="waterfall') : html.index("How latency is spread")]
    found = re.findall(r'x="([\d.]+)%" y="\d+" width="([\d.]+)%"', chart)
    bars = [(float(left), float(width)) for left, width in found]
    assert len(bars) == len(STAGES)
    for (left, width), (following, _) in itertools.pairwise(bars[:-1]):
        assert following == pytest.approx(left + width, abs=0.01)
    assert bars[-1][0] == pytest.approx(bars[1][0])  # the total begins where decode ends


def test_table_lists_stages_and_percentiles(report: RunReport) -> None:
    out = io.StringIO()
    with_quality = replace(report, quality=Quality(30, 28.0, 28.75))
    print_table(with_quality, Console(file=out, width=120))
    text = out.getvalue()
    for stage in STAGES:
        row = next(line for line in text.splitlines() if f" {stage} " in line)
        assert f"{report.stream.latencies[stage]['p95_ms']:.2f}" in row
    assert "20.0 frames/s" in text
    assert "3 dropped" in text
    assert "+0.75 dB" in text
