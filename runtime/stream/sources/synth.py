"""A synthetic camera: a moving pattern whose frames carry their own number.

The number is painted as black and white cells in the top left corner, 8 columns by 4 rows:
24 bits of counter, then 8 bits of check sum, most significant bit first. It survives
enlargement and video compression, so a test can tell which frame it is looking at.
"""

import threading
from collections.abc import Iterator
from fractions import Fraction
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import numpy.typing as npt

from crispstream.core.clock import Clock
from crispstream.core.errors import UsageError
from crispstream.runtime.frame import Colour, Frame, StreamInfo
from crispstream.runtime.stream.health import Health

_COLUMNS, _ROWS = 8, 4
_COUNTER_BITS = 24
_SMALLEST = 16
_USUAL = {"size": "320x180", "fps": "30", "frames": "300", "live": "0"}
_EXAMPLE = "synth://pattern?size=320x180&fps=30&frames=300"


def _cell_px(width: int, height: int) -> int:
    """Side of a cell: an eighth of the frame at most covered, never under 2 pixels."""
    return max(2, min(width // (2 * _COLUMNS), height // (2 * _ROWS), 8))


def _check_sum(counter: int) -> int:
    return (counter ^ counter >> 8 ^ counter >> 16 ^ 0xA5) & 0xFF


def paint_counter(frame_hwc: npt.NDArray[np.uint8], counter: int) -> None:
    """Paint a number below 2**24 into the top left corner of a frame, in place.

    >>> frame = np.zeros((16, 16, 3), np.uint8)
    >>> paint_counter(frame, 1234)
    >>> read_counter(frame, 16, 16)
    1234
    """
    word = counter % 2**_COUNTER_BITS << 8 | _check_sum(counter % 2**_COUNTER_BITS)
    bits = np.array([word >> shift & 1 for shift in range(31, -1, -1)], np.uint8)
    cell = _cell_px(frame_hwc.shape[1], frame_hwc.shape[0])
    cells = np.kron(bits.reshape(_ROWS, _COLUMNS) * 255, np.ones((cell, cell), np.uint8))
    frame_hwc[: _ROWS * cell, : _COLUMNS * cell] = cells[:, :, None]


def read_counter(image_hwc: npt.NDArray[np.uint8], width: int, height: int) -> int | None:
    """Return the number painted in a frame of `width` x `height`, read from an image of it.

    The image may be enlarged by any whole factor. None if the check sum does not match.
    """
    cell = _cell_px(width, height) * image_hwc.shape[1] // width
    corner = image_hwc[: _ROWS * cell, : _COLUMNS * cell].mean(axis=2)
    margin = cell // 4  # blur and compression spoil the edges of a cell first
    cells = corner.reshape(_ROWS, cell, _COLUMNS, cell)
    inner = cells[:, margin : cell - margin, :, margin : cell - margin]
    word = 0
    for bit in (inner.mean(axis=(1, 3)) > 127).ravel():
        word = word << 1 | int(bit)
    counter = word >> 8
    return counter if _check_sum(counter) == word & 0xFF else None


class SynthSource:
    """Makes the frames of `synth://pattern`; the same URI always gives the same pixels."""

    def __init__(self, uri: str, clock: Clock) -> None:
        """Read `size`, `fps`, `frames` and `live` (1: paced like a camera) from the URI.

        Raises:
            UsageError: if the URI names another pattern or has a bad option.
        """
        options = _options(uri)
        width, height = _size(options["size"])
        rate = _positive(options["fps"], "fps")
        self._live = _one_of(options["live"], ("0", "1"), "live") == "1"
        self._clock = clock
        self.health = Health(uri, clock)
        self._closed = threading.Event()
        self._frames = _positive(options["frames"], "frames")
        self._info = StreamInfo(
            width=width,
            height=height,
            frame_rate=Fraction(rate),
            time_base=Fraction(1, rate),
            colour=Colour("bt709", full_range=True),
            frame_count=self._frames,
            audio_from=None,
            live=self._live,
        )
        self._texture = _texture(width, height)

    @property
    def info(self) -> StreamInfo:
        """As the URI asked."""
        return self._info

    @property
    def damaged(self) -> int:
        """Always 0."""
        return 0

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames, as fast as they are taken unless the URI says `live=1`."""
        begun_ns = self._clock()
        for serial in range(self._frames):
            due_ns = begun_ns + round(serial * 1e9 * self._info.time_base)
            if self._live and self._wait_until(due_ns):
                return
            yield Frame(
                self._picture(serial), serial, serial, self._info.time_base, self._clock(), 1
            )

    def stop(self) -> None:
        """End a live wait."""
        self._closed.set()

    def close(self) -> None:
        """End a live wait."""
        self._closed.set()

    def _picture(self, serial: int) -> npt.NDArray[np.uint8]:
        width = self._info.width
        shift = 2 * serial % width
        frame_hwc = self._texture[:, shift : shift + width].copy()
        paint_counter(frame_hwc, serial)
        return frame_hwc

    def _wait_until(self, due_ns: int) -> bool:
        """Wait for a frame's time; True if the source was closed meanwhile."""
        return self._closed.wait(max(0, due_ns - self._clock()) / 1e9)


def _texture(width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return a pattern [H,2W,3] that repeats after W columns: waves, and hard edges on them."""
    x = np.arange(width)
    y = np.arange(height)[:, None]
    waves = np.sin(2 * np.pi * 3 * x / width + 6 * y / height)
    checks = ((x * 8 // width + y * 8 // height) % 2) * 60.0
    shifted = [np.roll(waves, channel * width // 3, axis=1) for channel in range(3)]
    once = (96 + 60 * np.stack(shifted, axis=2) + checks[:, :, None]).clip(0, 255).astype(np.uint8)
    return np.concatenate([once, once], axis=1)


def _options(uri: str) -> dict[str, str]:
    parts = urlsplit(uri)
    if parts.netloc != "pattern" or parts.path:
        raise UsageError(f"'{uri}' names no synthetic source; use {_EXAMPLE}")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(given) - set(_USUAL))
    if unknown:
        raise UsageError(
            f"'{uri}' has the unknown option '{unknown[0]}'; choose among {', '.join(_USUAL)}, "
            f"as in {_EXAMPLE}"
        )
    return {**_USUAL, **given}


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()) or min(int(width), int(height)) < _SMALLEST:
        raise UsageError(
            f"size is '{text}'; write width x height of at least {_SMALLEST}x{_SMALLEST} px, "
            f"as in {_EXAMPLE}"
        )
    return int(width), int(height)


def _positive(text: str, name: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"{name} is '{text}'; give a whole number of at least 1")
    return int(text)


def _one_of(text: str, choices: tuple[str, ...], name: str) -> str:
    if text not in choices:
        raise UsageError(f"{name} is '{text}'; choose {' or '.join(choices)}")
    return text
