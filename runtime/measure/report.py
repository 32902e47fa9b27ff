"""The report of a run: one record, three ways to give it away.

    report_from_run -> RunReport -> print_table   people at a terminal (summary.py)
                                    write_json    machines; the schema number guards the keys
                                    write_html    people elsewhere: one file (pages/run.py)

Every duration is in milliseconds, from the one clock that stamped the run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crispstream.core.files import write_atomically
from crispstream.core.uris import masked
from crispstream.runtime.latency import Latencies
from crispstream.runtime.stream.outcome import StreamReport

from .figures import Buckets, finite
from .host import Host, host_facts

if TYPE_CHECKING:
    from crispstream.runtime.stream.drift import Drift
    from crispstream.runtime.stream.ladder.ladder import LadderUse

KIND = "run"
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

NEXT_FRAME = "next frame"
NEXT_FRAME_NOTE = "waiting for a live source to have its next frame, and turning it into BGR"


def stage_name(stage: str, *, live: bool) -> str:
    """Return what people read for a stage: of a live source `decode` is mostly waiting for it."""
    return NEXT_FRAME if live and stage == "decode" else stage


WAITING_STAGES = ("wait", "write_wait", NEXT_FRAME)
"""Time in a queue: nobody works on the frame."""


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
    """What was read, without credentials."""
    sink: str
    """What was written, without credentials; several with commas between."""
    model: str
    precision: str
    backend: str
    stream: StreamReport
    """What the loop counted and timed."""
    host: Host
    created: str
    """UTC, ISO 8601."""
    distributions: Mapping[str, Buckets] = field(default_factory=dict)
    """Stage -> histogram; may lack stages."""
    quality: Quality | None = None
    drift: "Drift | None" = None
    """How the input compared with the calibration set; None where nothing watched it."""
    budget_ms: float | None = None
    """What a frame may take from capture to restored; None without a deadline."""
    ladder: "LadderUse | None" = None
    """Which rungs restored; None where there was one model only."""
    schema: int = SCHEMA

    @property
    def cpu_ms_per_frame(self) -> float:
        """CPU time over frames restored; 0 without frames."""
        stream = self.stream
        return 1000 * stream.cpu_seconds / stream.frames if stream.frames else 0.0

    @property
    def what(self) -> str:
        """What ran, in words: the model, or the ladder that began with it."""
        if self.ladder is None:
            return f"{self.model} ({self.precision}, {self.backend})"
        return f"a ladder from {self.model} ({self.precision}) down, on {self.backend}"

    def as_json(self) -> dict[str, Any]:
        """Return the record for JSON; what the stream counted lies beside the rest.

        Numbers that JSON does not know, such as the infinite PSNR of equal pictures, are None.
        """
        content: dict[str, Any] = {
            "kind": KIND,
            "schema": self.schema,
            **asdict(replace(self, stream=_NONE)),
        }
        del content["stream"]
        content |= _counted(self.stream)
        content["cpu_ms_per_frame"] = self.cpu_ms_per_frame
        if self.quality is not None:
            content["quality"]["gain_db"] = self.quality.gain_db
        if self.drift is not None:
            worst = self.drift.worst
            content["drift"]["outside_share"] = self.drift.outside_share
            content["drift"]["worst"] = None if worst is None else worst.figure
        known: dict[str, Any] = finite(content)
        return known

    def to_json(self) -> str:
        """Return the record as indented JSON text."""
        return json.dumps(self.as_json(), indent=2, allow_nan=False) + "\n"


_NONE: Any = None  # the stream's part is written by hand: its histograms are not for JSON


def _counted(stream: StreamReport) -> dict[str, Any]:
    """Return the stream's part of the record; `stages` are its latencies."""
    content = asdict(replace(stream, histograms=()))
    del content["histograms"]
    content["stages"] = content.pop("latencies")
    content["events"] = [event._asdict() for event in stream.events]
    return content


def report_from_run(
    stream_report: StreamReport,
    *,
    source: str,
    sink: str,
    model: str,
    precision: str,
    backend: str,
    quality: Quality | None = None,
    drift: "Drift | None" = None,
    budget_ms: float | None = None,
    ladder: "LadderUse | None" = None,
) -> RunReport:
    """Join what the stream counted with what it was and where it ran.

    Args:
        stream_report: of `run_stream`.
        source: what was read, as the user named it; credentials are taken out here.
        sink: what was written, likewise.
        model: name of the model.
        precision: of the graph that ran.
        backend: that ran it.
        quality: if a truth was there to compare with.
        drift: if a `DriftWatch` looked at the input.
        budget_ms: if there was a deadline.
        ladder: if there were rungs.
    """
    return RunReport(
        source=masked(source),
        sink=masked(sink),
        model=model,
        precision=precision,
        backend=backend,
        stream=stream_report,
        host=host_facts(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        distributions=_distributions(stream_report.latencies, stream_report.histograms),
        quality=quality,
        drift=drift,
        budget_ms=budget_ms,
        ladder=ladder,
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
