"""What is told to Prometheus: the name, kind, labels and meaning of every metric.

Names as Prometheus wants them: base units (seconds, not ms), counters end in `_total`. Each
metric has the label `camera` besides those named here.
"""

from typing import NamedTuple

CAMERA = "camera"
"""The label of all: the camera's name in a file of cameras, `SINGLE` for one stream."""
SINGLE = "stream"


class Family(NamedTuple):
    """One metric, with all its label values."""

    name: str
    kind: str
    """`counter`, `gauge` or `histogram`."""
    labels: tuple[str, ...]
    """Besides `CAMERA`."""
    help: str
    """A sentence, as Prometheus and Grafana show it."""


def _counter(name: str, help_text: str, *labels: str) -> Family:
    return Family(f"crispstream_{name}_total", "counter", labels, help_text)


def _gauge(name: str, help_text: str, *labels: str) -> Family:
    return Family(f"crispstream_{name}", "gauge", labels, help_text)


def _seconds(name: str, help_text: str, *labels: str) -> Family:
    return Family(f"crispstream_{name}_seconds", "histogram", labels, help_text)


BUILD = _gauge(
    "build_info",
    "1, with what restores: the model or the best rung, its precision, what computes it, and the "
    "version of the kit.",
    "backend", "model", "precision", "version",
)  # fmt: skip
STATE = _gauge("camera_state", "1 for the state that a camera is in, 0 for the others.", "state")
RECONNECTS = _counter("reconnects", "How often a source came back after it was lost.")
CAPTURED = _counter("captured_frames", "Frames that the source gave.")
RESTORED = _counter("restored_frames", "Frames that were restored.")
WRITTEN = _counter("written_frames", "Frames that the first output took.")
DROPPED = _counter(
    "dropped_frames",
    "Frames lost, by cause: source, it never gave them; slot, a newer one came; deadline, too "
    "late; stop, the run ended; sink, an output was too slow or failed.",
    "cause",
)
LATE = _counter("late_frames", "Frames restored later than the budget after their capture.")
DAMAGED = _counter("damaged_pieces", "Pieces of the input that did not decode.")
RATE = _gauge("frames_per_second", "Frames restored a second, over the last second or so.")
IDLE = _gauge("idle_seconds", "Since a frame was last restored; before the first, since the start.")
BUDGET = _gauge("budget_seconds", "What a frame may take from capture to restored.")
AGE = _seconds("frame_age", "From capture to restored.")
STAGE = _seconds("stage", "What each stage of a frame's way took.", "stage")
WAITING = _gauge(
    "waiting_frames",
    "Frames that wait now: slot, for the restorer; queue, for the slowest output.",
    "place",
)
RUNG = _gauge("rung", "1 for what restored the latest frame, 0 for other rungs.", "rung")
RUNG_FRAMES = _counter("rung_frames", "Frames that each rung restored.", "rung")
CHANGES = _counter("ladder_changes", "Changes of rung.")
DRIFT = _gauge("drift_alarm", "1 while the input is unlike what the graph was calibrated for.")
ALARMS = _counter("drift_alarms", "How often the drift alarm was raised.")

FAMILIES = (
    BUILD, STATE, RECONNECTS, CAPTURED, RESTORED, WRITTEN, DROPPED, LATE, DAMAGED, RATE, IDLE,
    BUDGET, AGE, STAGE, WAITING, RUNG, RUNG_FRAMES, CHANGES, DRIFT, ALARMS,
)  # fmt: skip
"""In the order in which they are told."""
