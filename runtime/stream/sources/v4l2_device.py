"""Video4Linux2 as the kernel speaks it: the calls a camera needs, packed and unpacked.

The structures and numbers are those of the kernel's `linux/videodev2.h`, in the native layout of
the machine. FFmpeg's input of the same name is not used: its reads cannot be bounded (it waits in
VIDIOC_DQBUF, which its timeout does not interrupt), and it passes on neither the sequence
numbers, which tell of lost pictures, nor the colour tags.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import select
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

_READ, _WRITE = 2, 1
_CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
_MMAP = 1  # V4L2_MEMORY_MMAP
_CAP_CAPTURE, _CAP_STREAMING, _CAP_DEVICE_CAPS = 0x1, 0x4000000, 0x80000000
_DISCRETE = 1  # V4L2_FRMSIZE_TYPE_DISCRETE and V4L2_FRMIVAL_TYPE_DISCRETE
_MOST_ENTRIES = 500  # of a list: a driver that never says "no more" is broken
_BUFFERS = 4

FLAG_ERROR = 0x40
_FLAG_CLOCK_MASK, _FLAG_CLOCK_MONOTONIC = 0xE000, 0x2000

# What is listed of a camera that takes any size within bounds.
_USUAL_SIZES = (
    (160, 120), (320, 180), (320, 240), (480, 270), (640, 360), (640, 480), (800, 600),
    (960, 540), (1280, 720), (1280, 960), (1920, 1080), (2560, 1440), (3840, 2160),
)  # fmt: skip


class Mode(NamedTuple):
    """One way a camera can give pictures."""

    width: int
    height: int
    """In pixels."""
    frames_per_second: Fraction | None
    """None where the camera does not tell."""
    pixel_format: str
    """The kernel's name of it in four letters, as "YUYV" or "MJPG"."""


class Format(NamedTuple):
    """What a camera is set to, as the kernel's v4l2_pix_format has it."""

    width: int
    height: int
    pixel_format: str
    field: int
    row_bytes: int
    picture_bytes: int
    colorspace: int
    private: int
    flags: int
    ycbcr_encoding: int
    quantization: int
    transfer: int


class Buffer(NamedTuple):
    """A filled buffer, which is the reader's until it is given back."""

    number: int
    bytes_used: int
    flags: int
    captured_us: int | None
    """On the kernel's monotonic clock; None where the driver has no such time."""
    sequence: int
    """Counts the pictures the camera took, lost ones included."""


class _Call(NamedTuple):
    direction: int
    number: int
    layout: struct.Struct

    @property
    def request(self) -> int:
        """The number of the call: _IOC of linux/ioctl.h."""
        return self.direction << 30 | self.layout.size << 16 | ord("V") << 8 | self.number


_FORMAT_LAYOUT = struct.Struct("I0L12I152x")
_BUFFER_LAYOUT = struct.Struct("5I2l2I8B2IL3I0L")
_RATE_LAYOUT = struct.Struct("11I160x")

QUERYCAP = _Call(_READ, 0, struct.Struct("16s32s32s6I"))
ENUM_FMT = _Call(_READ | _WRITE, 2, struct.Struct("3I32s5I"))
G_FMT = _Call(_READ | _WRITE, 4, _FORMAT_LAYOUT)
S_FMT = _Call(_READ | _WRITE, 5, _FORMAT_LAYOUT)
REQBUFS = _Call(_READ | _WRITE, 8, struct.Struct("5I"))
QUERYBUF = _Call(_READ | _WRITE, 9, _BUFFER_LAYOUT)
QBUF = _Call(_READ | _WRITE, 15, _BUFFER_LAYOUT)
DQBUF = _Call(_READ | _WRITE, 17, _BUFFER_LAYOUT)
STREAMON = _Call(_WRITE, 18, struct.Struct("i"))
STREAMOFF = _Call(_WRITE, 19, struct.Struct("i"))
G_PARM = _Call(_READ | _WRITE, 21, _RATE_LAYOUT)
S_PARM = _Call(_READ | _WRITE, 22, _RATE_LAYOUT)
ENUM_FRAMESIZES = _Call(_READ | _WRITE, 74, struct.Struct("11I"))
ENUM_FRAMEINTERVALS = _Call(_READ | _WRITE, 75, struct.Struct("13I"))


class System:
    """The operating system's part; a fake camera replaces it in tests."""

    def open(self, path: str) -> int:
        """Open a device without waiting for it."""
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, descriptor: int, request: int, argument: bytearray) -> None:
        """Make a call, whose answer replaces the argument."""
        while True:
            try:
                fcntl.ioctl(descriptor, request, argument)
            except InterruptedError:
                continue
            return

    def map(self, descriptor: int, length: int, offset: int) -> mmap.mmap:
        """Return the memory of a buffer."""
        return mmap.mmap(descriptor, length, offset=offset)

    def wait(self, descriptor: int, seconds: float) -> bool:
        """Wait until something is to be read, or the device has gone; False if neither came."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def close(self, descriptor: int) -> None:
        """Close a device."""
        os.close(descriptor)


SYSTEM = System()


class Device:
    """An open device. Whatever the kernel refuses is raised as OSError, with its number."""

    def __init__(self, path: str, system: System = SYSTEM) -> None:
        """Open it; nothing is changed by that."""
        self._system = system
        self._descriptor: int | None = system.open(path)
        self._maps: list[mmap.mmap] = []

    def _call(self, call: _Call, *values: int) -> tuple[Any, ...]:
        """Make a call with a structure that begins with these values, zeros behind them."""
        if self._descriptor is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        blank = call.layout.unpack(bytes(call.layout.size))
        argument = bytearray(call.layout.pack(*values, *blank[len(values) :]))
        self._system.ioctl(self._descriptor, call.request, argument)
        return call.layout.unpack(argument)

    def name_and_whether_it_captures(self) -> tuple[str, bool]:
        """Return what the camera calls itself, and whether it gives pictures this way.

        A camera has other devices beside: for metadata, for several planes.
        """
        _, card, _, _, whole, here, *_ = self._call(QUERYCAP)
        able = here if whole & _CAP_DEVICE_CAPS else whole
        name = card.rstrip(b"\0").decode(errors="replace")
        return name, bool(able & _CAP_CAPTURE and able & _CAP_STREAMING)

    def format(self) -> Format:
        """Return what the camera is set to."""
        return _format(self._call(G_FMT, _CAPTURE))

    def set_format(self, width: int, height: int, pixel_format: str) -> Format:
        """Ask for a format; return the nearest that the camera can do."""
        code = int.from_bytes(pixel_format.encode(), "little")
        return _format(self._call(S_FMT, _CAPTURE, width, height, code))

    def set_rate(self, frames_per_second: Fraction | None) -> Fraction | None:
        """Ask for a rate, or leave it with None; return the one there is, None if not known."""
        call, values = G_PARM, [_CAPTURE]
        if frames_per_second is not None:
            rate = frames_per_second
            call, values = S_PARM, [_CAPTURE, 0, 0, rate.denominator, rate.numerator]
        try:
            _, _, _, numerator, denominator, *_ = self._call(call, *values)
        except OSError:  # not every camera has a rate to set
            return None
        return Fraction(denominator, numerator) if numerator and denominator else None

    def modes(self) -> list[Mode]:
        """Return all ways the camera can give pictures."""
        found = []
        for _, _, _, _, code, *_ in self._entries(ENUM_FMT, lambda i: (i, _CAPTURE)):
            name = code.to_bytes(4, "little").decode(errors="replace").strip()
            for width, height in self._sizes(code):
                rates: list[Fraction | None] = [*self._rates(code, width, height)]
                found += [Mode(width, height, rate, name) for rate in rates or [None]]
        return found

    def _sizes(self, code: int) -> Iterator[tuple[int, int]]:
        for entry in self._entries(ENUM_FRAMESIZES, lambda i: (i, code)):
            kind, *numbers = entry[2:9]
            if kind == _DISCRETE:
                yield numbers[0], numbers[1]
                continue
            left, right, step_x, top, bottom, step_y = numbers
            for width, height in (*_USUAL_SIZES, (right, bottom)):
                fits = left <= width <= right and top <= height <= bottom
                if fits and not ((width - left) % (step_x or 1) or (height - top) % (step_y or 1)):
                    yield width, height
            return

    def _rates(self, code: int, width: int, height: int) -> list[Fraction]:
        """Return frames per second; of a range of them the highest."""
        found = []
        for entry in self._entries(ENUM_FRAMEINTERVALS, lambda i: (i, code, width, height)):
            numerator, denominator = entry[5:7]
            if numerator and denominator:
                found.append(Fraction(denominator, numerator))
            if entry[4] != _DISCRETE:
                break
        return found

    def _entries(
        self, call: _Call, values: Callable[[int], tuple[int, ...]]
    ) -> Iterator[tuple[Any, ...]]:
        """Give the entries of a list that the kernel numbers from 0, until it says no."""
        with contextlib.suppress(OSError):
            for index in range(_MOST_ENTRIES):
                yield self._call(call, *values(index))

    def start(self) -> None:
        """Make the buffers, hand them to the camera, and let it run."""
        count, *_ = self._call(REQBUFS, _BUFFERS, _CAPTURE, _MMAP)
        for number in range(count):
            answer = self._call(QUERYBUF, *_buffer(number))
            offset, length = answer[19], answer[20]
            self._maps.append(self._system.map(self._descriptor or 0, length, offset))
            self.give_back(number)
        self._call(STREAMON, _CAPTURE)

    def take(self, seconds: float) -> Buffer | None:
        """Return the oldest filled buffer; None if there is none within this time."""
        if self._descriptor is None or not self._system.wait(self._descriptor, seconds):
            return None
        try:
            answer = self._call(DQBUF, *_buffer(0))
        except BlockingIOError:
            return None
        number, _, bytes_used, flags, _, seconds_part, microseconds = answer[:7]
        monotonic = flags & _FLAG_CLOCK_MASK == _FLAG_CLOCK_MONOTONIC
        captured_us = seconds_part * 1_000_000 + microseconds if monotonic else None
        return Buffer(number, bytes_used, flags, captured_us, answer[17])

    def memory(self, buffer: Buffer) -> memoryview:
        """Return the bytes of a buffer that was taken."""
        return memoryview(self._maps[buffer.number])

    def give_back(self, number: int) -> None:
        """Hand a buffer to the camera."""
        self._call(QBUF, *_buffer(number))

    def close(self) -> None:
        """Stop the camera and close the device; calling it twice does no harm."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # it may have gone
            self._call(STREAMOFF, _CAPTURE)
        for memory in self._maps:
            with contextlib.suppress(BufferError):  # an exception's traceback may look at it
                memory.close()
        self._maps.clear()
        descriptor, self._descriptor = self._descriptor, None
        self._system.close(descriptor)


def _buffer(number: int) -> tuple[int, ...]:
    """Return the beginning of a v4l2_buffer, up to its kind of memory."""
    return number, _CAPTURE, *(0,) * 16, _MMAP


def _format(answer: tuple[Any, ...]) -> Format:
    width, height, code, *rest = answer[1:13]
    name = code.to_bytes(4, "little").decode(errors="replace").strip()
    return Format(width, height, name, *rest)
