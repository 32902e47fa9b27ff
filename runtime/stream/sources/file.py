"""Frames of a video file, of this machine or on a web server, with their original timestamps."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.hwaccel import HWAccel

from crispstream.core.clock import Clock
from crispstream.core.errors import SourceError, first_line
from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.stream.colour import FromYuv, colour_of
from crispstream.runtime.stream.cores import codec_threads
from crispstream.runtime.stream.decoding import hardware, video_stream
from crispstream.runtime.stream.health import Health

from .file_decoder import Decoder
from .file_opening import opened_file, place_name

_SMALL_PX = 640 * 480

_log = logging.getLogger("crispstream.stream")


class FileSource:
    """Decodes the first video stream of a file that FFmpeg can read."""

    def __init__(self, place: Path | str, clock: Clock, decoder: str = "auto") -> None:
        """Open the file and decode its first picture, which tells size and colours for sure.

        Args:
            place: its path, or the address of one on a server; of the latter the sound is left.
            clock: stamps the frames.
            decoder: one of `source.DECODERS`.

        Raises:
            SourceError: if the file is no video, has no video stream, or no frame decodes.
            UsageError: if the `decoder` is not to be had here.
        """
        self._place = place
        self._name = place_name(place)
        self._clock = clock
        self.health = Health(self._name, clock)
        accelerator = hardware(decoder)
        self._open(None)
        try:
            # Always from a picture of the CPU's: PyAV before 18 takes turn and tags from the GPU's.
            self._quarter_turns = _quarter_turns(self._first, self._name)
            self._info = _info(
                self._container, self._stream, self._first, place, self._quarter_turns
            )
            if accelerator is not None:
                self._move_to_gpu(accelerator, must=decoder != "auto")
            if self._container.streams.audio and self._info.audio_from is None:
                _log.warning("the sound of %s is left: download the file to keep it", self._name)
        except BaseException:
            self._container.close()
            raise

    def _open(self, accelerator: HWAccel | None) -> None:
        """Open the file and decode its first picture; what was open before stays if this fails."""
        container = opened_file(self._place, accelerator)
        try:
            stream = _video_stream(container, self._name)
            decoder = Decoder(container, stream, self._name)
            pictures = decoder.pictures()
            first = next(pictures, None)
            if first is None:
                raise SourceError(f"'{self._name}' holds no frame; give a video with at least one")
        except BaseException:
            container.close()
            raise
        self._container, self._stream, self._decoder = container, stream, decoder
        self._first: av.VideoFrame = first
        self._pictures = pictures

    def _move_to_gpu(self, accelerator: HWAccel, *, must: bool) -> None:
        """Open the file anew with the GPU's decoder; without one stay unless it `must` be."""
        on_cpu = self._container
        try:
            self._open(accelerator)
        except (SourceError, RuntimeError, NotImplementedError) as error:
            why = first_line(error)
            if must:
                raise SourceError(
                    f"the GPU does not decode '{self._name}' ({why}); choose the decoder cpu"
                ) from error
            _log.info("%s is decoded on the CPU: %s", self._name, why)
        else:
            on_cpu.close()

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
        """Nothing to do: the next frame is never far, on a server at most 5 s."""

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _all_pictures(self) -> Iterator[av.VideoFrame]:
        yield self._first
        yield from self._pictures

    def _check_size(self, picture: av.VideoFrame, serial: int) -> None:
        seen = _upright(picture, self._quarter_turns)
        expected = (self._info.width, self._info.height)
        if seen != expected:
            raise SourceError(
                f"'{self._name}' changes from {expected[0]}x{expected[1]} to "
                f"{seen[0]}x{seen[1]} px at frame {serial}, and one output has one size; the "
                "frames before it are restored, split the file there to restore the rest"
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


def _quarter_turns(picture: av.VideoFrame, name: str) -> int:
    """Return how often to turn the pictures left by 90 degrees, as phones tag what they film."""
    turns = round(picture.rotation / 90)
    if abs(picture.rotation - 90 * turns) > 1:
        raise SourceError(
            f"'{name}' is tagged to be shown turned by {picture.rotation} degrees, and only "
            "quarter turns are possible here; turn it upright with a video editor first"
        )
    return turns % 4


def _upright(picture: av.VideoFrame, quarter_turns: int) -> tuple[int, int]:
    """Return width and height of a picture once it is turned."""
    size = picture.width, picture.height
    return size[::-1] if quarter_turns % 2 else size


def _video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    stream = video_stream(container, name, "convert it to H.264 first, with ffmpeg for instance")
    codec = stream.codec_context
    codec.thread_type = "AUTO"
    # A small picture decodes in a fraction of a millisecond, of which threads would cost a third.
    alone = codec.is_hwaccel or codec.width * codec.height <= _SMALL_PX
    codec.thread_count = 1 if alone else codec_threads()
    return stream


def _info(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    first: av.VideoFrame,
    place: Path | str,
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
        audio_from=place if container.streams.audio and isinstance(place, Path) else None,
    )
