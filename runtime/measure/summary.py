"""The report at a terminal: a table of stages, and the main figures as sentences."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .report import RunReport, stage_name

if TYPE_CHECKING:
    from rich.console import Console

    from crispstream.runtime.stream.drift import Drift
    from crispstream.runtime.stream.outcome import SinkOutcome


def print_table(report: RunReport, console: "Console") -> None:
    """Print the latency of each stage and the run's main figures."""
    from rich.table import Table

    console.print(
        f"{report.what}: latency by stage, ms",
        style="italic",
        highlight=False,
        markup=False,
    )
    table = Table()
    table.add_column("stage")
    for heading in ("frames", "p50", "p95", "p99", "max"):
        table.add_column(heading, justify="right")
    for stage, row in report.stream.latencies.items():
        name = stage_name(stage, live=report.stream.live)
        times = (f"{row[key]:.2f}" for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        table.add_row(name, f"{row['count']:.0f}", *times, end_section=stage == "write")
    console.print(table)
    for line in summary_lines(report):
        console.print(line, highlight=False, markup=False)


def summary_lines(report: RunReport) -> list[str]:
    """Return the run's main figures as sentences."""
    stream = report.stream
    lines = [
        f"{stream.frames} frames in {stream.elapsed_seconds:.2f} s: "
        f"{stream.frames_per_second:.1f} frames/s, first frame after "
        f"{stream.first_frame_ms:.0f} ms, {report.cpu_ms_per_frame:.0f} ms of CPU time a frame, "
        f"{stream.dropped} dropped",
        *_live_lines(report),
    ]
    if stream.damaged:
        lines.append(f"{stream.damaged} damaged pieces of the input did not decode")
    if report.quality is not None:
        quality = report.quality
        lines.append(
            f"PSNR against the truth: bicubic {quality.bicubic_psnr_db:.2f} dB, "
            f"restored {quality.restored_psnr_db:.2f} dB ({quality.gain_db:+.2f} dB)"
        )
    if report.drift is not None:
        lines.append(_drift_line(report.drift))
    return [*lines, *_sink_lines(stream.sinks)]


def _live_lines(report: RunReport) -> Iterator[str]:
    """What only a live stream has to tell, or one in which frames were lost."""
    stream = report.stream
    lost = {cause: count for cause, count in stream.drops.items() if count}
    if stream.policy == "all":
        lost.pop("stop", None)  # read ahead of the end that was asked for: nothing is missing
    if lost:
        causes = ", ".join(f"{cause} {count}" for cause, count in lost.items())
        yield f"dropped by cause: {causes}; {stream.captured} frames were captured"
    if stream.live and stream.frames > 1:
        spread = stream.intervals
        yield (
            f"between frames: p50 {spread['p50_ms']:.1f} ms, p99 {spread['p99_ms']:.1f} ms, "
            f"jitter {stream.jitter_ms:.1f} ms"
        )
    if report.budget_ms is not None:
        yield (
            f"budget {report.budget_ms:g} ms: {stream.late} frames late, at most "
            f"{stream.missed_in_a_row} missed in a row"
        )
    if report.ladder is not None:
        yield report.ladder.line()
    if stream.reconnects:
        yield f"reconnects of the source: {stream.reconnects}; it was {stream.state} at the end"


def _sink_lines(sinks: "tuple[SinkOutcome, ...]") -> Iterator[str]:
    """A line for each output that has anything to tell, or for each of several."""
    for sink in sinks:
        told = [f"{sink.written} written"] if len(sinks) > 1 or sink.dropped else []
        if sink.dropped:
            told.append(f"{sink.dropped} left out")
        told += [f"{name} {value:.4g}" for name, value in sink.figures.items()]
        if sink.error:
            told.append(f"failed: {sink.error}")
        if told:
            yield f"{sink.name}: {', '.join(told)}"


def _drift_line(drift: "Drift") -> str:
    line = f"input: {drift.outside} of {drift.watched} watched frames outside of the calibration"
    if (worst := drift.worst) is None:
        return line
    return (
        f"{line}, mostly in {worst.figure}: {worst.farthest:.3g}, calibrated "
        f"{worst.calibrated_low:.3g} to {worst.calibrated_high:.3g}"
    )
