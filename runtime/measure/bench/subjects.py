"""What a bench compares: opened restorers, each with what a reader must know of it."""

from dataclasses import dataclass
from typing import Protocol

from crispstream.core.pixels import Bytes
from crispstream.runtime.latency import Latencies
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.restoring import FrameRestorer


class Benched(FrameRestorer, Protocol):
    """What a bench needs of a restorer; `runtime.restorer.Restorer` is the real one."""

    @property
    def device_latencies(self) -> Latencies | None:
        """Durations by stage as the device measured them; None where nothing does."""

    def restore(self, frame_hwc: Bytes) -> Bytes:
        """Return the frame [H,W,3] enlarged to [4H,4W,3], valid until a few frames later."""


@dataclass(frozen=True)
class Subject:
    """One of the things to compare; its restorer is open, and whoever opened it closes it."""

    name: str
    """As the report calls it; each once in a bench: "edge-s int8-cpu"."""
    restorer: Benched
    model: str
    precision: str
    backend: str
    graph_sha256: str = ""
    """Of the ONNX graph; "" for bicubic."""
    why: str = ""
    """What runs it, and why not something faster."""


def subject_of(restorer: Restorer, name: str = "") -> Subject:
    """Return the subject that a restorer is; `name` is by default its rung."""
    return Subject(
        name=name or restorer.rung,
        restorer=restorer,
        model=restorer.name,
        precision=restorer.precision,
        backend=restorer.backend_name,
        graph_sha256=restorer.graph_sha256,
        why=restorer.why,
    )
