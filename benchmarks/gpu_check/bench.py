"""What the steps of the GPU check share: what was ordered, what is there, and the record."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.gpu_check.record import Record
from benchmarks.gpu_check.steps import Deadline
from benchmarks.gpu_check.timing import Pace
from crispstream.core.bundle import Bundle
from crispstream.core.pixels import Bytes, middle, mirrored
from crispstream.core.sizes import Size
from crispstream.runtime.engine.device.gpu import Gpu

if TYPE_CHECKING:  # it needs PyTorch, which may be missing
    from benchmarks.gpu_check.roofs import Roofs


DRY = "a dry run uses no GPU"
"""The reason of everything that a dry run leaves out."""


@dataclass(frozen=True)
class Order:
    """What is to be checked, and how."""

    models: tuple[str, ...] = ("edge-s", "edge-n")
    """The more important one first: what the time does not suffice for is left out."""
    size: Size = (320, 180)
    minutes: float = 7.5
    """A step that cannot be stopped may end a little later."""
    pace: Pace = field(default_factory=Pace)
    device: str = "cuda"
    """Of PyTorch; "cpu" in a dry run."""
    compiler: str = "inductor"
    """Of torch.compile; "eager", which traces and compiles nothing, in a dry run."""

    @property
    def dry_run(self) -> bool:
        """Whether this only shows that the check itself works."""
        return self.device == "cpu"


@dataclass
class Bench:
    """What is there.

    Attributes:
        order: what to do.
        record: where the results go.
        deadline: when to end.
        flavour: of TensorRT, "" where none runs here.
        why_no_engine: the reason then.
        gpu: as the kit's driver sees it, None where it sees none.
        roofs: peaks of the GPU, or why they are not known.
        scratch: a folder that is thrown away afterwards.
        save: writes the record.
    """

    order: Order
    record: Record
    deadline: Deadline
    flavour: str
    why_no_engine: str
    gpu: Gpu | None
    roofs: "Roofs | str"
    scratch: Path
    save: Callable[[], None]


def check_frames(bundle: Bundle, size: Size) -> list[Bytes]:
    """Return the check frames of a bundle, their middle if they are larger, mirrored if smaller."""
    width, height = size
    frames = []
    for name in bundle.check_frames():
        data = np.frombuffer(bundle.file_bytes(name), np.uint8)
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        frames.append(mirrored(middle(picture, width, height), height, width))
    return frames
