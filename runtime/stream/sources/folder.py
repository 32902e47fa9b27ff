"""Frames from image files: a folder or a pattern in natural order, or a single image."""

import glob
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.clock import Clock
from crispstream.core.errors import SourceError
from crispstream.core.files import IMAGE_EXTENSIONS
from crispstream.runtime.frame import RGB, Frame, StreamInfo
from crispstream.runtime.stream.health import Health

_USUAL_RATE = 25.0


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that reads digits as numbers.

    >>> sorted(["f10.png", "f9.png", "f1.png"], key=natural_key)
    ['f1.png', 'f9.png', 'f10.png']
    """
    parts = re.split(r"(\d+)", name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def image_paths(path_text: str) -> list[Path] | None:
    """Return the images that a folder, a file or a pattern names, in order; None for a video.

    A pattern has `*`, `?` or `[...]` (`frames/*.png`, and `**` for folders within folders). What
    it finds beside images is left out.

    Raises:
        SourceError: if there is no image in the folder, or none that fits the pattern.
    """
    path = Path(path_text)
    if path.is_dir():
        return _in_order(list(path.iterdir()), f"the folder '{path}' holds no image")
    if not path.exists() and glob.has_magic(path_text):
        found = [Path(name) for name in glob.glob(path_text, recursive=True)]  # noqa: PTH207
        return _in_order(found, f"no image fits the pattern '{path_text}'")
    return [path] if path.is_file() and _is_image(path) else None


def _in_order(found: list[Path], complaint: str) -> list[Path]:
    images = [path for path in found if _is_image(path) and not path.is_dir()]
    if not images:
        endings = ", ".join(IMAGE_EXTENSIONS)
        raise SourceError(f"{complaint}; expected files ending in {endings}")
    return sorted(images, key=lambda path: natural_key(str(path)))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_EXTENSIONS


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

    def __init__(
        self, paths: Sequence[Path], name: str, clock: Clock, *, frame_rate: float | None = None
    ) -> None:
        """Read the first image for the size; `name` is what the source is called in the log.

        Raises:
            SourceError: if the first image does not decode.
        """
        self._paths = paths
        self._clock = clock
        self.health = Health(name, clock)
        rate = _USUAL_RATE if frame_rate is None else frame_rate
        self._rate = Fraction(rate).limit_denominator(1001)
        height, width, _ = read_image(self._paths[0]).shape
        self._info = StreamInfo(
            width=width,
            height=height,
            frame_rate=self._rate,
            time_base=1 / self._rate,
            colour=RGB,
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
