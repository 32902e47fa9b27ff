"""Where frames come from: one Protocol, and the choice by URI."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import UsageError
from crispstream.core.registry import did_you_mean
from crispstream.core.sizes import size_text
from crispstream.core.uris import masked
from crispstream.runtime.frame import Frame, StreamInfo

from .health import Health

DECODERS = ("auto", "nvdec", "cpu")
"""auto: the GPU's decoder where there is one, else the CPU."""

_HIGHEST_RATE = 1000


@dataclass(frozen=True)
class SourceOptions:
    """What a user may ask of a source; None leaves it to the source."""

    size: tuple[int, int] | None = None
    """(width, height) in pixels to ask a camera for."""
    frame_rate: float | None = None
    """Frames per second to ask a camera for, or to read images at."""
    decoder: str = "auto"
    """One of `DECODERS`."""

    def __post_init__(self) -> None:
        """Refuse what no source could do."""
        rate = self.frame_rate
        if rate is not None and not 0 < rate <= _HIGHEST_RATE:
            raise UsageError(
                f"{rate:g} frames per second; give more than 0 and at most {_HIGHEST_RATE}"
            )
        if self.decoder not in DECODERS:
            raise UsageError(
                f"there is no decoder '{self.decoder}'; {did_you_mean(self.decoder, DECODERS)}"
                f"choose one of: {', '.join(DECODERS)}"
            )


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
    uri: str, clock: Clock = monotonic_ns, *, options: SourceOptions | None = None
) -> Source:
    """Open a camera, a stream, a video file, images, or a synthetic source.

    Args:
        uri: by its beginning, for each of which there is an opener below: a number or
            `v4l2:///dev/video0` for a camera, `csi://0` for one on a Jetson's CSI port,
            `gst:PIPELINE`, an address such as `rtsp://host/stream`, `synth://pattern`;
            everything else is a path of a video file, an image, a folder of images, or a
            pattern as `frames/*.png`, with or without `file://` before it.
        clock: stamps each frame's `captured_ns`.
        options: what is asked of the source; nothing by default.

    Raises:
        UsageError: if there is no such file, the URI names no known kind of source, or the
            source cannot do what the options ask.
        SourceError: if it does not answer, is not what its name says, or holds no frame.
    """
    scheme, rest = _split(uri)
    return _opener(scheme, uri)(rest, uri, clock, options or SourceOptions())


def path_of(uri: str) -> Path | None:
    """Return the path that a URI names, None for cameras, streams and synthetic sources.

    >>> path_of("clips/a.mp4").as_posix(), path_of("file:///clips/a%20b.mp4").as_posix()
    ('clips/a.mp4', '/clips/a b.mp4')
    >>> path_of("rtsp://10.0.0.7/stream"), path_of("0")
    (None, None)
    """
    scheme, rest = _split(uri)
    return Path(rest) if scheme == "file" else None


def _split(uri: str) -> tuple[str, str]:
    """Return the scheme, "file" for paths, and what follows it."""
    if uri.isdecimal():
        return "v4l2", f"/dev/video{uri}"
    if uri.startswith("gst:"):
        return "gst", uri.removeprefix("gst:")
    scheme, separator, rest = uri.partition("://")
    if separator:
        scheme = scheme.lower()
        return scheme, unquote(rest) if scheme == "file" else rest
    if re.fullmatch(r"/dev/video\d+", uri) or Path(uri).is_char_device():
        return "v4l2", uri
    return "file", uri


def _open_file(path_text: str, uri: str, clock: Clock, options: SourceOptions) -> Source:
    from .sources.folder import FolderSource, image_paths

    images = image_paths(path_text)
    if images is not None:
        _refuse(uri, options, size=_AS_STORED, decoder="holds images, which the CPU decodes")
        return FolderSource(images, path_text, clock, frame_rate=options.frame_rate)
    path = Path(path_text)
    if not path.exists():
        raise UsageError(f"there is no file or folder '{path_text}'; check the path of the source")
    if not path.is_file():
        raise UsageError(
            f"'{uri}' is a pipe or a device, and a source is read as a file; save it to one first"
        )
    _refuse(uri, options, size=_AS_STORED, frame_rate=_OWN_RATE)
    from .sources.file import FileSource

    return FileSource(path, clock, options.decoder)


def _open_synth(_: str, uri: str, clock: Clock, options: SourceOptions) -> Source:
    _refuse(uri, options, size=_IN_URI, frame_rate=_OWN_RATE, decoder=_RAW)
    from .sources.synth import SynthSource

    return SynthSource(uri, clock)


def _open_camera(device: str, uri: str, clock: Clock, options: SourceOptions) -> Source:
    _refuse(uri, options, decoder="is a camera, whose pictures the CPU converts")
    from .live.reconnect import ReconnectingSource
    from .sources.v4l2 import camera_feed

    opened = camera_feed(device, options.size, options.frame_rate)
    return ReconnectingSource(opened, device, clock)


def _open_csi(number: str, uri: str, clock: Clock, options: SourceOptions) -> Source:
    _refuse(uri, options, decoder=_RAW)
    from .live.reconnect import ReconnectingSource
    from .sources.gstreamer import csi_pipeline, pipeline_feed

    opened = pipeline_feed(csi_pipeline(number, options.size, options.frame_rate))
    return ReconnectingSource(opened, uri, clock)


def _open_pipeline(pipeline: str, uri: str, clock: Clock, options: SourceOptions) -> Source:
    _refuse(uri, options, size=_IN_PIPELINE, frame_rate=_IN_PIPELINE, decoder=_IN_PIPELINE)
    from .live.reconnect import ReconnectingSource
    from .sources.gstreamer import pipeline_feed

    name = masked(f"gst:{pipeline}")
    return ReconnectingSource(pipeline_feed(pipeline), name, clock)


def _open_address(_: str, uri: str, clock: Clock, options: SourceOptions) -> Source:
    _refuse(uri, options, size=_AS_SENT, frame_rate=_OWN_RATE)
    from .live.reconnect import ReconnectingSource
    from .sources.network import network_feed

    opened = network_feed(uri, options.decoder)
    return ReconnectingSource(opened, masked(uri), clock)


_AS_STORED = "gives pictures of the size that they were stored with"
_AS_SENT = "gives pictures of the size that it sends"
_OWN_RATE = "has a frame rate of its own, and only images and cameras are asked for one"
_IN_URI = "has its size in its address, as in synth://pattern?size=320x180"
_IN_PIPELINE = "is a pipeline, in which this has to be written, as in video/x-raw,width=320"
_RAW = "gives pictures that need no decoder"

_Opener = Callable[[str, str, Clock, SourceOptions], Source]
"""Takes what follows the scheme, the whole URI, and what `open_source` was given."""

_OPENERS: dict[str, _Opener] = {
    "file": _open_file,
    "v4l2": _open_camera,
    "csi": _open_csi,
    "gst": _open_pipeline,
    "synth": _open_synth,
}


def _opener(scheme: str, uri: str) -> _Opener:
    if scheme in _OPENERS:
        return _OPENERS[scheme]
    from .sources.network import SCHEMES

    if scheme in SCHEMES:
        return _open_address
    known = (*_OPENERS, *SCHEMES)
    raise UsageError(
        f"'{masked(uri)}' is no kind of source known here; {did_you_mean(scheme, known)}give a "
        "video file, an image, a folder of images, the number of a camera, or an address that "
        f"begins with {', '.join(f'{name}:' for name in known)}"
    )


def _refuse(uri: str, options: SourceOptions, **reasons: str) -> None:
    """Raise UsageError if an option with a reason against it was given."""
    asked = {
        "size": options.size and size_text(options.size),
        "frame_rate": options.frame_rate and f"{options.frame_rate:g} frames per second",
        "decoder": "the decoder 'nvdec'" if options.decoder == "nvdec" else "",
    }
    for option, reason in reasons.items():
        if asked[option]:
            raise UsageError(
                f"{asked[option]} cannot be had: '{masked(uri)}' {reason}; leave "
                f"{_OPTION_NAMES[option]} out"
            )


_OPTION_NAMES = {
    "size": "the input size",
    "frame_rate": "the input frame rate",
    "decoder": "the decoder",
}
