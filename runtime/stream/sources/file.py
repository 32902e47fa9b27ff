"""Frames of a video file, with their original timestamps."""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from crispstream.core.clock import Clock
from crispstream.core.errors import SourceError
from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.stream.colour import FromYuv, colour_of
from crispstream.runtime.stream.cores import codec_threads
from crispstream.runtime.stream.health import Health

_SMALL_PX = 640 * 480

# How much earlier than announced a whole stream may end: MP4 and its kin write down the exact
# end of every track, the others round, or count the pause after the last frame.
_FRAMES_MISSING = 4
_SECONDS_MISSING = 1.0


class FileSource:
    """Decodes the first video stream of a file that FFmpeg can read."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open the file and decode its first picture, which tells size and colours for sure.

        Raises:
            SourceError: if the file is no video, has no video stream, or no frame decodes.
        """
        self._path = path
        self._clock = clock
        self.health = Health(str(path), clock)
        self._container = _opened(path)
        try:
            self._stream = _video_stream(self._container, path)
            self._decoder = _Decoder(self._container, self._stream, path)
            self._pictures = self._decoder.pictures()
            self._first = next(self._pictures, None)
            if self._first is None:
                raise SourceError(f"'{path}' holds no frame; give a video with at least one")
            self._quarter_turns = _quarter_turns(self._first, path)
            self._info = _info(
                self._container, self._stream, self._first, path, self._quarter_turns
            )
        except BaseException:
            self._container.close()
            raise

    @property
    def info(self) -> StreamInfo:
        """Size, rate, time base and colours; the frame count is the container's claim."""
        return self._info

    @property
    def damaged(self) -> int:
        """Packets that did not decode while later ones did."""
        return self._decoder.damaged

    def __iter__(self) -> Iterator[Frame]:
        """Give every frame; see `Source`.

        Raises:
            SourceError: if the file breaks off, turns corrupt for good, or changes its size.
        """
        to_bgr = FromYuv(self._info.colour)
        timeline = _Timeline()
        for serial, picture in enumerate(self._all_pictures()):
            self._check_size(picture, serial)
            yield Frame(
                np.rot90(to_bgr(picture), self._quarter_turns),  # a view, like the picture itself
                serial,
                timeline.pts(picture),
                self._info.time_base,
                self._clock(),
                picture.duration or 0,
            )

    def stop(self) -> None:
        """Nothing to do: the next frame is never far."""

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _all_pictures(self) -> Iterator[av.VideoFrame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._pictures

    def _check_size(self, picture: av.VideoFrame, serial: int) -> None:
        seen = _upright(picture, self._quarter_turns)
        expected = (self._info.width, self._info.height)
        if seen != expected:
            raise SourceError(
                f"'{self._path}' changes from {expected[0]}x{expected[1]} to "
                f"{seen[0]}x{seen[1]} px at frame {serial}, and one output has one size; the "
                "frames before it are restored, split the file there to restore the rest"
            )


class _Decoder:
    """Decodes packet by packet, and tells a hole in the stream from its end."""

    def __init__(
        self, container: av.container.InputContainer, stream: av.VideoStream, path: Path
    ) -> None:
        self.damaged = 0
        self._container = container
        self._stream = stream
        self._path = path
        self._given = 0
        self._begin_seconds = 0.0
        self._end_seconds = 0.0
        kinds = container.format.name.split(",")
        self._exact, self._mixed = "mp4" in kinds, "matroska" in kinds
        self._broken_at: int | None = None
        self._reason = ""

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
        if self._broken_at is not None:
            raise SourceError(
                f"'{self._path}' is corrupt after {self._given} frames (the decoder says: "
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
                f"'{self._path}' breaks off after {self._given} frames: {seen_seconds:.2f} of "
                f"{claimed_seconds:.2f} s are there; use a complete copy for the rest"
            )


class _Timeline:
    """Presentation times that always grow, which encoders insist on."""

    def __init__(self) -> None:
        self._previous: int | None = None
        self._step = 1

    def pts(self, picture: av.VideoFrame) -> int:
        """Return the picture's own time, or one just after the previous where it has none."""
        previous = self._previous
        pts = picture.pts if picture.pts is not None else picture.dts
        if previous is None:
            pts = pts or 0
        elif pts is None:
            pts = previous + self._step
        elif pts <= previous:
            pts = previous + 1
        self._step = picture.duration or self._step
        self._previous = pts
        return pts


def _claimed_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return when the container's head says that the stream ends; 0 where it only guesses."""
    kinds = container.format.name.split(",")
    time_base = stream.time_base or Fraction(0)
    if "mp4" in kinds:
        return float((stream.duration or 0) * time_base)
    if "matroska" in kinds:
        return (container.duration or 0) / av.time_base
    return float(stream.frames * time_base) if "avi" in kinds else 0.0


def _quarter_turns(picture: av.VideoFrame, path: Path) -> int:
    """Return how often to turn the pictures left by 90 degrees, as phones tag what they film."""
    turns = round(picture.rotation / 90)
    if abs(picture.rotation - 90 * turns) > 1:
        raise SourceError(
            f"'{path}' is tagged to be shown turned by {picture.rotation} degrees, and only "
            "quarter turns are possible here; turn it upright with a video editor first"
        )
    return turns % 4


def _upright(picture: av.VideoFrame, quarter_turns: int) -> tuple[int, int]:
    """Return width and height of a picture once it is turned."""
    size = picture.width, picture.height
    return size[::-1] if quarter_turns % 2 else size


def _opened(path: Path) -> av.container.InputContainer:
    if not os.access(path, os.R_OK):
        raise SourceError(f"'{path}' may not be read; change its permissions")
    if path.stat().st_size == 0:
        raise SourceError(f"'{path}' is an empty file (0 bytes), not a video; copy it again")
    try:
        return av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(
            f"'{path}' is not a video FFmpeg can read ({error.strerror}); give a video file such "
            "as .mp4, .mov, .mkv or .avi, complete to its end"
        ) from error


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    if not container.streams.video:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise SourceError(f"'{path}' has no video stream, only {kinds}; give a video")
    stream = container.streams.video[0]
    codec = stream.codec_context
    codec.thread_type = "AUTO"
    # A small picture decodes in a fraction of a millisecond, of which threads would cost a third.
    codec.thread_count = 1 if codec.width * codec.height <= _SMALL_PX else codec_threads()
    return stream


def _info(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    first: av.VideoFrame,
    path: Path,
    quarter_turns: int,
) -> StreamInfo:
    width, height = _upright(first, quarter_turns)
    rate = stream.average_rate or stream.guessed_rate
    frames = stream.frames
    if not frames and rate and container.duration:
        frames = round(container.duration * rate / av.time_base)
    return StreamInfo(
        width=width,
        height=height,
        frame_rate=Fraction(rate) if rate else None,
        time_base=Fraction(stream.time_base or Fraction(1, 90_000)),
        colour=colour_of(first),
        frame_count=frames or None,
        audio_from=path if container.streams.audio else None,
    )
