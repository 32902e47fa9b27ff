"""Decoding a file to its end, and telling a hole in the stream from a file that breaks off."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error

from crispstream.core.errors import SourceError

# How much earlier than announced a whole stream may end: MP4 and its kin write down the exact
# end of every track, the others round, or count the pause after the last frame.
_FRAMES_MISSING = 4
_SECONDS_MISSING = 1.0


class Decoder:
    """Decodes packet by packet.

    Attributes:
        damaged: packets that did not decode while later ones did.
    """

    def __init__(
        self, container: av.container.InputContainer, stream: av.VideoStream, name: str
    ) -> None:
        """Prepare to decode `stream` of `container`, which is called `name` in messages."""
        self.damaged = 0
        self._container = container
        self._stream = stream
        self._name = name
        self._given = 0
        self._begin_seconds = 0.0
        self._end_seconds = 0.0
        kinds = container.format.name.split(",")
        self._exact, self._mixed = "mp4" in kinds, "matroska" in kinds
        self._broken_at: int | None = None
        self._reason = ""
        self._silent = False

    def pictures(self) -> Iterator[av.VideoFrame]:
        """Give every picture that decodes, then raise SourceError if the stream ended badly."""
        for packet in self._demuxed():
            for picture in self._decode(packet):
                self._given += 1
                if self._broken_at is not None and (picture.pts or 0) > self._broken_at:
                    self._broken_at = None  # the decoder found its feet again
                yield picture
        self._raise_unless_whole()

    def _demuxed(self) -> Iterator["av.Packet[Any] | None"]:
        """Give the video's packets; None, once, makes the decoder hand out what it still holds."""
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except av.error.ExitError:  # the time-out that it was opened with
                self._silent, packet = True, None
            except av.error.FFmpegError as error:
                self._note(error, None)
                packet = None
            ours = packet is None or packet.stream.index == self._stream.index
            if packet is None or (ours and packet.size == 0):
                yield None
                return
            if ours or self._mixed:  # Matroska tells the end of its longest stream only
                self._note_times(packet)
            if ours:
                yield packet

    def _note_times(self, packet: "av.Packet[Any]") -> None:
        if packet.pts is not None and packet.time_base is not None:
            begin = packet.pts * packet.time_base
            end = begin + (packet.duration or 0) * packet.time_base
            self._begin_seconds = min(self._begin_seconds, float(begin))
            self._end_seconds = max(self._end_seconds, float(end))

    def _decode(self, packet: "av.Packet[av.VideoStream] | None") -> list[av.VideoFrame]:
        try:
            return list(self._stream.codec_context.decode(packet))
        except av.error.EOFError:
            return []
        except av.error.FFmpegError as error:
            self._note(error, packet)
            return []

    def _note(
        self, error: av.error.FFmpegError, packet: "av.Packet[av.VideoStream] | None"
    ) -> None:
        self.damaged += 1
        self._reason = error.strerror or type(error).__name__
        pts = packet.pts if packet is not None else None
        self._broken_at = max(pts if pts is not None else 2**62, self._broken_at or 0)

    def _raise_unless_whole(self) -> None:
        if self._silent:
            raise SourceError(
                f"'{self._name}' sent nothing more after {self._given} frames; download the file, "
                "or try it again"
            )
        if self._broken_at is not None:
            raise SourceError(
                f"'{self._name}' is corrupt after {self._given} frames (the decoder says: "
                f"{self._reason}); use an undamaged copy for the rest"
            )
        # Times, not counts: an edit list takes frames out of a film that is whole.
        claimed_seconds = _claimed_seconds(self._container, self._stream)
        seen_seconds = self._end_seconds - self._begin_seconds
        rate = float(self._stream.average_rate or 25)
        missing_seconds = _FRAMES_MISSING / rate
        if not self._exact:
            missing_seconds = max(missing_seconds, _SECONDS_MISSING)
        if seen_seconds < claimed_seconds - missing_seconds:
            raise SourceError(
                f"'{self._name}' breaks off after {self._given} frames: {seen_seconds:.2f} of "
                f"{claimed_seconds:.2f} s are there; use a complete copy for the rest"
            )


def _claimed_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return when the container's head says that the stream ends; 0 where it only guesses."""
    kinds = container.format.name.split(",")
    time_base = stream.time_base or Fraction(0)
    if "mp4" in kinds:
        return float((stream.duration or 0) * time_base)
    if "matroska" in kinds:
        return (container.duration or 0) / av.time_base
    return float(stream.frames * time_base) if "avi" in kinds else 0.0
