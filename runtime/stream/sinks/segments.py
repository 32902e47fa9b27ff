"""A recording in many files, each playable alone, that outlives a full disk.

`rec.mp4` becomes `rec-00000.mp4`, `rec-00001.mp4`, ...; numbering goes on after what is there,
so that a restarted recorder replaces nothing. Files change at whole multiples of the segments'
length after the first frame, with the first frame from there on; the times in each begin at 0.

When a file cannot be written any more, it is finished as far as it came, and a new one is tried
every few seconds: the stream goes on, and what was not recorded is counted.
"""

import contextlib
import logging
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av.error
import numpy as np
import numpy.typing as npt

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.stream.sink import Sink, SinkOptions

from .audio import AudioCopy, check_audio_fits
from .encoder import encoding_for
from .figures import told
from .place import check_folder, check_room, write_error
from .track import begin_of
from .writer import VideoFile, pictures_in

RETRY_SECONDS = 5.0
"""From a file that failed to the next try."""

_log = logging.getLogger("crispstream.stream")


class SegmentSink(Sink):
    """Encodes into one file after another; a full disk never ends it."""

    def __init__(
        self,
        path: Path,
        info: StreamInfo,
        scale: int,
        *,
        options: SinkOptions,
        segment_seconds: float,
        threads: int | None = None,
        clock: Clock = monotonic_ns,
    ) -> None:
        """Check the place, the encoder and the audio; `clock` times the tries on a full disk.

        Raises:
            SinkError: if the folder takes no file, or the wanted encoder is not there.
            UsageError: if this kind of file cannot hold the source's audio, or no encoder takes
                the size.
        """
        self._encoding = encoding_for(str(path), info, scale, options, threads=threads)
        check_folder(path.parent)
        if info.audio_from is not None:
            check_audio_fits(info.audio_from, path)
        self._path = path
        self._audio_from = info.audio_from
        self._audio: AudioCopy | None = None
        self._clock = clock
        self._length = Fraction(segment_seconds).limit_denominator(1000)
        self._number = _first_free_number(path)
        self._file: VideoFile | None = None
        self._first_pts: int | None = None
        self._turn = 0
        self._retry_ns: int | None = None
        self.lost = self._segments = self._repeated = self._left_out = 0

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Encode one frame, into a new file when it is time; see `Sink`.

        Raises:
            SinkError: if the encoder refuses. A file that cannot be written is no reason.
        """
        if self._file is not None and self._turn_of(frame) != self._turn:
            self._guarded(self._finish, frame.pts)
        if self._file is None and (self._retry_ns is None or self._clock() >= self._retry_ns):
            self._guarded(self._begin, frame)
        if self._file is None:
            self.lost += 1
        else:
            self._guarded(self._file.write, frame, restored_hwc)

    def close(self, *, complete: bool = True) -> None:
        """Finish the file; see `Sink`.

        Raises:
            SinkError: if the encoder refuses.
        """
        try:
            if self._file is not None:
                self._guarded(self._finish, None, complete)
        finally:
            self._file = None
            if self._audio is not None:
                self._audio.close()

    def figures(self) -> Mapping[str, float]:
        """Return the files recorded, and the frames repeated and skipped for a constant rate."""
        return told(
            {
                "segments": self._segments,
                "repeated_frames": self._repeated,
                "skipped_frames": self._left_out,
            }
        )

    def _turn_of(self, frame: Frame) -> int:
        """Return how many lengths of a segment have passed since the first frame."""
        if self._first_pts is None:
            self._first_pts = frame.pts
        return (frame.pts - self._first_pts) * self._encoding.time_base // self._length

    def _guarded(self, step: Callable[..., None], *arguments: object) -> None:
        try:
            step(*arguments)
        except av.error.FFmpegError as error:  # before OSError, which some of these are too
            frames = self._file.frames if self._file is not None else 0
            raise write_error(self._numbered(), error, frames) from error
        except OSError as error:
            self._give_up(error)

    def _begin(self, frame: Frame) -> None:
        if self._retry_ns is not None:
            check_room(self._path.parent)
        if self._audio_from is not None:
            self._audio = self._audio or AudioCopy(self._audio_from, self._path)
            self._audio.skip(begin_of(self._encoding, frame.pts))
        while self._file is None:
            with contextlib.suppress(FileExistsError):
                self._file = self._opened(frame)
                break
            self._number += 1
        self._turn = self._turn_of(frame)
        if self._retry_ns is not None:
            self._retry_ns = None
            _log.warning(
                "recording goes on in '%s'; %d frames are lost", self._numbered(), self.lost
            )

    def _opened(self, frame: Frame) -> VideoFile:
        return VideoFile(self._numbered(), self._encoding, self._audio, segment_from_pts=frame.pts)

    def _finish(self, until_pts: int | None, complete: bool = False) -> None:
        if self._file is not None:
            self._file.close(until_pts=until_pts, complete=complete)
            self._count(self._file)
        self._file = None

    def _give_up(self, error: OSError) -> None:
        """Keep what is playable of the file, and come back later."""
        path, file, self._file = self._numbered(), self._file, None
        pictures = 0
        if file is not None:
            with contextlib.suppress(OSError, av.error.FFmpegError):
                file.close()
            pictures = pictures_in(path)
            self.lost += file.track.frames_after(pictures)
            if not pictures:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            self._count(file)
        if self._retry_ns is None:
            _log.warning(
                "%s; it is tried again every %g s",
                write_error(path, error, pictures),
                RETRY_SECONDS,
            )
        self._retry_ns = self._clock() + round(RETRY_SECONDS * 1e9)

    def _count(self, file: VideoFile) -> None:
        self._repeated += file.track.repeated
        self._left_out += file.track.left_out
        if file.path.exists():
            self._segments += 1
            self._number += 1

    def _numbered(self) -> Path:
        return self._path.with_name(f"{self._path.stem}-{self._number:05d}{self._path.suffix}")


def _first_free_number(path: Path) -> int:
    """Return the number after the highest one that a segment of this name has."""
    pattern = re.compile(re.escape(path.stem) + r"-(\d{5,})" + re.escape(path.suffix))
    matches = (pattern.fullmatch(other.name) for other in path.parent.iterdir())
    return max((int(match[1]) + 1 for match in matches if match), default=0)
