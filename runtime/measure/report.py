"""The report of a run: one record, four ways to give it away.

    report_from_run -> RunReport -> print_table   people at a terminal
                                    write_json    machines; the schema number guards the keys
                                    write_html    people elsewhere: one file, no network needed

Every duration is in milliseconds, from the one clock that stamped the run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crispstream.core.files import write_atomically
from crispstream.runtime.latency import Latencies

from .host import Host, host_facts

if TYPE_CHECKING:
    from rich.console import Console

    from crispstream.runtime.stream.drift import Drift
    from crispstream.runtime.stream.loop import StreamReport

SCHEMA = 1
"""Version of report.json. Raised when a key changes its name or meaning, not when one is added."""

STAGE_NOTES = {
    "decode": "reading one frame from the source and turning it into BGR",
    "wait": "between capture and the moment the restorer takes the frame",
    "copy_in": "copying the frame into the engine's buffer, mirrored up to the size it needs",
    "infer": "the network, from frame bytes to restored bytes",
    "copy_out": "handing the restored frame over",
    "write_wait": "between restored and the moment the writer takes the frame",
    "write": "turning the frame into the output's format, encoding and writing it",
    "total": "from captured to written: what a viewer waits for; decode lies before it",
}
"""What a stage's duration holds; stages overlap between frames, so they do not sum to 1/rate."""

WAITING_STAGES = ("wait", "write_wait")
"""Time in a queue: nobody works on the frame."""

Buckets = tuple[tuple[float, int], ...]
"""(upper edge in ms, count), shortest first."""


@dataclass(frozen=True)
class Quality:
    """How close the output came to a known truth, mean over frames; restored bytes, not video."""

    frames: int
    """Frames compared."""
    bicubic_psnr_db: float
    """PSNR of the input enlarged by bicubic interpolation (a = -0.5)."""
    restored_psnr_db: float
    """PSNR of what the model made."""

    @property
    def gain_db(self) -> float:
        """What the model adds over bicubic, dB."""
        return self.restored_psnr_db - self.bicubic_psnr_db


@dataclass(frozen=True)
class RunReport:
    """What a run was, what it did and where the time went."""

    source: str
    sink: str
    model: str
    precision: str
    backend: str
    frames: int
    """Frames written."""
    dropped: int
    """Frames that gave way to newer ones."""
    damaged: int
    """Pieces of the input that did not decode."""
    stopped: bool
    """Asked to stop before the source's end."""
    elapsed_seconds: float
    """From the start of the stream until the output was finished."""
    frames_per_second: float
    """Frames written over elapsed seconds."""
    first_frame_ms: float
    """From the start of the stream until its first frame was written."""
    cpu_seconds: float
    """CPU time of all threads of the process while streaming."""
    stages: Mapping[str, Mapping[str, float]]
    """Stage -> count, mean_ms, p50_ms, p95_ms, p99_ms, max_ms; in the order a frame meets them."""
    peak_depths: Mapping[str, int]
    """Queue -> the most frames that ever waited in it."""
    host: Host
    created: str
    """UTC, ISO 8601."""
    distributions: Mapping[str, Buckets] = field(default_factory=dict)
    """Stage -> histogram; may lack stages."""
    quality: Quality | None = None
    drift: "Drift | None" = None
    """How the input compared with the calibration set; None where nothing watched it."""
    schema: int = SCHEMA

    @property
    def cpu_ms_per_frame(self) -> float:
        """CPU time over frames written; 0 without frames."""
        return 1000 * self.cpu_seconds / self.frames if self.frames else 0.0

    def to_json(self) -> str:
        """Return the record as indented JSON text; the keys are the field names.

        Numbers that JSON does not know, such as the infinite PSNR of equal pictures, are null.
        """
        content: dict[str, Any] = {"schema": self.schema, **asdict(self)}
        content["cpu_ms_per_frame"] = self.cpu_ms_per_frame
        if self.quality is not None:
            content["quality"]["gain_db"] = self.quality.gain_db
        if self.drift is not None:
            worst = self.drift.worst
            content["drift"]["outside_share"] = self.drift.outside_share
            content["drift"]["worst"] = None if worst is None else worst.figure
        return json.dumps(_finite(content), indent=2, allow_nan=False) + "\n"


def report_from_run(
    stream_report: "StreamReport",
    *,
    source: str,
    sink: str,
    model: str,
    precision: str,
    backend: str,
    histograms: Sequence[Latencies] = (),
    quality: Quality | None = None,
    drift: "Drift | None" = None,
) -> RunReport:
    """Join what the stream counted with what it was and where it ran.

    Args:
        stream_report: of `run_stream`.
        source: what was read, as the user named it.
        sink: what was written, as the user named it.
        model: name of the model.
        precision: of the graph that ran.
        backend: that ran it.
        histograms: the run's `Latencies` (the loop's and the restorer's), for the chart of
            distributions; without them the page has none.
        quality: if a truth was there to compare with.
        drift: if a `DriftWatch` looked at the input.
    """
    return RunReport(
        source=source,
        sink=sink,
        model=model,
        precision=precision,
        backend=backend,
        frames=stream_report.frames,
        dropped=stream_report.dropped,
        damaged=stream_report.damaged,
        stopped=stream_report.stopped,
        elapsed_seconds=stream_report.elapsed_seconds,
        frames_per_second=stream_report.frames_per_second,
        first_frame_ms=stream_report.first_frame_ms,
        cpu_seconds=stream_report.cpu_seconds,
        stages={stage: dict(row) for stage, row in stream_report.latencies.items()},
        peak_depths=dict(stream_report.peak_depths),
        host=host_facts(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        distributions=_distributions(stream_report.latencies, histograms),
        quality=quality,
        drift=drift,
    )


def _distributions(
    stages: Mapping[str, Mapping[str, float]], histograms: Sequence[Latencies]
) -> dict[str, Buckets]:
    """Return the non-empty histograms of the stages that the run reports, in its order."""
    measured = {name: latencies[name] for latencies in histograms for name in latencies.stages}
    return {
        name: tuple(measured[name].buckets())
        for name in stages
        if name in measured and measured[name].count
    }


def write_json(report: RunReport, path: Path) -> None:
    """Write the record as JSON, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    write_atomically(path, report.to_json().encode())


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return None
    return value


def write_html(report: RunReport, path: Path) -> None:
    """Write the record as one HTML page that needs nothing else.

    Raises:
        OSError: if the file cannot be written.
    """
    from .page import html_page

    write_atomically(path, html_page(report).encode())


def print_table(report: RunReport, console: "Console") -> None:
    """Print the latency of each stage and the run's main figures."""
    from rich.table import Table

    title = f"{report.model} ({report.precision}, {report.backend}): latency by stage, ms"
    table = Table(title=title, title_justify="left")
    table.add_column("stage")
    for heading in ("frames", "p50", "p95", "p99", "max"):
        table.add_column(heading, justify="right")
    for stage, row in report.stages.items():
        times = (f"{row[key]:.2f}" for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        table.add_row(stage, f"{row['count']:.0f}", *times, end_section=stage == "write")
    console.print(table)
    for line in summary_lines(report):
        console.print(line, highlight=False)


def summary_lines(report: RunReport) -> list[str]:
    """Return the run's main figures as sentences."""
    lines = [
        f"{report.frames} frames in {report.elapsed_seconds:.2f} s: "
        f"{report.frames_per_second:.1f} frames/s, first frame after "
        f"{report.first_frame_ms:.0f} ms, {report.cpu_ms_per_frame:.0f} ms of CPU time a frame, "
        f"{report.dropped} dropped",
    ]
    if report.damaged:
        lines.append(f"{report.damaged} damaged pieces of the input did not decode")
    if report.quality is not None:
        quality = report.quality
        lines.append(
            f"PSNR against the truth: bicubic {quality.bicubic_psnr_db:.2f} dB, "
            f"restored {quality.restored_psnr_db:.2f} dB ({quality.gain_db:+.2f} dB)"
        )
    if report.drift is not None:
        lines.append(_drift_line(report.drift))
    return lines


def _drift_line(drift: "Drift") -> str:
    line = f"input: {drift.outside} of {drift.watched} watched frames outside of the calibration"
    if (worst := drift.worst) is None:
        return line
    return (
        f"{line}, mostly in {worst.figure}: {worst.farthest:.3g}, calibrated "
        f"{worst.calibrated_low:.3g} to {worst.calibrated_high:.3g}"
    )
