"""Pictures from the network: IP cameras, media servers, video in UDP packets.

What is tuned here is delay. Two delays stay, for FFmpeg knows no way around them: its parser
sees that an H.264 picture is whole when the next one begins, and a decoder can only begin with
a keyframe.
"""

import logging
import time
from collections import deque
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.codec.hwaccel import HWAccel

from crispstream.core.errors import SourceError, UsageError, first_line
from crispstream.core.uris import masked
from crispstream.runtime.frame import Colour
from crispstream.runtime.stream.colour import FromYuv, colour_of
from crispstream.runtime.stream.cores import codec_threads
from crispstream.runtime.stream.decoding import hardware, restore_tags, video_stream
from crispstream.runtime.stream.live.feed import LONGEST_READ_SECONDS, OpenFeed, Picture

from .network_errors import why_broken, why_not_opened

SCHEMES = ("rtsp", "rtspu", "rtsps", "rtmp", "rtmps", "udp", "srt", "http", "https")
"""rtsp carries its pictures through the connection itself, rtspu in UDP packets: a little less
delay, and holes where the network loses packets. (GStreamer's name for it.)"""

_OPEN_SECONDS = 5.0
_WAIT_SECONDS = LONGEST_READ_SECONDS / 2 - 0.05
"""FFmpeg's time-out. It is met twice before a stream counts as silent: the first one only makes
the parser give away the picture that it holds."""

# An RTSP server says beforehand what it sends, so there is nothing to find out by reading. (The
# usual "fflags nobuffer" would throw the keyframe away that is read meanwhile: a wait of up to
# the next one.) The others have to be looked into, for the time they send until a keyframe.
_RTSP = {"rtsp_transport": "tcp", "allowed_media_types": "video"}
_NO_PROBE = {"probesize": "32", "analyzeduration": "0"}
_SHORT_PROBE = {"analyzeduration": "1000000", "fpsprobesize": "0"}
_OPTIONS: dict[str, dict[str, str]] = {
    "rtsp": {**_RTSP, **_NO_PROBE},
    "rtsps": {**_RTSP, **_NO_PROBE},
    # Microseconds that a packet may be late before the picture is made without it.
    "rtspu": {**_RTSP, **_NO_PROBE, "rtsp_transport": "udp", "max_delay": "200000"},
    "rtmp": {**_SHORT_PROBE, "rtmp_live": "live"},
    "rtmps": {**_SHORT_PROBE, "rtmp_live": "live"},
    "udp": {**_SHORT_PROBE, "overrun_nonfatal": "1"},
}

_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS of libavformat's avformat.h
_PLAYLISTS = ("hls", "dash")
_SMALL_PX = 640 * 480
_FASTEST_RATE = 1000
_log = logging.getLogger("crispstream.stream")


class RecordingError(UsageError):
    """The address is of a file with an end, and not of a live stream."""


def network_feed(uri: str, decoder: str = "auto") -> OpenFeed:
    """Return what opens an address of one of `SCHEMES`.

    `decoder` is one of `source.DECODERS`. What the returned function raises is in `OpenFeed`.
    """
    return _Opener(uri, decoder)


class _Opener:
    """Opens feeds of one address, and remembers that the GPU cannot decode it."""

    def __init__(self, uri: str, decoder: str) -> None:
        self._uri = uri
        self._decoder = decoder

    def __call__(self) -> "NetworkFeed":
        accelerator = hardware(self._decoder)
        if accelerator is None:
            return NetworkFeed(self._uri, None)
        try:
            return NetworkFeed(self._uri, accelerator)
        except (RuntimeError, NotImplementedError) as error:
            why = first_line(error)
        if self._decoder != "auto":
            raise SourceError(
                f"the GPU does not decode '{masked(self._uri)}' ({why}); choose the decoder cpu"
            )
        _log.info("%s is decoded on the CPU: %s", masked(self._uri), why)
        self._decoder = "cpu"
        return NetworkFeed(self._uri, None)


class NetworkFeed:
    """One connection to an address; see `Feed`."""

    def __init__(self, uri: str, accelerator: HWAccel | None) -> None:
        """Connect, and find the video.

        Raises:
            SourceError: if the address does not answer, refuses, or has no video to decode.
            UsageError: if this build of FFmpeg knows no such kind of address, or it is a
                playlist.
            RecordingError: if it is a file with an end.
        """
        self._uri = uri
        options = _OPTIONS.get(_scheme(uri), _SHORT_PROBE)
        self._container = opened_address(uri, accelerator, options, _WAIT_SECONDS)
        try:
            _refuse_unlive(self._container, uri)
            self._stream = _video_stream(self._container, uri)
        except BaseException:
            self._container.close()
            raise
        self.time_base = Fraction(self._stream.time_base or Fraction(1, 90_000))
        self.frame_rate = _frame_rate(self._stream)
        self.colour = Colour("bt709", full_range=False)  # until the first picture tells
        self._accelerated = accelerator is not None
        # FFmpeg makes times up where a stream has none, at 25 frames a second whatever comes.
        self._has_times = not self._container.format.flags & _NO_TIMESTAMPS
        self._to_bgr: FromYuv | None = None
        self._packets = self._container.demux()
        self._pictures: deque[av.VideoFrame] = deque()
        self._skipped = 0
        self._heard = time.monotonic()

    def read(self) -> Picture | None:
        """Return the next picture; see `Feed`.

        Raises:
            SourceError: if nothing came for `LONGEST_READ_SECONDS`, or the stream ended.
        """
        begun = time.monotonic()
        while not self._pictures:
            packet = self._packet()
            if packet is not None:
                self._decode(packet)
            if not self._pictures and time.monotonic() - begun >= _WAIT_SECONDS:
                return None
        return self._picture(self._pictures.popleft())

    def close(self) -> None:
        """Hang up."""
        self._pictures.clear()
        self._container.close()

    def _packet(self) -> "av.Packet[Any] | None":
        """Return the next packet of the video, None for a wait in vain or another stream's."""
        problem, packet = "", None
        try:
            packet = next(self._packets, None)
            if packet is None or packet.size == 0:
                problem = f"'{masked(self._uri)}' was ended by its sender; see whether it is on"
        except av.error.ExitError:
            self._packets = self._container.demux()  # over is the iteration, not the connection
        except (av.error.FFmpegError, OSError) as error:
            problem = why_broken(self._uri, error)
        if problem:
            raise SourceError(problem)  # out here, without FFmpeg's error: that holds the password
        if packet is not None and packet.stream is self._stream:
            self._heard = time.monotonic()
            return packet
        if time.monotonic() - self._heard >= 2 * _WAIT_SECONDS:
            raise SourceError(
                f"'{masked(self._uri)}' sent no video for {LONGEST_READ_SECONDS:.0f} s; see "
                "whether the camera is on"
            )
        return None

    def _decode(self, packet: "av.Packet[Any]") -> None:
        try:
            self._pictures.extend(self._stream.codec_context.decode(packet))
        except av.error.FFmpegError:
            # Before the first picture there is only what a keyframe is missing for.
            self._skipped += self._to_bgr is not None

    def _picture(self, picture: av.VideoFrame) -> Picture:
        if self._accelerated:
            restore_tags(picture, self._stream.codec_context)
        colour = colour_of(picture)
        if self._to_bgr is None or colour != self.colour:
            self.colour, self._to_bgr = colour, FromYuv(colour)
        turned_hwc = np.rot90(self._to_bgr(picture), round(picture.rotation / 90) % 4)
        skipped, self._skipped = self._skipped, 0
        if not self._has_times:
            return Picture(turned_hwc, None, 0, skipped)
        return Picture(turned_hwc, picture.pts, picture.duration or 0, skipped)


def opened_address(
    uri: str, accelerator: HWAccel | None, options: dict[str, str], silent_seconds: float
) -> av.container.InputContainer:
    """Open an address with FFmpeg's `options`; reads that take `silent_seconds` are errors.

    Raises:
        SourceError: if it does not answer within 5 s, refuses, or holds no video.
        UsageError: if this build of FFmpeg knows no such kind of address.
    """
    scheme, rest = _scheme(uri), uri.partition("://")[2]
    begun = time.monotonic()
    try:
        return av.open(
            f"rtsp://{rest}" if scheme == "rtspu" else uri,
            options=options,
            timeout=(_OPEN_SECONDS, silent_seconds),
            hwaccel=accelerator,
        )
    except av.error.ProtocolNotFoundError:
        problem = ""
    except (av.error.FFmpegError, OSError, ValueError) as error:
        timed_out = time.monotonic() - begun >= _OPEN_SECONDS
        problem = why_not_opened(uri, error, timed_out=timed_out)
    if problem:  # out here, without FFmpeg's error: that holds the password
        raise SourceError(problem)
    raise UsageError(
        f"this build of PyAV reads no {scheme}:// addresses; choose another of the camera's, such "
        "as rtsp://"
    )


def _scheme(uri: str) -> str:
    return uri.partition("://")[0].lower()


def _refuse_unlive(container: av.container.InputContainer, uri: str) -> None:
    """Refuse what comes over HTTP and is no live stream."""
    if not uri.lower().startswith("http"):
        return
    if container.duration:
        raise RecordingError(
            f"'{masked(uri)}' is a recording of {container.duration / av.time_base:.1f} s, no live "
            "stream; start a run of its own for it"
        )
    if container.format.name in _PLAYLISTS:
        raise UsageError(
            f"'{masked(uri)}' is a live playlist, whose pictures come in pieces of seconds, too "
            "late to be live; give the stream itself: rtsp://, or MPEG-TS, FLV or MJPEG over "
            "http://"
        )


def _video_stream(container: av.container.InputContainer, uri: str) -> av.VideoStream:
    stream = video_stream(container, masked(uri), "let the camera send H.264 or H.265")
    codec = stream.codec_context
    codec.flags |= Flags.low_delay
    codec.thread_type = "SLICE"  # threads that take whole pictures would each add one of delay
    alone = codec.is_hwaccel or codec.width * codec.height <= _SMALL_PX
    codec.thread_count = 1 if alone else codec_threads()
    return stream


def _frame_rate(stream: av.VideoStream) -> Fraction | None:
    """Return the announced rate; without one FFmpeg takes a tick of the clock for a frame."""
    rate = stream.average_rate
    return Fraction(rate) if rate and rate <= _FASTEST_RATE else None
