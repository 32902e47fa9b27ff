"""Restored frames as H.264 video with the source's timestamps and audio.

An MP4 is written in fragments of a second and turned into an ordinary file at the end
("hybrid" in FFmpeg's words), directly at the asked name: whatever stops the run - an error, a
signal, even SIGKILL - the file plays up to the last fragment. It is created at the first
frame, so that a run which fails before it leaves what was there alone.
"""

from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.frame import Colour, Frame, StreamInfo
from crispstream.runtime.stream.colour import ToYuv, output_colour, tag
from crispstream.runtime.stream.cores import codec_threads
from crispstream.runtime.stream.sink import Sink

from .audio import AudioCopy, check_audio_fits, muxer_name
from .guarded import GuardedFile
from .place import check_folder, write_error

_FRAGMENT_US = 1_000_000
_MUXED_IN_BLOCKS_OF = 1 << 18
_MOST_PX = 16_384  # libx264 refuses a longer side

# Measured on restored 1280x720 frames against preset veryfast: half the CPU time (9 against
# 19 ms a frame), 0.08 dB better, 18 % larger. Macroblock trees are what makes the fast preset
# small (a third smaller), and 5 frames of lookahead give nearly all of that. Without B-frames
# decoding order is display order: times stay as they are, and a cut file ends cleanly.
_X264 = {
    "preset": "superfast",
    "crf": "18",
    "x264-params": "mbtree=1:rc-lookahead=5:sync-lookahead=0:bframes=0",
}


class FileSink(Sink):
    """Encodes with x264 and copies the audio; memory does not grow with the length."""

    def __init__(
        self, path: Path, info: StreamInfo, scale: int, *, threads: int | None = None
    ) -> None:
        """Check the place and the audio; the file itself is made at the first frame.

        Raises:
            SinkError: if the folder takes no file, or PyAV has no H.264 encoder.
            UsageError: if this kind of file cannot hold the source's audio, or H.264 the size.
        """
        if "libx264" not in av.codecs_available:
            raise SinkError(
                "this build of PyAV has no H.264 encoder (libx264); install the one from PyPI: "
                "pip install --force-reinstall av"
            )
        _check_size(path, info.width * scale, info.height * scale)
        check_folder(path.parent)
        if info.audio_from is not None:
            check_audio_fits(info.audio_from, path)
        self._path = path
        self._info = info
        self._scale = scale
        self._threads = threads or codec_threads()
        self._frames = 0
        self._writer: _Writer | None = None

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Encode one frame; see `Sink`.

        Raises:
            SinkError: if the file cannot be made or written.
        """
        try:
            if self._writer is None:
                self._writer = _Writer(self._path, self._info, self._scale, self._threads)
            self._writer.write(frame, restored_hwc)
        except (OSError, av.error.FFmpegError) as error:
            raise write_error(self._path, error, self._frames) from error
        self._frames += 1

    def close(self, *, complete: bool = True) -> None:
        """Finish the file; see `Sink`.

        Raises:
            SinkError: if the rest cannot be written.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close(complete=complete)
        except (OSError, av.error.FFmpegError) as error:
            raise write_error(self._path, error, self._frames) from error


class _Writer:
    """The open file: muxer, encoder, audio."""

    def __init__(self, path: Path, info: StreamInfo, scale: int, threads: int) -> None:
        colour = output_colour(info.colour, info.height * scale)
        self._to_yuv = ToYuv(colour)
        self._durations: dict[int, int] = {}
        self._end_seconds = 0.0
        self._audio: AudioCopy | None = None
        self._file = GuardedFile(path, fragmented=muxer_name(path) != "matroska")
        self._container = av.open(
            self._file,
            "w",
            format=muxer_name(path),
            buffer_size=_MUXED_IN_BLOCKS_OF,
            container_options=_muxer_options(path, info.time_base),
        )
        try:
            self._stream = _video_stream(self._container, info, scale, colour, threads)
            if info.audio_from is not None:
                self._audio = AudioCopy(info.audio_from, self._container, path)
        except BaseException:
            self._container.close()
            self._file.close()
            raise

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        picture = self._to_yuv(restored_hwc)
        picture.pts, picture.time_base = frame.pts, frame.time_base
        self._durations[frame.pts] = frame.duration
        self._end_seconds = float((frame.pts + frame.duration) * frame.time_base)
        self._mux_pictures(picture)
        self._mux_audio(float(frame.pts * frame.time_base))

    def close(self, *, complete: bool) -> None:
        try:
            if self._file.error is None:
                self._mux_pictures(None)
                self._mux_audio(float("inf") if complete else self._end_seconds)
        finally:
            if self._audio is not None:
                self._audio.close()
            self._container.close()
            self._file.close()
        self._raise_if_full()

    def _mux_pictures(self, picture: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(picture):
            # The muxer spaces frames by their times; only the last one needs its duration.
            packet.duration = self._durations.pop(packet.pts or 0, 0)
            self._container.mux(packet)
        self._raise_if_full()

    def _mux_audio(self, until_seconds: float) -> None:
        if self._audio is not None:
            for packet in self._audio.until(until_seconds):
                self._container.mux(packet)
            self._raise_if_full()

    def _raise_if_full(self) -> None:
        if self._file.error is not None:
            raise self._file.error


def _check_size(path: Path, width: int, height: int) -> None:
    if max(width, height) > _MOST_PX:
        raise UsageError(
            f"'{path}' would be {width}x{height} px, and H.264 video is encoded up to {_MOST_PX} "
            "px a side; name a folder as the output, for images"
        )


def _video_stream(
    container: av.container.OutputContainer,
    info: StreamInfo,
    scale: int,
    colour: Colour,
    threads: int,
) -> av.VideoStream:
    stream = container.add_stream("libx264", options=_X264)
    codec = stream.codec_context
    codec.width, codec.height = info.width * scale, info.height * scale
    codec.pix_fmt = "yuv420p"
    codec.time_base = stream.time_base = info.time_base
    if info.frame_rate is not None:
        codec.framerate = info.frame_rate
    codec.thread_count = threads
    tag(codec, colour)
    return stream


def _muxer_options(path: Path, time_base: Fraction) -> dict[str, str]:
    if muxer_name(path) == "matroska":
        return {}  # Matroska counts milliseconds and plays without its end
    return {
        # delay_moov: the head waits for the first fragment, and so knows the first timestamps.
        "movflags": "hybrid_fragmented+delay_moov",
        "frag_duration": str(_FRAGMENT_US),
        # Exact times: of the frames, and of an offset before the first one.
        "video_track_timescale": str(time_base.denominator),
        "movie_timescale": str(time_base.denominator),
    }
