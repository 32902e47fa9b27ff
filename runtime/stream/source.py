"""Where frames come from: one Protocol, and the choice by URI."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import UsageError
from crispstream.core.files import IMAGE_EXTENSIONS
from crispstream.core.uris import masked
from crispstream.runtime.frame import Frame, StreamInfo

from .health import Health

DECODERS = ("auto", "nvdec", "cpu")
"""auto: the GPU's decoder where there is one, else the CPU."""


@dataclass(frozen=True)
class SourceOptions:
    """What a user may ask of a source; None leaves it to the source."""

    size: tuple[int, int] | None = None
    """(width, height) in pixels to ask a camera for."""
    frame_rate: float | None = None
    """Frames per second to ask a camera for, or to read images at."""
    decoder: str = "auto"
    """One of `DECODERS`."""
    patient: bool = False
    """Whether a live source that does not answer at first is tried again, like a lost one."""


class Source(Protocol):
    """Gives frames in presentation order, once; one thread iterates."""

    @property
    def health(self) -> Health:
        """The state it is in."""

    @property
    def info(self) -> StreamInfo:
        """What holds for every frame."""

    @property
    def damaged(self) -> int:
        """How many pieces of the input could not be decoded, but decoding went on after them."""

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames.

        Raises:
            SourceError: after the last good frame, if the input breaks before its end.
        """

    def stop(self) -> None:
        """Ask the iteration to end, from any thread; it does within 2 s."""

    def close(self) -> None:
        """Let go of the input once nobody iterates; calling it twice does no harm."""


def open_source(
    uri: str, clock: Clock = monotonic_ns, *, frame_rate: float | None = None
) -> Source:
    """Open a video file, an image, a folder of images, or `synth://pattern`.

    `clock` stamps each frame's `captured_ns`; `frame_rate` is for images, which have none of
    their own (25 a second unless given).

    Raises:
        UsageError: if there is no such file, the URI names no known kind of source, or a
            frame rate is given for a source that has its own.
        SourceError: if the input is not what its name says, or holds no frame.
    """
    if uri.startswith("synth://"):
        _refuse_rate(uri, frame_rate)
        from .sources.synth import SynthSource

        return SynthSource(uri, clock)
    if "://" in uri:
        raise UsageError(
            f"'{masked(uri)}' is no kind of source known here; give a video file, an image, a "
            "folder of images, or synth://pattern"
        )
    path = Path(uri)
    if not path.exists():
        raise UsageError(f"there is no file or folder '{uri}'; check the path of the source")
    if path.is_dir() or (path.is_file() and path.suffix.lower() in IMAGE_EXTENSIONS):
        from .sources.folder import FolderSource

        return FolderSource(path, clock, frame_rate=frame_rate)
    if not path.is_file():
        raise UsageError(
            f"'{uri}' is a pipe or a device, and a source is read as a file; save it to one first"
        )
    _refuse_rate(uri, frame_rate)
    from .sources.file import FileSource

    return FileSource(path, clock)


def _refuse_rate(uri: str, frame_rate: float | None) -> None:
    if frame_rate is not None:
        raise UsageError(
            f"'{uri}' has a frame rate of its own and cannot be read at {frame_rate:g} frames per "
            "second; leave the rate out, it is for images"
        )
