"""A camera on Linux: USB webcams, capture cards, and whatever else is a /dev/video.

Pictures come with the time at which the kernel had them and a count, whose gaps are the pictures
that were lost before they were read. Tried with a fake camera only, which plays the kernel's side
of every call, byte by byte; never yet with a real one.
"""

import time
from fractions import Fraction

from crispstream.core.errors import SourceError, UsageError
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import size_text
from crispstream.runtime.stream.live.feed import LONGEST_READ_SECONDS, OpenFeed, Picture

from .v4l2_device import FLAG_ERROR, SYSTEM, Buffer, Device, Mode, System
from .v4l2_found import explained, others
from .v4l2_modes import PIXEL_FORMATS, best_mode, modes_text, usable
from .v4l2_pictures import pictures_of

_WRAP = 2**32
_MOST_LOST = 1000  # a larger gap is a counter that began anew


def camera_feed(
    device: str,
    size: tuple[int, int] | None,
    frames_per_second: float | None,
    system: System = SYSTEM,
) -> OpenFeed:
    """Return what opens the camera; it is left as it is set where nothing is asked."""
    return lambda: CameraFeed(device, size, frames_per_second, system)


class CameraFeed:
    """One opening of a camera; see `Feed`."""

    time_base = Fraction(1, 1_000_000)

    def __init__(
        self,
        device: str,
        size: tuple[int, int] | None,
        frames_per_second: float | None,
        system: System = SYSTEM,
    ) -> None:
        """Open the camera and let it run.

        Raises:
            SourceError: if it is not there, in use, or may not be opened.
            UsageError: if the device gives no pictures, or not of this size at this rate.
        """
        self._name = device
        self._previous: int | None = None
        self._device = _opened(device, system)
        try:
            self._set_up(size, frames_per_second)
        except OSError as error:
            self._device.close()
            raise SourceError(explained(device, error)) from error
        except BaseException:
            self._device.close()
            raise

    def _set_up(self, size: tuple[int, int] | None, frames_per_second: float | None) -> None:
        name, captures = self._device.name_and_whether_it_captures()
        if not captures:
            raise UsageError(
                f"'{self._name}' ({name}) gives no pictures that can be read here: it is for "
                f"metadata, output, or several planes; {others(self._name)}, or read it through "
                "gst:v4l2src"
            )
        mode = self._mode(size, frames_per_second)
        format_ = self._device.set_format(mode.width, mode.height, mode.pixel_format)
        if (format_.width, format_.height, format_.pixel_format) != (*mode[:2], mode[3]):
            raise SourceError(
                f"the camera '{self._name}' was asked for {size_text(mode[:2])} in "
                f"{mode.pixel_format} and gives {format_.width}x{format_.height} in "
                f"{format_.pixel_format}; ask for that size"
            )
        self.frame_rate = self._device.set_rate(mode.frames_per_second)
        self._pictures = pictures_of(format_)
        self.colour = self._pictures.colour
        self._device.start()

    def _mode(self, size: tuple[int, int] | None, frames_per_second: float | None) -> Mode:
        """Return the mode to set, which is the present one where nothing else is asked."""
        modes = self._device.modes()
        present = self._device.format()
        if not modes and size is None and present.pixel_format in PIXEL_FORMATS:
            return Mode(present.width, present.height, None, present.pixel_format)
        wanted = size or (present.width, present.height)
        mode = best_mode(modes, wanted, frames_per_second)
        if mode is None and size is None:
            mode = best_mode(modes, None, frames_per_second)
        if mode is not None:
            return mode
        at = "" if frames_per_second is None else f" at {frames_per_second:g} frames per second"
        raise UsageError(
            f"the camera '{self._name}' has no pictures of {size_text(wanted)}{at}; choose one of "
            f"its modes: {modes_text(usable(modes)) or 'none that can be read here'}"
        )

    def read(self) -> Picture:
        """Return the next picture that is whole; see `Feed`."""
        deadline = time.monotonic() + LONGEST_READ_SECONDS
        skipped = 0
        try:
            while (remaining := deadline - time.monotonic()) > 0:
                buffer = self._device.take(remaining)
                if buffer is None:  # woken for nothing, or the time is up
                    continue
                skipped += self._gap(buffer.sequence)
                pixels_hwc = self._taken(buffer)
                if pixels_hwc is not None:
                    return Picture(pixels_hwc, buffer.captured_us, skipped=skipped)
                skipped += 1
        except OSError as error:
            raise SourceError(explained(self._name, error)) from error
        raise SourceError(
            f"the camera '{self._name}' gave no whole picture for {LONGEST_READ_SECONDS:g} s; "
            "check its cable, and whether it needs more power"
        )

    def _gap(self, sequence: int) -> int:
        """Return how many pictures were lost before this one."""
        previous, self._previous = self._previous, sequence
        if previous is None:
            return 0
        lost = (sequence - previous - 1) % _WRAP
        return lost if lost <= _MOST_LOST else 0

    def _taken(self, buffer: Buffer) -> Bytes | None:
        """Return the picture in a buffer, None if it is damaged, and give the buffer back."""
        try:
            if buffer.flags & FLAG_ERROR or buffer.bytes_used < self._pictures.bytes_needed:
                return None
            with self._device.memory(buffer) as memory, memory[: buffer.bytes_used] as data:
                return self._pictures(data)
        finally:
            self._device.give_back(buffer.number)

    def close(self) -> None:
        """Stop the camera; calling it twice does no harm."""
        self._device.close()


def _opened(device: str, system: System) -> Device:
    try:
        return Device(device, system)
    except OSError as error:
        raise SourceError(explained(device, error)) from error
