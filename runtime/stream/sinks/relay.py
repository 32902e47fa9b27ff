"""Encodes pictures and sends them to a network address: the far end of a `Link`.

A process of its own, since PyAV holds Python's lock while FFmpeg connects, writes a head or
says good-bye, and has no time limit for it: a server that keeps silent would stop the cameras
too. This process can be ended at any moment.

It reads a line of JSON from standard input, then pictures. It writes one byte to standard
output once the other side takes the stream, and one for every picture sent; what went wrong
goes to standard error, in a line.
"""

import dataclasses
import io
import json
import os
import signal
import struct
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import av
import av.error
import numpy as np

from crispstream.runtime.frame import Colour

from .encoder import Encoding
from .track import VideoTrack

PICTURE_HEAD = struct.Struct("=qq")
"""Time and duration of the picture whose pixels, uint8 [H,W,3] BGR, follow."""

_REFUSED_LOGIN = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
_LONGEST_CALL_SECONDS = 10.0
"""After this the system ends the process, should the one that started it be gone."""


def order(address: str, muxer: str, muxer_options: Mapping[str, str], encoding: Encoding) -> bytes:
    """Return the first line to write: what to do. It may hold a password, so it is no argument."""
    fields = {**dataclasses.asdict(encoding), "colour": dataclasses.asdict(encoding.colour)}
    content = {
        "address": address,
        "muxer": muxer,
        "muxer_options": dict(muxer_options),
        "encoding": fields,
    }
    return (json.dumps(content, default=str) + "\n").encode()


def main() -> int:
    """Do one connection's work; return 0 once the pictures have ended."""
    # Who started it tells when to end: a Ctrl-C or a service manager means them first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wanted = json.loads(io.FileIO(0, closefd=False).readline())  # unbuffered: pictures follow
    try:
        _send_all(wanted, _encoding(wanted["encoding"]))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        sys.stderr.write(_reason(error, wanted["address"]) + "\n")
        return 1
    return 0


def _reason(error: Exception, address: str) -> str:
    """Say what went wrong; never by the error's own text, which may hold the address."""
    if isinstance(error, av.error.ProtocolNotFoundError):
        return "the FFmpeg inside this build of PyAV does not speak this protocol"
    if isinstance(error, _REFUSED_LOGIN):
        if "@" in urlsplit(address).netloc:
            return "the server refused the user name or password"
        return "the server asks for a user name and a password"
    return getattr(error, "strerror", None) or f"{type(error).__name__} in FFmpeg"


def _encoding(fields: dict[str, Any]) -> Encoding:
    exact = {
        name: Fraction(fields[name]) if fields[name] is not None else None
        for name in ("time_base", "frame_rate", "output_rate")
    }
    return Encoding(**{**fields, **exact, "colour": Colour(**fields["colour"])})


def _send_all(wanted: dict[str, Any], encoding: Encoding) -> None:
    pixels_hwc = np.empty((encoding.height, encoding.width, 3), np.uint8)
    head = bytearray(PICTURE_HEAD.size)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_CALL_SECONDS)
    container = av.open(
        wanted["address"],
        "w",
        format=wanted["muxer"],
        container_options=wanted["muxer_options"],
    )
    try:
        track = VideoTrack(container, encoding)
        container.start_encoding()
        _acknowledge()
        end_pts = 0
        while _filled(memoryview(head)) and _filled(pixels_hwc.data.cast("B")):
            pts, duration = PICTURE_HEAD.unpack(head)
            end_pts = pts + duration
            for packet in track.packets(pts, duration, pixels_hwc):
                container.mux(packet)
            _acknowledge()
        for packet in track.rest(end_pts):
            container.mux(packet)
    finally:
        container.close()


def _filled(view: memoryview) -> bool:
    """Fill a piece of memory from standard input; False at its end."""
    signal.setitimer(signal.ITIMER_REAL, 0)  # waiting for pictures has no limit
    while view.nbytes:
        read = os.readv(0, [view])
        if not read:
            return False
        view = view[read:]
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_CALL_SECONDS)
    return True


def _acknowledge() -> None:
    os.write(1, b".")


if __name__ == "__main__":
    sys.exit(main())
