"""A fake camera: the kernel's side of every Video4Linux2 call, byte by byte.

It reads and writes the structures with offsets of its own, those that the C compiler gives for
`linux/videodev2.h` on a 64-bit machine, so that a mistake in the layout under test shows.
"""

import errno
import mmap
import os
import struct
from collections import deque
from dataclasses import dataclass, field

from crispstream.runtime.stream.sources.v4l2_device import System

# Numbers of the calls: direction, size of the structure, 'V', number.
QUERYCAP, ENUM_FMT, G_FMT, S_FMT = 0x80685600, 0xC0405602, 0xC0D05604, 0xC0D05605
REQBUFS, QUERYBUF, QBUF, DQBUF = 0xC0145608, 0xC0585609, 0xC058560F, 0xC0585611
STREAMON, STREAMOFF, G_PARM, S_PARM = 0x40045612, 0x40045613, 0xC0CC5615, 0xC0CC5616
ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B

MONOTONIC, DAMAGED = 0x2000, 0x40
CAPTURE, STREAMING, METADATA = 0x1, 0x4000000, 0x800000


@dataclass
class Shot:
    """One picture that the fake camera will give."""

    data: bytes
    sequence: int
    captured_us: int = 0
    flags: int = MONOTONIC


@dataclass
class FakeCamera(System):
    """Plays one device; `modes` are (format, width, height, [(numerator, denominator)])."""

    modes: list[tuple[str, int, int, list[tuple[int, int]]]]
    name: str = "Fake Cam"
    capabilities: int = CAPTURE | STREAMING
    row_bytes: int = 0
    colorspace: int = 8
    ycbcr: int = 0
    quantization: int = 0
    stepwise: tuple[int, ...] = ()
    """Bounds of width and height with their steps, in place of the modes' sizes."""
    refusals: dict[int, int] = field(default_factory=dict)
    """Call -> errno."""
    shots: deque[Shot] = field(default_factory=deque)
    present: tuple[str, int, int] | None = None
    with_camera: bool = True
    opens: int = 0
    running: bool = False
    rate: tuple[int, int] = (1, 30)
    idle_wakes: int = 0
    """How often to wake whoever waits, without a picture."""
    queued: deque[int] = field(default_factory=deque)
    maps: list[mmap.mmap] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)

    def open(self, path: str) -> int:
        if not self.with_camera:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if -1 in self.refusals:
            raise OSError(self.refusals[-1], os.strerror(self.refusals[-1]), path)
        self.opens += 1
        self.maps.clear()
        self.queued.clear()
        return 90

    def close(self, descriptor: int) -> None:
        self.closed.append(descriptor)

    def wait(self, descriptor: int, seconds: float) -> bool:
        return bool(self.shots or self.idle_wakes)

    def map(self, descriptor: int, length: int, offset: int) -> mmap.mmap:
        assert offset == len(self.maps) * 4096 * 1024
        self.maps.append(mmap.mmap(-1, length))
        return self.maps[-1]

    def ioctl(self, descriptor: int, request: int, argument: bytearray) -> None:
        assert descriptor == 90
        assert len(argument) == request >> 16 & 0x3FFF
        if request in self.refusals:
            raise OSError(self.refusals[request], os.strerror(self.refusals[request]))
        {
            QUERYCAP: self._tell_capabilities,
            ENUM_FMT: self._tell_format,
            ENUM_FRAMESIZES: self._tell_size,
            ENUM_FRAMEINTERVALS: self._tell_interval,
            G_FMT: self._get_format,
            S_FMT: self._set_format,
            G_PARM: self._get_rate,
            S_PARM: self._set_rate,
            REQBUFS: lambda data: struct.pack_into("I", data, 0, 3),
            QUERYBUF: self._tell_buffer,
            QBUF: self._queue,
            DQBUF: self._fill,
            STREAMON: lambda data: self._run(True),
            STREAMOFF: lambda data: self._run(False),
        }[request](argument)

    def _run(self, running: bool) -> None:
        self.running = running

    def _tell_capabilities(self, data: bytearray) -> None:
        data[16:48] = self.name.encode().ljust(32, b"\0")
        struct.pack_into("II", data, 84, 0x80000000 | CAPTURE | STREAMING, self.capabilities)

    def _formats(self) -> list[str]:
        return list(dict.fromkeys(mode[0] for mode in self.modes))

    def _tell_format(self, data: bytearray) -> None:
        index, kind = struct.unpack_from("II", data)
        assert kind == 1
        data[44:48] = _nth(self._formats(), index).encode()

    def _tell_size(self, data: bytearray) -> None:
        (index,) = struct.unpack_from("I", data)
        name = data[4:8].decode()
        if self.stepwise:
            struct.pack_into("7I", data, 8, 3, *_nth([self.stepwise], index))
            return
        sizes = [(mode[1], mode[2]) for mode in self.modes if mode[0] == name]
        struct.pack_into("3I", data, 8, 1, *_nth(sizes, index))

    def _tell_interval(self, data: bytearray) -> None:
        index, width, height = (struct.unpack_from("I", data, at)[0] for at in (0, 8, 12))
        key = (data[4:8].decode(), width, height)
        intervals = [i for mode in self.modes if mode[:3] == key for i in mode[3]]
        struct.pack_into("3I", data, 16, 1, *_nth(intervals, index))

    def _get_format(self, data: bytearray) -> None:
        self._put_format(data, *(self.present or self.modes[0][:3]))

    def _set_format(self, data: bytearray) -> None:
        width, height = struct.unpack_from("II", data, 8)
        self.present = (data[16:20].decode(), width, height)
        self._put_format(data, *self.present)

    def _put_format(self, data: bytearray, name: str, width: int, height: int) -> None:
        struct.pack_into("II4sII", data, 8, width, height, name.encode(), 1, self.row_bytes)
        struct.pack_into("I", data, 32, self.colorspace)
        struct.pack_into("II", data, 44, self.ycbcr, self.quantization)

    def _get_rate(self, data: bytearray) -> None:
        struct.pack_into("II", data, 12, *self.rate)

    def _set_rate(self, data: bytearray) -> None:
        self.rate = struct.unpack_from("II", data, 12)

    def _tell_buffer(self, data: bytearray) -> None:
        (index,) = struct.unpack_from("I", data)
        struct.pack_into("I", data, 64, index * 4096 * 1024)
        struct.pack_into("I", data, 72, 4096 * 1024)

    def _queue(self, data: bytearray) -> None:
        index, kind = struct.unpack_from("II", data)
        assert (kind, struct.unpack_from("I", data, 60)[0]) == (1, 1)
        assert index not in self.queued
        self.queued.append(index)

    def _fill(self, data: bytearray) -> None:
        if self.idle_wakes:
            self.idle_wakes -= 1
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        shot, index = self.shots.popleft(), self.queued.popleft()
        self.maps[index][: len(shot.data)] = shot.data
        struct.pack_into("4I", data, 0, index, 1, len(shot.data), shot.flags)
        struct.pack_into("2q", data, 24, *divmod(shot.captured_us, 1_000_000))
        struct.pack_into("I", data, 56, shot.sequence)


def _nth(entries: list, index: int):
    """Return an entry, or say as the kernel does that there are no more."""
    if index >= len(entries):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return entries[index]
