"""The pictures of one encoded video stream: colours, times and packets."""

from collections import deque
from collections.abc import Iterator

import av
import numpy as np
import numpy.typing as npt

from crispstream.runtime.stream.colour import ToYuv

from .encoder import Encoding, add_video_stream
from .grid import FrameGrid

Packets = Iterator["av.Packet[av.VideoStream]"]

_KEY_FRAME_EVERY_SECONDS = 1
_FRAMES_KNOWN = 1 << 14
"""Of so many of the latest frames it is known which picture shows each: minutes."""


class VideoTrack:
    """Encodes pictures into a stream of a container; whoever made it muxes the packets.

    Attributes:
        written: pictures encoded so far.
        repeated: those of them written once more, to hold a constant rate.
        left_out: pictures not written, for the same.
    """

    def __init__(
        self,
        container: av.container.OutputContainer,
        encoding: Encoding,
        *,
        keep_times: bool = False,
    ) -> None:
        """Add the stream; times begin at 0 unless `keep_times`.

        Raises:
            ValueError: if this kind of container does not take this codec.
        """
        self.written = self.repeated = self.left_out = 0
        self._stream = add_video_stream(container, encoding)
        self._encoding = encoding
        self._to_yuv = ToYuv(encoding.colour)
        self._grid = grid_of(encoding)
        self._origin: int | None = 0 if keep_times else None
        self._durations: dict[int, int] = {}
        self._latest: av.VideoFrame | None = None
        self._latest_pts = 0
        self._key_frame_due: int | None = None
        self._shown_by: deque[int] = deque(maxlen=_FRAMES_KNOWN)

    def packets(self, pts: int, duration: int, pixels_hwc: npt.NDArray[np.uint8]) -> Packets:
        """Encode one picture, uint8 [H,W,3] BGR; times are in units of `encoding.time_base`."""
        self._latest_pts = pts
        if self._grid is None:
            yield from self._first_shown(pixels_hwc, pts, duration)
            return
        repeats, slot = self._grid.place(pts)
        yield from self._repeated(repeats)
        if slot is None:
            self.left_out += 1
            return
        yield from self._first_shown(pixels_hwc, slot, 1)

    def frames_after(self, pictures: int) -> int:
        """Return how many of the latest frames none of the first so many pictures shows.

        Frames that were left out to hold a constant rate are not among them.
        """
        return sum(picture >= pictures for picture in self._shown_by)

    def rest(self, end_pts: int) -> Packets:
        """Show the last picture until a time, and give what the encoder still holds."""
        if self._grid is not None:
            yield from self._repeated(self._grid.rest(end_pts))
        elif self._origin is not None:
            self._durations[self._latest_pts - self._origin] = max(0, end_pts - self._latest_pts)
        if self._latest is not None:
            yield from self._timed(self._stream.encode(None))

    def _first_shown(self, pixels_hwc: npt.NDArray[np.uint8], at: int, duration: int) -> Packets:
        self._latest = self._to_yuv(pixels_hwc)
        self._shown_by.append(self.written)
        yield from self._encoded(at, duration)

    def _repeated(self, slots: range) -> Packets:
        for slot in slots:
            self.repeated += 1
            yield from self._encoded(slot, 1)

    def _encoded(self, at: int, duration: int) -> Packets:
        """Encode the latest picture at a time in units of the output."""
        picture = self._latest
        if picture is None:
            return
        if self._origin is None:
            self._origin = at
        picture.pts, picture.time_base = at - self._origin, self._encoding.output_time_base
        self._durations[picture.pts] = duration
        if self._encoding.watched:
            self._ask_for_key_frames(picture, at)
        self.written += 1
        yield from self._timed(self._stream.encode(picture))

    def _ask_for_key_frames(self, picture: av.VideoFrame, at: int) -> None:
        due = self._key_frame_due is None or at >= self._key_frame_due
        kinds = av.video.frame.PictureType
        picture.pict_type = kinds.I if due else kinds.NONE
        if due:
            self._key_frame_due = at + round(
                _KEY_FRAME_EVERY_SECONDS / self._encoding.output_time_base
            )

    def _timed(self, packets: list["av.Packet[av.VideoStream]"]) -> Packets:
        for packet in packets:
            # The muxer spaces frames by their times; only the last one needs its duration.
            packet.duration = self._durations.pop(packet.pts or 0, 0)
            yield packet


def grid_of(encoding: Encoding) -> FrameGrid | None:
    """Return the grid of a constant rate, or None where frames keep their times."""
    if encoding.output_rate is None:
        return None
    return FrameGrid(
        encoding.output_rate,
        encoding.time_base,
        longest_fill_seconds=encoding.longest_fill_seconds,
    )


def begin_of(encoding: Encoding, pts: int) -> float:
    """Return when a track that begins with a picture of this time begins, in seconds."""
    grid = grid_of(encoding)
    return float((pts if grid is None else grid.nearest(pts)) * encoding.output_time_base)
