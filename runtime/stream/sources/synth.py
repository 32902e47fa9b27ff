"""A synthetic camera: a moving pattern whose frames carry their own number.

The number is painted as black and white cells in the top left corner, 8 columns by 4 rows:
24 bits of counter, then 8 bits of check sum, most significant bit first. It survives
enlargement and video compression, so a test can tell which frame it is looking at. With
`timecode=1` a bar over the whole width takes its place, which carries the time as well; see
`timecode`.
"""

import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from crispstream.core.clock import Clock
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import RGB, Frame, StreamInfo
from crispstream.runtime.stream import timecode
from crispstream.runtime.stream.cells import Grid
from crispstream.runtime.stream.health import Health

from .synth_options import SynthOptions

_COLUMNS, _ROWS = 8, 4
_COUNTER_BITS = 24
_BUFFERED = 4
"""Frames that a live one keeps for a late reader, as a camera's driver does."""


def paint_counter(frame_hwc: Bytes, counter: int) -> None:
    """Paint a number below 2**24 into the top left corner of a frame, in place.

    >>> frame = np.zeros((16, 16, 3), np.uint8)
    >>> paint_counter(frame, 1234)
    >>> read_counter(frame, 16, 16)
    1234
    """
    number = counter % 2**_COUNTER_BITS
    height, width, _ = frame_hwc.shape
    _corner(width, height).paint(frame_hwc, number << 8 | _check_sum(number))


def read_counter(image_hwc: Bytes, width: int, height: int) -> int | None:
    """Return the number painted in a frame of `width` x `height`, read from an image of it.

    The image may be enlarged by any factor. None if the check sum does not match.
    """
    word = _corner(width, height).read(image_hwc, threshold=127)
    counter = word >> 8
    return counter if _check_sum(counter) == word & 0xFF else None


def _corner(width: int, height: int) -> Grid:
    """Return the cells of a counter: a quarter of the frame at most, never under 2 pixels each."""
    cell_px = max(2, min(width // (2 * _COLUMNS), height // (2 * _ROWS), 8))
    return Grid(_COLUMNS, _ROWS, _COLUMNS * cell_px / width, _ROWS * cell_px / height)


def _check_sum(counter: int) -> int:
    return (counter ^ counter >> 8 ^ counter >> 16 ^ 0xA5) & 0xFF


class SynthSource:
    """Makes the frames of `synth://`; the same URI gives the same pixels, but for a time code.

    A live one keeps a camera's beat, without drift, and does not wait for a late reader: of the
    frames that fell due meanwhile it keeps the newest 4, and counts the others as lost.
    """

    def __init__(self, uri: str, clock: Clock) -> None:
        """Read the options from the URI; see `SynthOptions`.

        Raises:
            UsageError: if the URI names another pattern or has a bad option.
        """
        self._options = options = SynthOptions.of(uri)
        self._clock = clock
        self.health = Health(uri, clock)
        self._stopped = threading.Event()
        self._info = StreamInfo(
            width=options.width,
            height=options.height,
            frame_rate=Fraction(options.rate),
            time_base=Fraction(1, options.rate),
            colour=RGB,
            frame_count=options.frames,
            audio_from=None,
            live=options.live,
        )
        self._scenes = [_texture(options.width, options.height)]
        if options.cut:
            self._scenes.append(255 - self._scenes[0][::-1])

    @property
    def info(self) -> StreamInfo:
        """As the URI asked."""
        return self._info

    @property
    def damaged(self) -> int:
        """Always 0."""
        return 0

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames, as fast as they are taken unless the source is live."""
        begun_ns = self._clock()
        serial = 0
        while not self._stopped.is_set() and self._goes_on(serial):
            taken_ns = self._clock()
            if self._options.live:
                serial += self._lost_before(serial, taken_ns - begun_ns)
                taken_ns = begun_ns + self._since_first_ns(serial)
                if not self._goes_on(serial) or self._wait_until(taken_ns):
                    break
            self.health.enter("live")
            yield self._frame(serial, taken_ns)
            serial += 1
        self.health.enter("ended")

    def stop(self) -> None:
        """End the iteration, and a wait for the next frame at once."""
        self._stopped.set()

    def close(self) -> None:
        """End a live wait."""
        self._stopped.set()
        self.health.enter("ended")

    def _goes_on(self, serial: int) -> bool:
        return self._options.frames is None or serial < self._options.frames

    def _lost_before(self, serial: int, elapsed_ns: int) -> int:
        """Count and return the frames from `serial` on that nobody took while they were kept."""
        due = elapsed_ns * self._options.rate // 10**9 + 1
        if self._options.frames is not None:
            due = min(due, self._options.frames)
        lost = max(0, due - serial - _BUFFERED)
        self.health.lose(lost)
        return lost

    def _since_first_ns(self, serial: int) -> int:
        return serial * 10**9 // self._options.rate

    def _wait_until(self, due_ns: int) -> bool:
        """Wait for a frame's time; True if the source was stopped meanwhile."""
        return self._stopped.wait(max(0, due_ns - self._clock()) / 1e9)

    def _frame(self, serial: int, taken_ns: int) -> Frame:
        """Make a frame that the camera took at a time; it is captured once it is made."""
        options = self._options
        scene = self._scenes[serial // options.cut % 2 if options.cut else 0]
        shift = 2 * serial % options.width
        frame_hwc = scene[:, shift : shift + options.width].copy()
        if options.timecode:
            timecode.paint(frame_hwc, serial, taken_ns)
        else:
            paint_counter(frame_hwc, serial)
        return Frame(frame_hwc, serial, serial, self._info.time_base, self._clock(), 1)


def _texture(width: int, height: int) -> Bytes:
    """Return a pattern [H,2W,3] that repeats after W columns: waves, and hard edges on them."""
    x = np.arange(width)
    y = np.arange(height)[:, None]
    waves = np.sin(2 * np.pi * 3 * x / width + 6 * y / height)
    checks = ((x * 8 // width + y * 8 // height) % 2) * 60.0
    shifted = [np.roll(waves, channel * width // 3, axis=1) for channel in range(3)]
    once = (96 + 60 * np.stack(shifted, axis=2) + checks[:, :, None]).clip(0, 255).astype(np.uint8)
    return np.concatenate([once, once], axis=1)
