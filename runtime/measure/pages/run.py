"""The report as one HTML page: no script, no font, nothing fetched from anywhere."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from crispstream.core.files import write_atomically
from crispstream.runtime.measure.report import (
    Quality,
    RunReport,
    stage_name,
)

from . import frame
from .chart_spread import Histogram
from .charts import stage_kind
from .run_live import live_sections
from .stages import distribution_section, stage_definitions, waterfall_section, with_in_flight
from .words import counted, figure, milliseconds, plural

if TYPE_CHECKING:
    from crispstream.runtime.stream.drift import Drift, FigureDrift

Figures = TypeVar("Figures")
_COLUMNS = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
_TERMS = {
    "p50, p95, p99": "durations that half, 95 % and 99 % of the frames did not exceed; kept in "
    "buckets 2 % wide, so within 1 % of the true ones. Count, mean and maximum are exact. With "
    "fewer than 100 frames p99 is the slowest frame.",
    "frames/s": "frames restored over elapsed time, from the start of the stream until the output "
    "was finished. Loading the model comes before it.",
    "first frame": "from the start of the stream until its first frame was written.",
    "CPU time a frame": "time of all cores over all threads of the process, in the stream only; "
    "more than the elapsed time a frame where cores work side by side.",
    "dropped": "frames captured and not restored. slot: a newer one came before the model was "
    "free. deadline: it could not be in time any more. stop: it waited when the run ended. "
    "source: it knows it never gave them. sink: restored, and not taken by an output. A file is "
    "restored whole.",
    "jitter": "how unevenly frames came out against their own times, smoothed as in RFC 3550.",
    "PSNR": "peak signal-to-noise ratio over all pixels and channels, on restored bytes before "
    "any video encoding, mean over frames. Bicubic is the common one with a = -0.5.",
}

_DRIFT_TERMS = {
    "watched": "about one frame a second is measured: brightness and contrast are the mean and the "
    "standard deviation of its grey levels, sharpness that of its Laplacian over contrast, "
    "texture the mean gradient, noise the standard deviation of what edges and slopes leave.",
    "outside": "a figure lies beyond the range it had over the calibration set by more than a "
    "margin. INT8 arithmetic then works on values it was not fitted to.",
}


def write_html(report: RunReport, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    write_atomically(path, html_page(report).encode())


def html_page(report: RunReport) -> str:
    """Return the page."""
    sections = (
        _tiles(report),
        _quality(report.quality),
        _drift(report.drift),
        *(frame.section(head, content, note) for head, note, content in live_sections(report)),
        _waterfall(report),
        _distribution(report),
        _percentiles(report),
        _definitions(report),
        _machine(report),
    )
    down = "" if report.ladder is None else " and below"
    return frame.page(
        f"{report.model}{down}: restoration report",
        frame.Html(f"{escape(report.source)} &rarr; {escape(report.sink)}"),
        sections,
        frame.footer_line(report.host, report.created, "report", report.schema),
    )


def _tiles(report: RunReport) -> str:
    total = report.stream.latencies.get("total", {})
    return frame.tiles(
        [
            (f"{report.stream.frames_per_second:.1f}", "", "frames/s"),
            (milliseconds(total.get("p50_ms", 0.0)), "ms", "captured to written, median"),
            (milliseconds(total.get("p99_ms", 0.0)), "ms", "captured to written, p99"),
            (f"{report.cpu_ms_per_frame:.0f}", "ms", "CPU time a frame"),
            (f"{report.stream.frames}", "", _frame_words(report)),
        ]
    )


def _frame_words(report: RunReport) -> str:
    words = [f"{plural(report.stream.frames, 'frame')}, {report.stream.dropped} dropped"]
    if report.stream.damaged:
        words.append(f"{report.stream.damaged} damaged")
    if report.stream.stopped:
        words.append("stopped early")
    return ", ".join(words)


def _quality(quality: Quality | None) -> str:
    if quality is None:
        return ""
    gain = f"{quality.gain_db:+.2f}"
    rows = [
        ("bicubic", f"{quality.bicubic_psnr_db:.2f}", "0"),
        (
            "restored",
            f"{quality.restored_psnr_db:.2f}",
            frame.Html(f'<span class="gain">{gain}</span>') if quality.gain_db > 0 else gain,
        ),
    ]
    return frame.section(
        "Quality against the truth",
        frame.table(("method", "PSNR, dB", "over bicubic, dB"), rows),
        f"PSNR, mean over {counted(quality.frames, 'frame')}, on restored bytes before "
        "video encoding.",
    )


def _drift(drift: "Drift | None") -> str:
    if drift is None:
        return ""
    return frame.section(
        "Input against the calibration",
        frame.table(
            ("figure", "calibrated", "seen", "outside"),
            map(_drift_row, drift.figures),
            kind="many",
        ),
        f"{drift.outside} of {counted(drift.watched, 'watched frame')} outside "
        f"({100 * drift.outside_share:.0f} %), {counted(drift.alarms, 'alarm')}.",
    )


def _drift_row(seen: "FigureDrift") -> tuple[object, ...]:
    outside = frame.Html(f'<span class="out">{seen.outside}</span>')
    return (
        seen.figure,
        f"{figure(seen.calibrated_low)} to {figure(seen.calibrated_high)}",
        f"{figure(seen.lowest)} to {figure(seen.highest)}",
        outside if seen.outside else 0,
    )


def _waterfall(report: RunReport) -> str:
    return waterfall_section(_means_ms(report))


def _means_ms(report: RunReport) -> dict[str, float]:
    return {name: row["mean_ms"] for name, row in _stages(report).items()}


def _distribution(report: RunReport) -> str:
    stages = _stages(report)
    rows = [
        Histogram(name, buckets, stages[name]["p50_ms"], stages[name]["p99_ms"], stage_kind(name))
        for name, buckets in _named(report, report.distributions).items()
    ]
    return distribution_section(rows)


def _percentiles(report: RunReport) -> str:
    rows = {
        name: (
            *(milliseconds(row[key]) for key in _COLUMNS),
            f"{row['count']:.0f}",
            milliseconds(row["mean_ms"]),
        )
        for name, row in _stages(report).items()
    }
    total = rows.pop("total", None)
    return frame.section(
        "Latency by stage",
        frame.table(
            ("stage", "p50", "p95", "p99", "max", "frames", "mean"),
            [(name, *cells) for name, cells in rows.items()],
            last=None if total is None else ("total", *total),
            kind="many",
        ),
        "Milliseconds.",
    )


def _stages(report: RunReport) -> dict[str, Mapping[str, float]]:
    return _named(report, report.stream.latencies)


def _named(report: RunReport, by_stage: Mapping[str, Figures]) -> dict[str, Figures]:
    """Return what is known of the stages under the names that people read."""
    live = report.stream.live
    return {stage_name(stage, live=live): figures for stage, figures in by_stage.items()}


def _definitions(report: RunReport) -> str:
    stages = stage_definitions(with_in_flight(_means_ms(report)))
    terms = {**stages, **_TERMS, **(_DRIFT_TERMS if report.drift is not None else {})}
    return frame.section("What the numbers hold", frame.terms(terms))


def _machine(report: RunReport) -> str:
    depths = ", ".join(f"{name} {depth}" for name, depth in report.stream.peak_depths.items())
    run = {
        "model": f"{report.model}, {report.precision}",
        "backend": report.backend,
        "elapsed": f"{report.stream.elapsed_seconds:.2f} s; first frame after "
        f"{report.stream.first_frame_ms:.0f} ms",
        "longest queues": f"{depths} frames" if depths else "none",
    }
    terms = frame.terms({**run, **frame.host_terms(report.host)})
    return frame.section("The run and the machine", terms)
