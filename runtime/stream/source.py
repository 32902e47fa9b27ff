"""Where frames come from: one Protocol, and the choice by URI."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import UsageError
from crispstream.core.registry import did_you_mean
from crispstream.core.sizes import size_text
from crispstream.core.uris import masked
from crispstream.runtime.frame import Frame, StreamInfo

from .health import Health

if TYPE_CHECKING:
    from .live.feed import OpenFeed

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
    uri: str,
    clock: Clock = monotonic_ns,
    *,
    options: SourceOptions | None = None,
    stop: threading.Event | None = None,
) -> Source:
    """Open a camera, a stream, a video file, images, or a synthetic source.

    Args:
        uri: by its beginning, for each of which there is an opener below: a number or
            `v4l2:///dev/video0` for a camera, `csi://0` for one on a Jetson's CSI port,
            `gst:PIPELINE`, an address such as `rtsp://host/stream`, `synth://pattern`;
            everything else is a path of a video file, an image, a folder of images, or a
            pattern as `frames/*.png`, with or without `file://` before it. What has an end and
            comes over HTTP is read as a file, without its sound.
        clock: stamps each frame's `captured_ns`.
        options: what is asked of the source; nothing by default.
        stop: set it, from any thread, to give up within about 2 s what does not answer.

    Raises:
        UsageError: if there is no such file, the URI names no known kind of source, or the
            source cannot do what the options ask.
        SourceError: if it does not answer, is not what its name says, holds no frame, or `stop`
            was set before it gave a picture.
    """
    scheme, rest = _split(uri)
    asked = _Asked(uri, clock, options or SourceOptions(), stop or threading.Event())
    return _opener(scheme, uri)(rest, asked)


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


@dataclass(frozen=True)
class _Asked:
    """What `open_source` was given."""

    uri: str
    clock: Clock
    options: SourceOptions
    stop: threading.Event

    def live(self, open_feed: "OpenFeed", name: str) -> Source:
        """Open what may break, and is then opened again."""
        from .live.reconnect import ReconnectingSource

        return ReconnectingSource(open_feed, name, self.clock, stop=self.stop)


def _open_file(path_text: str, asked: _Asked) -> Source:
    from .sources.folder import FolderSource, image_paths

    images, options = image_paths(path_text), asked.options
    if images is not None:
        _refuse(asked, size=_AS_STORED, decoder="holds images, which the CPU decodes")
        return FolderSource(images, path_text, asked.clock, frame_rate=options.frame_rate)
    path = Path(path_text)
    if not path.exists():
        raise UsageError(f"there is no file or folder '{path_text}'; check the path of the source")
    if not path.is_file():
        raise UsageError(
            f"'{asked.uri}' is a pipe or a device, and a source is read as a file; save it to one "
            "first"
        )
    _refuse(asked, size=_AS_STORED, frame_rate=_OWN_RATE)
    from .sources.file import FileSource

    return FileSource(path, asked.clock, options.decoder)


def _open_synth(_: str, asked: _Asked) -> Source:
    _refuse(asked, size=_IN_URI, frame_rate=_OWN_RATE, decoder=_RAW)
    from .sources.synth import SynthSource

    return SynthSource(asked.uri, asked.clock)


def _open_camera(device: str, asked: _Asked) -> Source:
    _refuse(asked, decoder="is a camera, whose pictures the CPU converts")
    from .sources.v4l2 import camera_feed

    return asked.live(camera_feed(device, asked.options.size, asked.options.frame_rate), device)


def _open_csi(number: str, asked: _Asked) -> Source:
    _refuse(asked, decoder=_RAW)
    from .sources.gstreamer import csi_pipeline, pipeline_feed

    pipeline = csi_pipeline(number, asked.options.size, asked.options.frame_rate)
    return asked.live(pipeline_feed(pipeline), asked.uri)


def _open_pipeline(pipeline: str, asked: _Asked) -> Source:
    _refuse(asked, size=_IN_PIPELINE, frame_rate=_IN_PIPELINE, decoder=_IN_PIPELINE)
    from .sources.gstreamer import pipeline_feed

    return asked.live(pipeline_feed(pipeline), masked(f"gst:{pipeline}"))


def _open_address(_: str, asked: _Asked) -> Source:
    _refuse(asked, size=_AS_SENT, frame_rate=_OWN_RATE)
    from .sources.network import RecordingError, network_feed

    with contextlib.suppress(RecordingError):
        return asked.live(network_feed(asked.uri, asked.options.decoder), masked(asked.uri))
    from .live.opening import Opening, stopped
    from .sources.file import FileSource

    opening = Opening(lambda: FileSource(asked.uri, asked.clock, asked.options.decoder))
    source = opening.wait(asked.stop)
    if source is None:
        raise stopped(masked(asked.uri))
    return source


_AS_STORED = "gives pictures of the size that they were stored with"
_AS_SENT = "gives pictures of the size that it sends"
_OWN_RATE = "has a frame rate of its own, and only images and cameras are asked for one"
_IN_URI = "has its size in its address, as in synth://pattern?size=320x180"
_IN_PIPELINE = "is a pipeline, in which this has to be written, as in video/x-raw,width=320"
_RAW = "gives pictures that need no decoder"

_Opener = Callable[[str, _Asked], Source]
"""Takes what follows the scheme."""

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


def _refuse(asked: _Asked, **reasons: str) -> None:
    """Raise UsageError if an option with a reason against it was given."""
    options = asked.options
    given = {
        "size": options.size and size_text(options.size),
        "frame_rate": options.frame_rate and f"{options.frame_rate:g} frames per second",
        "decoder": "the decoder 'nvdec'" if options.decoder == "nvdec" else "",
    }
    for option, reason in reasons.items():
        if given[option]:
            raise UsageError(
                f"{given[option]} cannot be had: '{masked(asked.uri)}' {reason}; leave "
                f"{_OPTION_NAMES[option]} out"
            )


_OPTION_NAMES = {
    "size": "the input size",
    "frame_rate": "the input frame rate",
    "decoder": "the decoder",
}
