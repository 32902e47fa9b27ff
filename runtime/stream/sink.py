"""Where restored frames go: one Protocol, and the choice by URI."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crispstream.core.errors import UsageError
from crispstream.core.uris import masked
from crispstream.runtime.frame import Frame, StreamInfo

from .ledger import Ledger
from .sinks.kinds import ON_DISK, VIDEO_EXTENSIONS, kind_of, refuse_the_source, target_of

CODECS = ("h264", "hevc")
ENCODERS = ("auto", "nvenc", "cpu")
"""auto: the GPU's encoder where there is one, else the CPU."""
_MOST_A_SECOND = 1000
_LONGEST_SEGMENT_SECONDS = 86_400
_ABLE = {
    "codec (--codec)": {"video", "push"},
    "encoder (--encoder)": {"video", "push"},
    "output_fps (--output-fps)": {"video", "push"},
    "segment_seconds (--segment-seconds)": {"video"},
}
"""Option, as a key of a file and at the command line -> kinds of sinks that can obey it; any can
be given pictures of a size."""


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
    """Begin a new file each so many seconds, from 1 to a day's."""

    def __post_init__(self) -> None:
        """Refuse what no sink could do.

        Raises:
            UsageError: naming the value and what is possible.
        """
        _check_name("codec", self.codec, CODECS)
        _check_name("encoder", self.encoder, ENCODERS)
        if self.size is not None and min(self.size) < 1:
            raise UsageError(
                f"an output of {self.size[0]}x{self.size[1]} px shows nothing; give positive sides"
            )
        if self.frame_rate is not None and not 0 < self.frame_rate <= _MOST_A_SECOND:
            raise UsageError(
                f"{self.frame_rate:g} frames per second cannot be written; give more than 0 and at "
                f"most {_MOST_A_SECOND}"
            )
        seconds = self.segment_seconds
        if seconds is not None and not 1 <= seconds <= _LONGEST_SEGMENT_SECONDS:
            raise UsageError(
                f"segments of {seconds:g} s cannot be recorded; give 1 to "
                f"{_LONGEST_SEGMENT_SECONDS} seconds"
            )


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UsageError(f"unknown {what} '{name}'; choose one of: {', '.join(known)}")


DEFAULT_OPTIONS = SinkOptions()
"""Nothing asked for."""


class Sink(Protocol):
    """Takes restored frames in order; one thread writes and closes. Sinks are made from it.

    Attributes:
        may_skip: whether frames that come while it is busy may be left out even where nothing
            else is lost, as for a page that somebody looks at.
        lost: frames it took and could not deliver so far, where it went on after that.
    """

    may_skip: bool = False
    lost: int = 0

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
    options: SinkOptions = DEFAULT_OPTIONS,
    ledger: Ledger | None = None,
) -> Sink:
    """Open a place for restored frames, all of one size: `options.size`, or `scale` times `info`'s.

    Args:
        uri: a scheme of `kinds.SCHEMES`; or a path, by its ending a video (.mp4 .mov .m4v .mkv),
            one image, otherwise a folder.
        info: of the source's stream.
        scale: output pixels per source pixel on each side.
        source: URI of the source, which is never overwritten.
        overwrite: replace a file that is there; without it that is an error. Segments of a
            recording are never replaced.
        threads: of a video encoder on the CPU; by default one a core, up to 4.
        options: what a sink cannot obey it leaves; `check_options` tells before.
        ledger: the stream's books, for a sink that shows them.

    Raises:
        UsageError: if the output exists, is the source itself, or is of no known kind.
        SinkError: if the place cannot be written to, or does not answer.
    """
    kind = kind_of(uri)
    refuse_the_source(uri, source)
    if kind in ON_DISK:
        return _open_path(kind, Path(uri), info, scale, overwrite, threads, options)
    if kind == "push":
        from .sinks.push import PushSink

        return PushSink(uri, info, scale, threads=threads, options=options)
    return _open_observer(kind, uri, ledger)


def _open_path(
    kind: str,
    path: Path,
    info: StreamInfo,
    scale: int,
    overwrite: bool,
    threads: int | None,
    options: SinkOptions,
) -> Sink:
    if kind == "folder":
        from .sinks.folder import FolderSink

        return FolderSink(path, overwrite=overwrite)
    if kind == "video" and options.segment_seconds is not None:
        from .sinks.segments import SegmentSink

        seconds = options.segment_seconds
        return SegmentSink(
            path, info, scale, segment_seconds=seconds, threads=threads, options=options
        )
    _refuse_to_overwrite(path, overwrite)
    if kind == "image":
        from .sinks.folder import ImageSink

        return ImageSink(path)
    from .sinks.file import FileSink

    return FileSink(path, info, scale, threads=threads, options=options)


def _open_observer(kind: str, uri: str, ledger: Ledger | None) -> Sink:
    """Open a sink that keeps no picture."""
    if kind == "preview":
        from .sinks.preview.preview import PreviewSink

        return PreviewSink(uri, ledger)
    if kind == "timecode":
        from .sinks.timecode import TimecodeSink

        return TimecodeSink()
    from .sinks.null import NullSink

    return NullSink()


def check_distinct(uris: Sequence[str]) -> None:
    """Raise UsageError if two sinks have one target."""
    seen: dict[str, str] = {}
    for uri in uris:
        target = target_of(uri)
        if target in seen:
            raise UsageError(
                f"'{masked(seen[target])}' and '{masked(uri)}' are one and the same output; "
                "leave one of them out"
            )
        seen[target] = uri


def check_options(uris: Sequence[str], options: SinkOptions, *, overwrite: bool = False) -> None:
    """Make sure that each option applies to one of the sinks at least; to the others it does not.

    Raises:
        UsageError: if none can obey an option, if there is nothing to `overwrite` since only
            segments are written, if a sink is of no known kind, or if its protocol is not there.
    """
    kinds = {kind_of(uri) for uri in uris}
    asked = (
        options.codec != DEFAULT_OPTIONS.codec,
        options.encoder != DEFAULT_OPTIONS.encoder,
        options.frame_rate is not None,
        options.segment_seconds is not None,
    )
    names = " and ".join(f"'{masked(uri)}'" for uri in uris)
    for (option, able), is_asked in zip(_ABLE.items(), asked, strict=True):
        if is_asked and not kinds & able:
            raise UsageError(
                f"{option} is asked for, and {names} cannot obey; leave it out, or name an output "
                f"that ends in one of {', '.join(VIDEO_EXTENSIONS)}"
            )
    if overwrite and options.segment_seconds is not None and not kinds & {"folder", "image"}:
        raise UsageError(
            "segments are numbered on after those that are there, and replace nothing; leave out "
            "overwrite (--overwrite), or segment_seconds (--segment-seconds)"
        )
    for uri in uris:
        _refuse_unspoken(uri)


def _refuse_unspoken(uri: str) -> None:
    if kind_of(uri) == "push":
        from .sinks.push import check_spoken

        check_spoken(uri)


def _refuse_to_overwrite(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise UsageError(f"'{path}' exists already; name another output or add --overwrite")
