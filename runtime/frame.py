"""The frame that travels from source to sink, and what is known about its stream.

Shape letters: H height, W width, C channels in BGR order. Sizes are in pixels.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crispstream.core.errors import FrameError

_ADVICE = {
    1: "; turn grey into BGR with cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)",
    4: "; drop the alpha channel with cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream, in the order the source gave them.

    Two frames are never compared by their pixels, so equality is identity of the fields.
    """

    pixels_hwc: npt.NDArray[np.uint8]
    """uint8 [H,W,3] BGR; may be a strided view of a decoder's picture: read only."""
    serial: int
    """Counts the frames of the source from 0, dropped ones included."""
    pts: int
    """Presentation time in units of `time_base`."""
    time_base: Fraction
    """Seconds per unit of `pts`."""
    captured_ns: int
    """When the source had the picture, on the clock the run was given."""
    duration: int = 0
    """How long the picture is shown, in units of `time_base`; 0 where the source cannot say."""
    fresh: bool = False
    """Whether it follows no earlier frame: after a reconnect or a change of size. What a
    recurrent network remembers is then of another scene."""


@dataclass(frozen=True, slots=True)
class Colour:
    """How a stream's luma and chroma map to red, green and blue, and what light those mean."""

    matrix: str
    """`bt601`, `bt709` or `bt2020` (ITU-R BT.601, BT.709, BT.2020); `rgb` for a source whose
    pictures are red, green and blue already."""
    full_range: bool
    """True: 0..255 carries black to white; False: 16..235 does."""
    primaries: int = 0
    """Code of ITU-T H.273, table 2; 0 where they are the usual ones of the matrix."""
    transfer: int = 0
    """Code of ITU-T H.273, table 3; 0 where it is the usual one of the matrix."""


RGB = Colour("rgb", full_range=True)
"""Of images, and of whatever else hands its pictures over as RGB."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What holds for every frame of a stream."""

    width: int
    """Columns, pixels."""
    height: int
    """Rows, pixels."""
    frame_rate: Fraction | None
    """Nominal frames per second; None where the rate is free."""
    time_base: Fraction
    """Seconds per unit of the frames' `pts`."""
    colour: Colour
    """The mapping the source's pixels were converted with."""
    frame_count: int | None
    """A guess for progress bars; None where there is no end or no way to tell."""
    audio_from: Path | None
    """The file whose audio belongs to this stream; None without audio."""
    live: bool = False
    """Whether frames come when the world makes them, and are lost if nobody takes them."""


def check_frame(frame_hwc: npt.NDArray[np.uint8]) -> None:
    """Raise FrameError, with advice, unless this is uint8 [H,W,3]."""
    seen = f"{getattr(frame_hwc, 'dtype', type(frame_hwc).__name__)}"
    shape: tuple[int, ...] = getattr(frame_hwc, "shape", ())
    if seen == "uint8" and len(shape) == 3 and shape[2] == 3 and min(shape) > 0:
        return
    advice = _ADVICE.get(shape[2] if len(shape) == 3 else 1 if len(shape) == 2 else 0, "")
    if seen.startswith("float"):
        advice = "; scale floats to 0..255 and convert them with .astype(numpy.uint8)"
    raise FrameError(f"a frame is {seen} {list(shape)}, expected uint8 [H, W, 3] in BGR{advice}")


def check_out(out: npt.NDArray[np.uint8], shape: tuple[int, int, int]) -> None:
    """Raise FrameError unless `out` is uint8 of this shape."""
    if out.shape != shape or out.dtype != np.uint8:
        raise FrameError(
            f"out is {out.dtype} {list(out.shape)}, expected uint8 {list(shape)}; "
            f"make it with numpy.empty({shape}, numpy.uint8)"
        )
