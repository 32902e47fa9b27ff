"""From a watched run to its record."""

from datetime import datetime, timezone

from crispstream.core.sizes import Size
from crispstream.runtime.measure.figures import Spread
from crispstream.runtime.measure.host import host_facts
from crispstream.runtime.measure.report import RunReport

from .cost import observer
from .record import LayerProfile, ProfileRecord
from .watching import Profiler

_FEW = 100


def profile_record(
    run: RunReport,
    profiler: Profiler,
    *,
    graph_sha256: str,
    size: Size,
    device_ms: float | None = None,
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
        device_ms: median of the network by the device's own clock, where there is one.
        layers: if they were timed.
        keeps_trace: whether the profiler kept each event, which costs more.
        side_by_side: frames that were computed at once.
        notes: what a reader must know besides.
    """
    stages = profiler.stages()
    frames = run.stream.frames
    engine_ms = device_ms if device_ms is not None else _median_ms(stages.get("infer"))
    end_to_end_ms = _median_ms(stages.get("total"))
    elapsed_ms = 1e3 * run.stream.elapsed_seconds
    paced_ms = elapsed_ms / frames if frames else 0.0
    return ProfileRecord(
        run=run.as_json(),
        graph_sha256=graph_sha256,
        size=size,
        stages=stages,
        timeline=profiler.moments("total"),
        depths=profiler.depths(),
        engine_ms=engine_ms,
        end_to_end_ms=end_to_end_ms,
        engine_busy=engine_ms * frames / elapsed_ms if elapsed_ms else 0.0,
        layers=layers,
        observer=observer(
            profiler, frames, min(paced_ms, end_to_end_ms or paced_ms), keeps_trace=keeps_trace
        ),
        host=host_facts(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        notes=(*_notes(run, side_by_side), *notes),
    )


def _median_ms(spread: Spread | None) -> float:
    return spread.median_ms if spread is not None else 0.0


def _notes(run: RunReport, side_by_side: int) -> tuple[str, ...]:
    """Return what is easily misread."""
    stream, notes = run.stream, []
    if stream.policy == "all":
        notes.append(
            "Every frame of the source was kept, so frames were read ahead and waited in queues: "
            "the waits are as long as the queues are deep. For the delay of a live camera, "
            "profile with --policy latest."
        )
    if side_by_side > 1:
        notes.append(
            f"{side_by_side} frames were computed side by side; `infer` is how long the loop was "
            "held by each, not how long its computation took."
        )
    if 0 < stream.frames < _FEW:
        notes.append(
            f"Only {stream.frames} frames: p99 and beyond are the slowest frame. Profile a longer "
            "stream for the tail."
        )
    return tuple(notes)
