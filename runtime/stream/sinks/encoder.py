"""Video encoders: which one there is, and how it is set.

The GPU's (NVENC) where a driver is there and one opens at the asked size, else x264 and x265.
"""

import logging
from dataclasses import dataclass
from fractions import Fraction

import av
import av.error

from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.frame import Colour, StreamInfo
from crispstream.runtime.stream.colour import output_colour, tag
from crispstream.runtime.stream.cores import codec_threads
from crispstream.runtime.stream.sink import SinkOptions

from .grid import exact_rate

_log = logging.getLogger("crispstream.stream")

_CPU = {"h264": "libx264", "hevc": "libx265"}
_GPU = {"h264": "h264_nvenc", "hevc": "hevc_nvenc"}
_MOST_PX = 16_384  # libx264 refuses a longer side
_USUAL_RATE = Fraction(30)
_LONGEST_FILL_SECONDS = 60.0
_LONGEST_FILL_SECONDS_LIVE = 1.0  # what comes after the gap waits until it is filled

# All of them without B-frames: decoding order is then display order, times stay as they are,
# and a cut file ends cleanly.
#
# libx264: measured on restored 1280x720 frames against preset veryfast: half the CPU time (9
# against 19 ms a frame), 0.08 dB better, 18 % larger. Macroblock trees are what makes the fast
# preset small (a third smaller), and 5 frames of lookahead give nearly all of that.
#
# libx265, on the same kind of frames: 45 % of that size for 1.2 dB less and 3.4 times the CPU
# time (38 ms a frame); preset superfast takes 69 ms for another 0.3 dB at the same size.
_NVENC_FOR_FILES = {
    "preset": "p4",
    "tune": "hq",
    "rc": "vbr",
    "cq": "19",
    "bf": "0",
    "g": "250",
}
_FOR_FILES = {
    "libx264": {
        "preset": "superfast",
        "crf": "18",
        "x264-params": "mbtree=1:rc-lookahead=5:sync-lookahead=0:bframes=0",
    },
    "libx265": {
        "preset": "ultrafast",
        "crf": "19",
        "x265-params": "log-level=error:rc-lookahead=5:bframes=0",
    },
    "h264_nvenc": _NVENC_FOR_FILES,
    "hevc_nvenc": _NVENC_FOR_FILES,
}

# What is watched while it is made: no picture waits in the encoder, and whoever comes later
# finds a key frame with all the headers soon. Key frames are asked for by time, not by count.
_NVENC_FOR_WATCHING = {
    "preset": "p3",
    "tune": "ull",
    "rc": "vbr",
    "cq": "21",
    "bf": "0",
    "delay": "0",
    "zerolatency": "1",
    "forced-idr": "1",
}
_FOR_WATCHING = {
    "libx264": {
        "preset": "superfast",
        "crf": "20",
        "tune": "zerolatency",
        "forced-idr": "1",
        "x264-params": "repeat-headers=1:bframes=0",
    },
    "libx265": {
        "preset": "ultrafast",
        "crf": "21",
        "tune": "zerolatency",
        "forced-idr": "1",
        "x265-params": "log-level=error:repeat-headers=1:bframes=0",
    },
    "h264_nvenc": _NVENC_FOR_WATCHING,
    "hevc_nvenc": _NVENC_FOR_WATCHING,
}


@dataclass(frozen=True)
class Encoding:
    """How pictures become a video stream; all that an encoder needs to open."""

    name: str
    """FFmpeg's name of the encoder."""
    width: int
    height: int
    """Pixels; even numbers."""
    time_base: Fraction
    """Seconds per unit of the frames' times."""
    frame_rate: Fraction | None
    """Nominal frames per second that come in; None where the rate is free."""
    output_rate: Fraction | None
    """Frames per second to write; None leaves every frame its own time."""
    colour: Colour
    threads: int
    watched: bool
    """Whether somebody watches while it is made: no delay, and key frames often."""
    longest_fill_seconds: float
    """At a constant rate a gap longer than this stays one; a shorter one is filled by repeating
    the picture before it."""

    @property
    def output_time_base(self) -> Fraction:
        """Seconds per unit of the written times."""
        return self.time_base if self.output_rate is None else 1 / self.output_rate


def encoding_for(
    where: str,
    info: StreamInfo,
    scale: int,
    options: SinkOptions,
    *,
    threads: int | None = None,
    watched: bool = False,
) -> Encoding:
    """Settle all that an encoder needs, and find one; `where` names the output in messages.

    Raises:
        UsageError: if no encoder takes the size.
        SinkError: if the wanted encoder is not there.
    """
    width, height = options.size or (info.width * scale, info.height * scale)
    _check_size(where, width, height)
    return Encoding(
        name=_encoder_name(options.codec, options.encoder, width, height),
        width=width,
        height=height,
        time_base=info.time_base,
        frame_rate=info.frame_rate,
        output_rate=None if options.frame_rate is None else exact_rate(options.frame_rate),
        colour=output_colour(info.colour, height),
        threads=threads or codec_threads(),
        watched=watched,
        longest_fill_seconds=_LONGEST_FILL_SECONDS_LIVE
        if watched or info.live
        else _LONGEST_FILL_SECONDS,
    )


def add_video_stream(container: av.container.OutputContainer, encoding: Encoding) -> av.VideoStream:
    """Add a stream with its encoder to an output that has not started yet.

    Raises:
        ValueError: if this kind of output does not take this codec.
    """
    rate = encoding.output_rate or encoding.frame_rate or _USUAL_RATE
    settings = _FOR_WATCHING if encoding.watched else _FOR_FILES
    stream = container.add_stream(encoding.name, rate=rate, options=settings[encoding.name])
    assert isinstance(stream, av.VideoStream)
    codec = stream.codec_context
    codec.width, codec.height = encoding.width, encoding.height
    codec.pix_fmt = "yuv420p"
    codec.time_base = stream.time_base = encoding.output_time_base
    codec.thread_count = encoding.threads
    if _is_hevc(encoding.name) and container.format.name in ("mp4", "mov"):
        codec.codec_tag = "hvc1"  # the default, hev1, does not play on Apple's devices
    tag(codec, encoding.colour)
    return stream


def _is_hevc(name: str) -> bool:
    return name in (_CPU["hevc"], _GPU["hevc"])


def _check_size(where: str, width: int, height: int) -> None:
    if max(width, height) > _MOST_PX:
        raise UsageError(
            f"'{where}' would be {width}x{height} px, and video is encoded up to {_MOST_PX} "
            "px a side; name a folder as the output, for images"
        )
    if width % 2 or height % 2:
        raise UsageError(
            f"'{where}' would be {width}x{height} px, and video has even sides; ask for an output "
            f"of {width + width % 2}x{height + height % 2}"
        )


def _encoder_name(codec: str, wish: str, width: int, height: int) -> str:
    if wish != "cpu":
        refusal = _refusal(_GPU[codec], width, height)
        if not refusal:
            _log.info("encoding with %s", _GPU[codec])
            return _GPU[codec]
        if wish == "nvenc":
            raise SinkError(
                f"NVENC cannot encode {codec} of {width}x{height} px here: {refusal}; use a "
                "machine with an NVIDIA GPU and driver, or the encoder 'cpu'"
            )
    if _CPU[codec] not in av.codecs_available:
        raise SinkError(
            f"this build of PyAV has no {codec} encoder ({_CPU[codec]}); install the one from "
            "PyPI: pip install --force-reinstall av"
        )
    return _CPU[codec]


def _refusal(name: str, width: int, height: int) -> str:
    """Return why an encoder does not work, tried by opening one; empty if it does."""
    if name not in av.codecs_available:
        return f"this build of PyAV has no {name}"
    trial = av.CodecContext.create(name, "w")
    assert isinstance(trial, av.VideoCodecContext)
    trial.width, trial.height, trial.pix_fmt = width, height, "yuv420p"
    trial.time_base = 1 / _USUAL_RATE
    try:
        trial.open()
    except (av.error.FFmpegError, OSError) as error:
        return f"no driver, no encoder in the GPU, or not at this size ({error.strerror})"
    return ""
