"""One video file being written: pictures and sound, through a file that survives a full disk.

An MP4 is written in fragments of a second and turned into an ordinary file at the end
("hybrid" in FFmpeg's words), directly at the asked name: whatever stops the run - an error, a
signal, even SIGKILL - the file plays up to the last fragment.
"""

from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import numpy.typing as npt

from crispstream.runtime.frame import Frame

from .audio import AudioCopy, muxer_name
from .encoder import Encoding
from .guarded import GuardedFile
from .track import VideoTrack, begin_of

_FRAGMENT_US = 1_000_000
_MUXED_IN_BLOCKS_OF = 1 << 18
_FINEST_SOUND_HZ = 48_000


class VideoFile:
    """The open file: muxer, encoder, audio; memory does not grow with the length.

    Attributes:
        path: where it is.
        track: its pictures.
        frames: written to it.
    """

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        audio: AudioCopy | None,
        *,
        segment_from_pts: int | None = None,
    ) -> None:
        """Make the file; with `segment_from_pts` a new one whose times begin at 0 there.

        Raises:
            FileExistsError: if it is a segment and the file is there.
            OSError: if the file cannot be made.
            av.error.FFmpegError: if the encoder refuses.
        """
        self.path = path
        self.frames = 0
        self._audio = audio
        self._segment = segment_from_pts is not None
        self._file = GuardedFile(path, fragmented=muxer_name(path) != "matroska", new=self._segment)
        self._container = av.open(
            self._file,
            "w",
            format=muxer_name(path),
            buffer_size=_MUXED_IN_BLOCKS_OF,
            container_options=_muxer_options(path, encoding.output_time_base),
        )
        self._end_pts = 0
        self._encoding = encoding
        try:
            self.track = VideoTrack(self._container, encoding, keep_times=not self._segment)
            if audio is not None:
                origin = 0.0 if segment_from_pts is None else begin_of(encoding, segment_from_pts)
                audio.begin(self._container, origin)
        except BaseException:
            self._container.close()
            self._file.close()
            raise

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Encode a frame, and copy the audio up to its time.

        Raises:
            OSError: if the file cannot be written.
            av.error.FFmpegError: if the encoder refuses.
        """
        self._end_pts = frame.pts + frame.duration
        for packet in self.track.packets(frame.pts, frame.duration, restored_hwc):
            self._container.mux(packet)
        self._raise_if_full()
        self._copy_audio(float(frame.pts * frame.time_base))
        self.frames += 1

    def close(self, *, until_pts: int | None = None, complete: bool = False) -> None:
        """Finish the file; the last picture is shown until its end, or `until_pts`.

        Audio ends there too, or goes on to its own end where the stream is `complete`.

        Raises:
            OSError: if the rest cannot be written; what is playable stays.
            av.error.FFmpegError: if the encoder refuses.
        """
        end_pts = self._end_pts if until_pts is None else until_pts
        try:
            if self._file.error is None:
                for packet in self.track.rest(end_pts):
                    self._container.mux(packet)
                self._copy_audio(float("inf") if complete else begin_of(self._encoding, end_pts))
        finally:
            self._container.close()
            self._file.close()
        self._raise_if_full()

    def _copy_audio(self, until_seconds: float) -> None:
        if self._audio is not None:
            for packet in self._audio.until(until_seconds):
                self._container.mux(packet)
            self._raise_if_full()

    def _raise_if_full(self) -> None:
        if self._file.error is not None:
            raise self._file.error


def pictures_in(path: Path) -> int:
    """Count the pictures that can be read from a file; 0 if it is none."""
    try:
        with av.open(str(path)) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.error.FFmpegError, OSError, IndexError):
        return 0


def _muxer_options(path: Path, time_base: Fraction) -> dict[str, str]:
    if muxer_name(path) == "matroska":
        return {}  # Matroska counts milliseconds and plays without its end
    a_second = time_base.denominator
    return {
        # delay_moov: the head waits for the first fragment, and so knows the first timestamps.
        "movflags": "hybrid_fragmented+delay_moov",
        "frag_duration": str(_FRAGMENT_US),
        # Exact times of the frames; and of an offset before the first one, sound's too.
        "video_track_timescale": str(a_second),
        "movie_timescale": str(a_second * -(-_FINEST_SOUND_HZ // a_second)),
    }
