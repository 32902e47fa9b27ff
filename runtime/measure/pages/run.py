"""The report as one HTML page: no script, no font, nothing fetched from anywhere."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, TypeVar

from crispstream.core.files import write_atomically
from crispstream.runtime.measure.report import (
    NEXT_FRAME,
    NEXT_FRAME_NOTE,
    STAGE_NOTES,
    WAITING_STAGES,
    Quality,
    RunReport,
    stage_name,
)

from . import charts
from .run_live import live_sections

if TYPE_CHECKING:
    from crispstream.runtime.stream.drift import Drift, FigureDrift

Figures = TypeVar("Figures")
_FRAME = Path(__file__).with_name("frame.html")
_MS = "<small>ms</small>"
_COLUMNS = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
_KEY_WORK = '<li><i class="work"></i>work on the frame</li>'
_KEY_WAIT = '<li><i class="wait"></i>waiting in a queue</li>'
_KEY_TOTAL = '<li><i class="all"></i>captured to written</li>'
_KEY_MARKS = (
    '<li><i class="rule"></i>median (p50)</li><li><i class="rule dashed"></i>99th percentile</li>'
)

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
        *(_section(*section) for section in live_sections(report)),
        _waterfall(report),
        _distribution(report),
        _percentiles(report),
        _definitions(report),
        _machine(report),
    )
    down = "" if report.ladder is None else " and below"
    title = f"{report.model}{down}: restoration report"
    return Template(_FRAME.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        heading=escape(title),
        route=f"{escape(report.source)} &rarr; {escape(report.sink)}",
        body="\n".join(section for section in sections if section),
        footer=f"crispstream {escape(report.host.packages['crispstream'])}, "
        f"{escape(report.created)}, report schema {report.schema}",
    )


def _tiles(report: RunReport) -> str:
    total = report.stream.latencies.get("total", {})
    tiles = [
        (f"{report.stream.frames_per_second:.1f}", "", "frames/s"),
        (charts.milliseconds(total.get("p50_ms", 0.0)), _MS, "captured to written, median"),
        (charts.milliseconds(total.get("p99_ms", 0.0)), _MS, "captured to written, p99"),
        (f"{report.cpu_ms_per_frame:.0f}", _MS, "CPU time a frame"),
        (f"{report.stream.frames}", "", _frame_words(report)),
    ]
    cells = "".join(
        f'<div class="tile{" wide" if index == len(tiles) - 1 else ""}">'
        f"<b>{value}{unit}</b><span>{escape(label)}</span></div>"
        for index, (value, unit, label) in enumerate(tiles)
    )
    return f'<section class="tiles" aria-label="Main figures">{cells}</section>'


def _frame_words(report: RunReport) -> str:
    words = [f"frames, {report.stream.dropped} dropped"]
    if report.stream.damaged:
        words.append(f"{report.stream.damaged} damaged")
    if report.stream.stopped:
        words.append("stopped early")
    return ", ".join(words)


def _quality(quality: Quality | None) -> str:
    if quality is None:
        return ""
    tone = ' class="gain"' if quality.gain_db > 0 else ""
    return _section(
        "Quality against the truth",
        f"PSNR, mean over {quality.frames} frames, on restored bytes before video encoding.",
        '<div class="scroll"><table><thead><tr><th scope="col">method</th>'
        '<th scope="col">PSNR, dB</th><th scope="col">over bicubic, dB</th></tr></thead><tbody>'
        f'<tr><th scope="row">bicubic</th><td>{quality.bicubic_psnr_db:.2f}</td><td>0</td></tr>'
        f'<tr><th scope="row">restored</th><td>{quality.restored_psnr_db:.2f}</td>'
        f"<td{tone}>{quality.gain_db:+.2f}</td></tr></tbody></table></div>",
    )


def _drift(drift: "Drift | None") -> str:
    if drift is None:
        return ""
    heads = "".join(
        f'<th scope="col">{text}</th>' for text in ("figure", "calibrated", "seen", "outside")
    )
    rows = "".join(_drift_row(figure) for figure in drift.figures)
    return _section(
        "Input against the calibration",
        f"{drift.outside} of {drift.watched} watched frames outside "
        f"({100 * drift.outside_share:.0f} %), {drift.alarms} "
        f"{'alarm' if drift.alarms == 1 else 'alarms'}.",
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>",
    )


def _drift_row(figure: "FigureDrift") -> str:
    tone = ' class="out"' if figure.outside else ""
    return (
        f'<tr><th scope="row">{escape(figure.figure)}</th>'
        f"<td>{figure.calibrated_low:.3g} to {figure.calibrated_high:.3g}</td>"
        f"<td>{figure.lowest:.3g} to {figure.highest:.3g}</td><td{tone}>{figure.outside}</td></tr>"
    )


def _waterfall(report: RunReport) -> str:
    stages = dict(_stages(report))
    stages.pop(NEXT_FRAME, None)  # the camera's pace is no part of a frame's life
    keys = [_KEY_WORK]
    keys += [_KEY_WAIT] * any(stage in WAITING_STAGES for stage in stages)
    keys += [_KEY_TOTAL] * ("total" in stages)
    return _section(
        "The life of a typical frame",
        "Each bar is the median of a stage and starts where the one before it ended. Frames "
        "overlap: while one is in the network, the next is decoded and the last is encoded. A "
        "file is read ahead, so its frames wait as long as the queues are deep. The median "
        "total is measured on its own; medians need not add up to it.",
        f'<ul class="legend">{"".join(keys)}</ul>{charts.waterfall(stages)}',
    )


def _distribution(report: RunReport) -> str:
    if not report.distributions:
        return ""
    return _section(
        "How latency is spread",
        "Across: the duration in ms, on a logarithmic axis that all stages share. Up: the share of "
        "frames, each stage to its own peak.",
        f'<ul class="legend">{_KEY_MARKS}</ul>'
        + charts.distributions(
            {
                stage_name(name, live=report.stream.live): b
                for name, b in report.distributions.items()
            },
            _stages(report),
        ),
    )


def _percentiles(report: RunReport) -> str:
    heads = "".join(
        f'<th scope="col">{text}</th>'
        for text in ("stage", "p50", "p95", "p99", "max", "frames", "mean")
    )
    rows = "".join(
        f'{_row_tag(name)}<th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{charts.milliseconds(row[key])}</td>" for key in _COLUMNS)
        + f"<td>{row['count']:.0f}</td><td>{charts.milliseconds(row['mean_ms'])}</td></tr>"
        for name, row in _stages(report).items()
    )
    return _section(
        "Latency by stage",
        "Milliseconds.",
        f'<div class="scroll"><table class="stages"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>",
    )


def _stages(report: RunReport) -> dict[str, Mapping[str, float]]:
    return _named(report, report.stream.latencies)


def _named(report: RunReport, by_stage: Mapping[str, Figures]) -> dict[str, Figures]:
    """Return what is known of the stages under the names that people read."""
    live = report.stream.live
    return {stage_name(stage, live=live): figures for stage, figures in by_stage.items()}


def _row_tag(stage: str) -> str:
    return '<tr class="sum">' if stage == "total" else "<tr>"


def _definitions(report: RunReport) -> str:
    notes = {**STAGE_NOTES, NEXT_FRAME: NEXT_FRAME_NOTE}
    stages = {name: notes.get(name, "") for name in _stages(report)}
    terms = {**stages, **_TERMS, **(_DRIFT_TERMS if report.drift is not None else {})}
    return _section("What the numbers hold", "", _list(terms))


def _machine(report: RunReport) -> str:
    host = report.host
    depths = ", ".join(f"{name} {depth}" for name, depth in report.stream.peak_depths.items())
    return _section(
        "The run and the machine",
        "",
        _list(
            {
                "model": f"{report.model}, {report.precision}",
                "backend": report.backend,
                "elapsed": f"{report.stream.elapsed_seconds:.2f} s; first frame after "
                f"{report.stream.first_frame_ms:.0f} ms",
                "longest queues": f"{depths} frames" if depths else "none",
                "processor": f"{host.processor}; {host.cores} cores usable",
                "system": f"{host.system}, Python {host.python}",
                "versions": ", ".join(f"{name} {text}" for name, text in host.packages.items()),
            }
        ),
    )


def _list(terms: dict[str, str]) -> str:
    items = (f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in terms.items())
    return f"<dl>{''.join(items)}</dl>"


def _section(heading: str, note: str, content: str) -> str:
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(heading)}</h2>{told}{content}</section>"
