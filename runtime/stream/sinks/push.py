"""Restored frames pushed to a server or a receiver: RTSP, RTMP, MPEG-TS over UDP, SRT.

The connection is made at the start, so that a wrong address shows at once. Later the stream goes
on whatever the other side does: frames are lost and counted while there is none, and another
connection is tried in the background, for as long as it takes. Sound is not sent.
"""

import functools
import logging
import socket
import threading
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import av
import av.error
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import SinkError, UsageError
from crispstream.core.uris import masked
from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.stream.live.backoff import Backoff
from crispstream.runtime.stream.sink import Sink, SinkOptions

from .encoder import encoding_for
from .figures import told
from .link import Link, LinkLostError
from .pace import Pace

_log = logging.getLogger("crispstream.stream")


class _Protocol(NamedTuple):
    """How a scheme is spoken."""

    muxer: str
    muxer_options: Mapping[str, str]
    port: int | None
    """The usual one; None where every address names its own."""
    by_tcp: bool
    """Whether a connection tells if anybody is there."""
    everywhere: bool = True
    """Whether every build of FFmpeg speaks it."""


_RTSP = {"rtsp_transport": "tcp"}
_FLV = {"flvflags": "no_duration_filesize", "flush_packets": "1"}
_TS = {"flush_packets": "1"}
_PROTOCOLS = {
    "rtsp": _Protocol("rtsp", _RTSP, 554, by_tcp=True),
    "rtsps": _Protocol("rtsp", _RTSP, 322, by_tcp=True),
    "rtmp": _Protocol("flv", _FLV, 1935, by_tcp=True),
    "rtmps": _Protocol("flv", _FLV, 443, by_tcp=True),
    "udp": _Protocol("mpegts", _TS, None, by_tcp=False),
    "srt": _Protocol("mpegts", _TS, None, by_tcp=False, everywhere=False),
}
_TS_DATAGRAM_BYTES = 1316  # seven MPEG-TS packets, what fits an Ethernet frame

_CONNECT_SECONDS = 3.0
_JOIN_SECONDS = 2.0
_PROVEN_PICTURES = 25  # a server that takes fewer is no better than one that refuses


class PushSink(Sink):
    """Encodes and sends; after the start nothing the network does raises or blocks for long."""

    def __init__(
        self,
        uri: str,
        info: StreamInfo,
        scale: int,
        *,
        options: SinkOptions,
        threads: int | None = None,
    ) -> None:
        """Connect.

        Raises:
            UsageError: if the address is incomplete, its protocol is not there, or no encoder
                takes the size.
            SinkError: if nobody takes the stream there, or the wanted encoder is not there.
        """
        self._name = masked(uri)
        check_spoken(uri)
        address = _checked(uri)
        protocol = _PROTOCOLS[urlsplit(uri).scheme]
        encoding = encoding_for(self._name, info, scale, options, threads=threads, watched=True)
        self._connect = functools.partial(
            Link, address, protocol.muxer, protocol.muxer_options, encoding
        )
        self._uri = uri
        self._pace = None if info.live else Pace()
        self._backoff = Backoff()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._reconnecting: threading.Thread | None = None
        self._next_link: Link | None = None
        self.lost = self._reconnects = 0
        self._fault: BaseException | None = None
        self._link: Link | None = self._first_link()
        if info.audio_from is not None:
            _log.warning("the sound of '%s' is not sent to '%s'", info.audio_from, self._name)

    def _first_link(self) -> Link:
        try:
            return self._connect()
        except LinkLostError as error:
            reason = _better_reason(self._uri, error)
            raise SinkError(
                f"'{self._name}' does not take the stream ({reason}); check the address, and that "
                "the other side is there and lets you publish"
            ) from None

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Send a frame, or count it as lost; a recorded stream leaves no faster than real time."""
        if self._fault is not None:
            raise self._fault
        if self._pace is not None:
            self._pace.wait(float(frame.pts * frame.time_base))
        if self._link is None:
            self._take_next_link()
        if self._link is None:
            self.lost += 1
            return
        try:
            self._link.send(frame.pts, frame.duration, restored_hwc)
        except LinkLostError as error:
            self._lose(self._link, error)

    def close(self, *, complete: bool = True) -> None:
        """Send the rest and say good-bye, within a few seconds."""
        self._closed.set()
        if self._reconnecting is not None:
            self._reconnecting.join(_JOIN_SECONDS)  # it may hang in a name server for longer
        with self._lock:
            link, self._link = self._link or self._next_link, None
            self._next_link = None
        if link is not None:
            link.close()
            self.lost += link.sent - link.arrived

    def figures(self) -> Mapping[str, float]:
        """Return how often a connection was made anew, if ever."""
        return told({"reconnects": self._reconnects})

    def _lose(self, link: Link, error: LinkLostError) -> None:
        link.kill()
        self._link = None
        self.lost += link.sent - link.arrived
        if link.arrived >= _PROVEN_PICTURES:
            self._backoff.reset()
        _log.warning(
            "'%s' is lost: %s; it is tried again, and frames are lost until then", self._name, error
        )
        self._reconnecting = threading.Thread(
            target=self._reconnect, name="push-reconnect", daemon=True
        )
        self._reconnecting.start()

    def _reconnect(self) -> None:
        """Get a link; what no network can be the cause of is raised by the next `write`."""
        try:
            self._try_until_connected()
        except BaseException as error:  # noqa: BLE001 - a thread that dies would tell nobody
            self._fault = error

    def _try_until_connected(self) -> None:
        """Try until a link is there or the sink is closed."""
        reason = ""
        while not self._closed.wait(self._backoff.next_seconds()):
            try:
                _knock(self._uri)
                link = self._connect()
            except LinkLostError as error:
                if str(error) != reason:
                    reason = str(error)
                    _log.warning("'%s' does not take the stream: %s", self._name, reason)
                continue
            with self._lock:
                if self._closed.is_set():
                    link.kill()
                else:
                    self._next_link = link
            return

    def _take_next_link(self) -> None:
        with self._lock:
            self._link, self._next_link = self._next_link, None
        if self._link is not None:
            self._reconnects += 1
            _log.warning("'%s' takes the stream again; %d frames are lost", self._name, self.lost)


def check_spoken(uri: str) -> None:
    """Make sure that FFmpeg speaks the protocol of an address, as found out without a network.

    Raises:
        UsageError: if it does not.
    """
    scheme = urlsplit(uri).scheme
    if _PROTOCOLS[scheme].everywhere:
        return
    try:
        av.open(f"{scheme}://").close()  # names nobody, and so goes nowhere
    except av.error.ProtocolNotFoundError:
        raise UsageError(
            f"'{masked(uri)}' cannot be pushed to: the FFmpeg inside this PyAV does not speak "
            f"{scheme.upper()}, and that of the wheels on PyPI never does; push to rtsp://, "
            "rtmp:// or udp://, or build PyAV against an FFmpeg that has it"
        ) from None
    except (av.error.FFmpegError, OSError):
        return


def _knock(uri: str) -> None:
    """Look whether anybody is there, which costs no process.

    Raises:
        LinkLostError: if nobody is, as far as the protocol can tell.
    """
    parts = urlsplit(uri)
    protocol = _PROTOCOLS[parts.scheme]
    if not protocol.by_tcp:
        return
    place = parts.hostname or "", parts.port or protocol.port or 0
    try:
        socket.create_connection(place, _CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:  # a name that is none, as one of 100 letters
        raise LinkLostError(getattr(error, "strerror", None) or "no answer") from error


def _better_reason(uri: str, error: LinkLostError) -> LinkLostError:
    """Tell an unknown name and a closed door from what FFmpeg makes of them."""
    try:
        _knock(uri)
    except LinkLostError as better:
        return better
    return error


def _checked(uri: str) -> str:
    """Return the address as FFmpeg shall have it, or raise UsageError if a part is missing."""
    parts = urlsplit(uri)
    protocol = _PROTOCOLS[parts.scheme]
    try:
        port = parts.port or protocol.port
    except ValueError:
        port = None
    if not parts.hostname or port is None:
        raise UsageError(
            f"'{masked(uri)}' names no {'port' if parts.hostname else 'host'}; give an address "
            f"like {parts.scheme}://192.168.1.20:{protocol.port or 5000}"
        )
    if parts.scheme == "udp" and "pkt_size=" not in parts.query:
        return f"{uri}{'&' if parts.query else '?'}pkt_size={_TS_DATAGRAM_BYTES}"
    return uri
