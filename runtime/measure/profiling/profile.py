"""From a watched run to its record."""

from dataclasses import replace
from datetime import datetime, timezone

from crispstream.core.sizes import Size
from crispstream.runtime.latency import Histogram
from crispstream.runtime.measure.figures import Spread
from crispstream.runtime.measure.host import host_facts
from crispstream.runtime.measure.report import RunReport

from .cost import observer
from .record import Depths, LayerProfile, ProfileRecord
from .watching import Profiler

_FEW = 100


def profile_record(
    run: RunReport,
    profiler: Profiler,
    *,
    graph_sha256: str,
    size: Size,
    device: Histogram | None = None,
    layers: LayerProfile | None = None,
    keeps_trace: bool = False,
    side_by_side: int = 1,
    notes: tuple[str, ...] = (),
) -> ProfileRecord:
    """Join what a run reported with what was watched of it.

    Args:
        run: of the same run.
        profiler: that watched it.
        graph_sha256: of the graph that ran; "" for bicubic.
        size: (width, height) that frames were padded to, px.
        device: times of the network by the device's own clock, where there is one.
        layers: if they were timed.
        keeps_trace: whether the profiler kept each event, which costs more.
        side_by_side: frames that were computed at once.
        notes: what a reader must know besides.
    """
    stages = profiler.stages()
    frames = run.stream.frames
    infer = stages.get("infer")
    engine_ms = _median_ms(infer) if device is None else device.percentile_ms(50)
    # Frames in flight make single times uneven; their sum is what the loop, or the device, spent.
    spent_ms = _sum_ms(infer) if device is None else device.total_ns / 1e6
    end_to_end_ms = _median_ms(stages.get("total"))
    elapsed_ms = 1e3 * run.stream.elapsed_seconds
    paced_ms = elapsed_ms / frames if frames else 0.0
    return ProfileRecord(
        run=run.as_json(),
        graph_sha256=graph_sha256,
        size=size,
        stages=stages,
        timeline=profiler.moments("total"),
        depths=_depths(profiler, run),
        engine_ms=engine_ms,
        end_to_end_ms=end_to_end_ms,
        engine_busy=spent_ms / elapsed_ms if elapsed_ms else 0.0,
        layers=layers,
        observer=observer(
            profiler, frames, min(paced_ms, end_to_end_ms or paced_ms), keeps_trace=keeps_trace
        ),
        host=host_facts(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        notes=(*_notes(run, side_by_side), *notes),
    )


def _depths(profiler: Profiler, run: RunReport) -> tuple[Depths, ...]:
    """Return the queues; the stream itself has counted how many waited at most."""
    most = run.stream.peak_depths
    return tuple(
        replace(seen, max=max(seen.max, most.get(seen.name, 0))) for seen in profiler.depths()
    )


def _median_ms(spread: Spread | None) -> float:
    return spread.median_ms if spread is not None else 0.0


def _sum_ms(spread: Spread | None) -> float:
    return spread.mean_ms * spread.count if spread is not None else 0.0


def _notes(run: RunReport, side_by_side: int) -> tuple[str, ...]:
    """Return what is easily misread."""
    stream, notes = run.stream, []
    if stream.policy == "all":
        notes.append(
            "Every frame of the source was kept, so frames were read ahead and waited in queues: "
            "the waits are as long as the queues are deep. For the delay of a live camera, "
            "profile with --policy latest."
        )
    if min(side_by_side, stream.frames) > 1:
        notes.append(
            f"{side_by_side} frames were computed side by side; `infer` is how long the loop was "
            "held by each, not how long its computation took. Layers are timed one frame at a "
            "time, on all threads."
        )
    if run.budget_ms is not None:
        notes.append(
            "The budget counts late frames; no smaller model stepped in, as one does in run: a "
            "profile is of one model."
        )
    if 0 < stream.frames < _FEW:
        notes.append(
            f"Fewer than {_FEW} frames ({stream.frames}): p99 and beyond are the slowest one. "
            "Profile a longer stream for the tail."
        )
    return tuple(notes)
