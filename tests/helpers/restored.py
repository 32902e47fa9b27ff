"""Numbered frames as a restorer would hand them to a sink: enlarged four times."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from crispstream.runtime.frame import Colour, Frame, StreamInfo
from crispstream.runtime.stream.sink import DEFAULT_OPTIONS, SinkOptions, open_sink
from crispstream.runtime.stream.source import open_source
from crispstream.runtime.stream.sources.synth import read_counter
from tests.helpers.media import Pixels, numbered_frame, pictures_of

INFO = StreamInfo(
    64, 48, Fraction(30), Fraction(1, 90_000), Colour("bt601", full_range=False), None, None
)
STEP = 3000
"""From frame to frame at 30 a second, in units of `INFO.time_base`."""


def frame_at(serial: int, pts: int, duration: int = STEP) -> Frame:
    """A frame with its serial number painted in."""
    return Frame(numbered_frame(serial), serial, pts, INFO.time_base, 0, duration)


def enlarged(frame: Frame) -> Pixels:
    """The frame, each pixel 16 times."""
    return np.repeat(np.repeat(frame.pixels_hwc, 4, axis=0), 4, axis=1)


def numbers_in(path: Path) -> list[int | None]:
    """The serial numbers of the pictures in a file, as far as they decode."""
    return [read_counter(picture, 64, 48) for picture in pictures_of(path)]


def copied(
    source: Path,
    target: Path,
    *,
    only: int | None = None,
    options: SinkOptions = DEFAULT_OPTIONS,
) -> None:
    """Enlarge a video, or its first `only` frames, by pixel repetition, as `run` would."""
    frames = open_source(str(source))
    sink = open_sink(str(target), frames.info, 4, source=str(source), options=options)
    for frame in frames:
        if only is not None and frame.serial == only:
            break
        sink.write(frame, enlarged(frame))
    sink.close(complete=only is None)
    frames.close()
