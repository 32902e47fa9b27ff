"""Where restored frames go: one Protocol, and the choice by URI."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crispstream.core.errors import UsageError
from crispstream.core.files import IMAGE_EXTENSIONS
from crispstream.runtime.frame import Frame, StreamInfo

CODECS = ("h264", "hevc")
ENCODERS = ("auto", "nvenc", "cpu")
"""auto: the GPU's encoder where there is one, else the CPU."""
VIDEO_EXTENSIONS = (".mp4", ".mov", ".m4v", ".mkv")


@dataclass(frozen=True)
class SinkOptions:
    """What a user may ask of a sink; None leaves it to the sink."""

    size: tuple[int, int] | None = None
    """(width, height) of the output in pixels; by default `scale` times the source's."""
    codec: str = "h264"
    """One of `CODECS`."""
    encoder: str = "auto"
    """One of `ENCODERS`."""
    frame_rate: float | None = None
    """A constant rate to write, by repeating and leaving out frames; by default every frame
    keeps its own time."""
    segment_seconds: float | None = None
    """Begin a new file each so many seconds."""


class Sink(Protocol):
    """Takes restored frames in order; one thread writes and closes. Sinks are made from it.

    Attributes:
        may_skip: whether frames that come while it is busy may be left out even where nothing
            else is lost, as for a page that somebody looks at.
    """

    may_skip: bool = False

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Write one restored frame, uint8 [4H,4W,3] BGR, at the time of its source `frame`.

        The pixels are read before the call returns and never after.

        Raises:
            SinkError: if the output cannot be written; what was written before stays usable.
        """

    def close(self, *, complete: bool = True) -> None:
        """Finish the output so that it plays; calling it twice does no harm.

        `complete` is False where the source was not read to its end: audio then ends with the
        last frame.

        Raises:
            SinkError: if the end cannot be written.
        """

    def figures(self) -> Mapping[str, float]:
        """Return what it measured itself, by name, for the report; any thread may ask."""
        return {}


def open_sink(
    uri: str,
    info: StreamInfo,
    scale: int,
    *,
    source: str = "",
    overwrite: bool = False,
    threads: int | None = None,
) -> Sink:
    """Open a video file, an image, a folder of images, or `null://`.

    Args:
        uri: by its ending: a video (.mp4 .mov .m4v .mkv), one image, otherwise a folder.
        info: of the source's stream.
        scale: output pixels per source pixel on each side.
        source: URI of the source, which is never overwritten.
        overwrite: replace a file that is there; without it that is an error.
        threads: of the video encoder; by default one a core, up to 4.

    Raises:
        UsageError: if the output exists, is the source itself, or is of no known kind.
        SinkError: if the place cannot be written to.
    """
    if uri == "null://":
        from .sinks.null import NullSink

        return NullSink()
    if "://" in uri:
        raise UsageError(
            f"'{uri}' is no kind of sink known here; give a video file, an image, a folder, or null://"
        )
    path = Path(uri)
    _refuse_the_source(path, source)
    kind = path.suffix.lower()
    if path.is_dir() or not kind:
        from .sinks.folder import FolderSink

        return FolderSink(path, overwrite=overwrite)
    _refuse_to_overwrite(path, overwrite)
    if kind in IMAGE_EXTENSIONS:
        from .sinks.folder import ImageSink

        return ImageSink(path)
    if kind in VIDEO_EXTENSIONS:
        from .sinks.file import FileSink

        return FileSink(path, info, scale, threads=threads)
    raise UsageError(
        f"'{uri}' ends in {kind}, which cannot be written; end it in one of "
        f"{', '.join((*VIDEO_EXTENSIONS, *IMAGE_EXTENSIONS))}, or in nothing for a folder"
    )


def _refuse_the_source(path: Path, source: str) -> None:
    if not source or "://" in source or not path.exists():
        return
    if path.samefile(source):
        raise UsageError(f"'{path}' is the source itself; name another output")
    if path.is_dir() and path.samefile(Path(source).parent) and source.lower().endswith(".png"):
        raise UsageError(f"'{path}' holds the source '{source}'; name another folder")


def _refuse_to_overwrite(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise UsageError(f"'{path}' exists already; name another output or add --overwrite")
