"""Restored frames as one video file, with the source's timestamps and audio.

The file is created at the first frame, so that a run which fails before it leaves what was
there alone.
"""

from collections.abc import Mapping
from pathlib import Path

import av.error
import numpy as np
import numpy.typing as npt

from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.stream.sink import Sink, SinkOptions

from .audio import AudioCopy, check_audio_fits
from .encoder import encoding_for
from .figures import told
from .place import check_folder, write_error
from .writer import VideoFile


class FileSink(Sink):
    """Encodes the pictures and copies the audio; see `writer` for what survives a failure."""

    def __init__(
        self,
        path: Path,
        info: StreamInfo,
        scale: int,
        *,
        options: SinkOptions,
        threads: int | None = None,
    ) -> None:
        """Check the place, the encoder and the audio; the file is made at the first frame.

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
        self._file: VideoFile | None = None
        self._frames = self._repeated = self._left_out = 0

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Encode one frame; see `Sink`.

        Raises:
            SinkError: if the file cannot be made or written.
        """
        try:
            if self._file is None:
                self._file = self._opened()
            self._file.write(frame, restored_hwc)
        except (OSError, av.error.FFmpegError) as error:
            raise write_error(self._path, error, self._frames) from error
        self._frames += 1
        self._repeated, self._left_out = self._file.track.repeated, self._file.track.left_out

    def close(self, *, complete: bool = True) -> None:
        """Finish the file; see `Sink`.

        Raises:
            SinkError: if the rest cannot be written.
        """
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close(complete=complete)
        except (OSError, av.error.FFmpegError) as error:
            raise write_error(self._path, error, self._frames) from error
        finally:
            self._repeated = file.track.repeated
            if self._audio is not None:
                self._audio.close()

    def figures(self) -> Mapping[str, float]:
        """Return how many frames were repeated and skipped to hold a constant rate, if any."""
        return told({"repeated_frames": self._repeated, "skipped_frames": self._left_out})

    def _opened(self) -> VideoFile:
        if self._audio_from is not None and self._audio is None:
            self._audio = AudioCopy(self._audio_from, self._path)
        return VideoFile(self._path, self._encoding, self._audio)
