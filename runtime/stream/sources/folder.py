"""Frames from image files: a folder in natural order, or a single image."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.clock import Clock
from crispstream.core.errors import SourceError, UsageError
from crispstream.core.files import IMAGE_EXTENSIONS
from crispstream.runtime.frame import Colour, Frame, StreamInfo
from crispstream.runtime.stream.health import Health

_USUAL_RATE = 25.0


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that reads digits as numbers.

    >>> sorted(["f10.png", "f9.png", "f1.png"], key=natural_key)
    ['f1.png', 'f9.png', 'f10.png']
    """
    parts = re.split(r"(\d+)", name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Return an image file as uint8 [H,W,3] BGR.

    Grey is repeated over the channels, alpha left out, 16 bits rounded to 8, and a camera's
    orientation tag obeyed.

    Raises:
        SourceError: if the file cannot be read or is no image.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)  # OpenCV cannot open every path
    except OSError as error:
        raise SourceError(f"'{path}' cannot be read ({error.strerror})") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if data.size else None
    if image is None:
        raise SourceError(f"'{path}' is not an image OpenCV can decode; replace it or take it away")
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
    if image.dtype != np.uint8:
        raise SourceError(f"'{path}' holds {image.dtype} pixels; convert it to 8 or 16 bits")
    return np.asarray(image, np.uint8)


class FolderSource:
    """Reads images one by one, as frames at an even rate."""

    def __init__(self, path: Path, clock: Clock, *, frame_rate: float | None = None) -> None:
        """List the folder (or take the one file) and read the first image for the size.

        Raises:
            SourceError: if there is no image, or the first one does not decode.
            UsageError: if the frame rate is not positive.
        """
        self._paths = [path] if path.is_file() else _images(path)
        self._clock = clock
        self.health = Health(str(path), clock)
        rate = _USUAL_RATE if frame_rate is None else frame_rate
        if not 0 < rate <= 1000:
            raise UsageError(f"{rate} frames per second; give more than 0 and at most 1000")
        self._rate = Fraction(rate).limit_denominator(1001)
        height, width, _ = read_image(self._paths[0]).shape
        self._info = StreamInfo(
            width=width,
            height=height,
            frame_rate=self._rate,
            time_base=1 / self._rate,
            colour=Colour("bt601", full_range=True),  # what JPEG files are in
            frame_count=len(self._paths),
            audio_from=None,
        )

    @property
    def info(self) -> StreamInfo:
        """Size of the first image, the even rate, the number of images."""
        return self._info

    @property
    def damaged(self) -> int:
        """Always 0: an image that does not decode ends the stream."""
        return 0

    def __iter__(self) -> Iterator[Frame]:
        """Give every image.

        Raises:
            SourceError: if an image does not decode or has another size than the first.
        """
        for serial, path in enumerate(self._paths):
            image = read_image(path)
            if image.shape[:2] != (self._info.height, self._info.width):
                raise SourceError(
                    f"'{path}' is {image.shape[1]}x{image.shape[0]} px, the images before it are "
                    f"{self._info.width}x{self._info.height}; put each size in a folder of its own"
                )
            yield Frame(image, serial, serial, self._info.time_base, self._clock(), 1)

    def stop(self) -> None:
        """Nothing to do: the next frame is never far."""

    def close(self) -> None:
        """Nothing is held open."""


def _images(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_EXTENSIONS]
    if not found:
        raise SourceError(
            f"the folder '{folder}' holds no image; expected files ending in "
            f"{', '.join(IMAGE_EXTENSIONS)}"
        )
    return sorted(found, key=lambda path: natural_key(path.name))
