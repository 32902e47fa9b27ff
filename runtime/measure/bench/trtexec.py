"""The times of single frames, as trtexec's --exportTimes writes them, for scripts that read those.

Keys: NVIDIA/TensorRT, samples/common/sampleReporting.cpp, exportJSONTrace. All are milliseconds,
`start...` and `end...` since one moment. There `latencyMs` is the sum of `h2dMs`, `computeMs` and
`d2hMs` (InferenceTime::latency), and here too.
"""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from crispstream.core.files import write_atomically
from crispstream.runtime.latency import Latencies

MOST_FRAMES = 100_000
"""The last so many are kept: 60 MB of JSON at most."""

_NS_PER_MS = 1e6
_DEVICE_STAGES = ("copy_in", "infer", "copy_out", "whole")


class FrameTimes(NamedTuple):
    """When each part of one frame's way began and ended, in nanoseconds of one clock."""

    enqueue: tuple[int, int]
    copy_in: tuple[int, int]
    compute: tuple[int, int]
    copy_out: tuple[int, int]


class FrameKeeper(Latencies):
    """A restorer's latencies that remember frames, the last `MOST_FRAMES` of them.

    On the CPU the parts are those of `Restorer.latencies`. On a GPU they are as long as its own
    clock says, one after the other from the enqueuing on; a frame that is one CUDA graph has no
    parts, and its copies are in what it computes.

    Attributes:
        frames: of each frame its parts, oldest first.
    """

    def __init__(self, kept: Latencies, on_device: Latencies | None = None) -> None:
        """Take the place of `kept`; `on_device` are the restorer's `device_latencies`."""
        super().__init__(kept.stages)
        self.frames: deque[FrameTimes] = deque(maxlen=MOST_FRAMES)
        self._on_device = on_device
        self._before_ns = self._device_ns()
        self._copy_in = self._enqueue = self._compute = (0, 0)

    def clear(self) -> None:
        """Forget everything, as after a warm-up."""
        super().clear()
        self.frames.clear()

    def span(self, stage: str, *stamps_ns: int, serial: int = -1) -> None:
        """Add a stage of a frame; `copy_out` is its last."""
        super().span(stage, *stamps_ns, serial=serial)
        if stage == "copy_in":
            self._copy_in = stamps_ns[0], stamps_ns[1]
        elif stage == "infer":
            self._enqueue = stamps_ns[0], stamps_ns[1]
            self._compute = stamps_ns[0], stamps_ns[-1]
        elif stage == "copy_out":
            parts = self._copy_in, self._compute, (stamps_ns[0], stamps_ns[1])
            self.frames.append(FrameTimes(self._enqueue, *(self._by_device() or parts)))

    def _by_device(self) -> tuple[tuple[int, int], ...]:
        """Return the parts of the latest frame as the device timed them; () where it did not."""
        before, now = self._before_ns, self._device_ns()
        self._before_ns = now
        took = {stage: now[stage] - before[stage] for stage in now}
        if not any(took.values()):
            return ()
        began = self._enqueue[0]
        copied = began + took.get("copy_in", 0)
        computed = copied + took.get("infer", 0) + took.get("whole", 0)
        return (began, copied), (copied, computed), (computed, computed + took.get("copy_out", 0))

    def _device_ns(self) -> Mapping[str, int]:
        found = self._on_device
        if found is None:
            return {}
        return {stage: found[stage].total_ns for stage in found.stages if stage in _DEVICE_STAGES}


def times_json(frames: Sequence[FrameTimes]) -> list[dict[str, float]]:
    """Return frames as trtexec's records, in milliseconds since the first was copied in.

    >>> frame = FrameTimes((2, 3), (0, 2_000_000), (2_000_000, 7_000_000), (7_000_000, 8_000_000))
    >>> times_json([frame])[0]["latencyMs"]
    8.0
    """
    origin_ns = min((min(frame.copy_in[0], frame.enqueue[0]) for frame in frames), default=0)
    return [_record(frame, origin_ns) for frame in frames]


def _record(frame: FrameTimes, origin_ns: int) -> dict[str, float]:
    parts = {
        "Enq": frame.enqueue,
        "H2d": frame.copy_in,
        "Compute": frame.compute,
        "D2h": frame.copy_out,
    }
    record = {}
    for name, (begun_ns, ended_ns) in parts.items():
        record[f"start{name}Ms"] = (begun_ns - origin_ns) / _NS_PER_MS
        record[f"end{name}Ms"] = (ended_ns - origin_ns) / _NS_PER_MS
    durations = {
        "h2dMs": _milliseconds(frame.copy_in),
        "computeMs": _milliseconds(frame.compute),
        "d2hMs": _milliseconds(frame.copy_out),
    }
    return {**record, **durations, "latencyMs": round(sum(durations.values()), 6)}


def _milliseconds(part: tuple[int, int]) -> float:
    return (part[1] - part[0]) / _NS_PER_MS


def write_times(frames: Sequence[FrameTimes], path: Path) -> None:
    """Write frames as trtexec does, a record a line, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    lines = ",\n".join(json.dumps(record) for record in times_json(frames))
    write_atomically(path, f"[\n{lines}\n]\n".encode())
