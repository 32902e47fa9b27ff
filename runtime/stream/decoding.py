"""What is decoded, and by which processor: the GPU's decoder (NVDEC), or the CPU.

FFmpeg decodes on the GPU and PyAV copies each picture back to the computer's memory, where it is
converted like any other. The choice is tested with a fake GPU; a real NVDEC was never tried.
"""

import ctypes
from typing import Any

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.engine.available import driver_starts

_DEVICE = "cuda"
_DECODER_LIBRARY = "libnvcuvid.so.1"
_UNTAGGED = {"colorspace": 2, "color_primaries": 2, "color_trc": 2, "color_range": 0}
"""What a picture has where its stream says nothing: ITU-T H.273, and FFmpeg for the range."""


def hardware(decoder: str) -> HWAccel | None:
    """Return what `av.open(hwaccel=...)` takes for one of `source.DECODERS`; None for the CPU.

    With "auto" PyAV may fall back to the CPU for what the GPU cannot decode, never with "nvdec".
    That a device opens is only known when it does: `av.open` then raises.

    Raises:
        UsageError: if "nvdec" is asked for and the machine lacks it.
    """
    if decoder == "cpu":
        return None
    missing = _missing()
    if not missing:
        return HWAccel(_DEVICE, allow_software_fallback=decoder == "auto")
    if decoder == "auto":
        return None
    raise UsageError(f"the decoder 'nvdec' cannot be had: {missing}; choose the decoder cpu")


def video_stream(container: av.container.InputContainer, name: str, advice: str) -> av.VideoStream:
    """Return the first video stream of what is open, `name` in messages.

    Raises:
        SourceError: if there is none, or none that can be decoded, which ends in the `advice`.
    """
    if not container.streams.video:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise SourceError(f"'{name}' has no video stream, only {kinds}; give a video")
    stream = container.streams.video[0]
    codec: Any = stream.codec_context  # None where FFmpeg has no decoder, whatever PyAV's types say
    if codec is None:
        raise SourceError(f"'{name}' has video that this build of PyAV cannot decode; {advice}")
    return stream


def restore_tags(picture: av.VideoFrame, codec: av.VideoCodecContext) -> None:
    """Put a stream's colour tags back on a picture that came from the GPU without them.

    PyAV before 18 does not copy them (its issue 2231), but the stream's decoder knows them.
    """
    for name, untagged in _UNTAGGED.items():
        if hasattr(picture, name) and int(getattr(picture, name)) == untagged:
            setattr(picture, name, getattr(codec, name))


def _missing() -> str:
    """Return what the GPU's decoder lacks here, "" for nothing."""
    if _DEVICE not in hwdevices_available():
        return "this build of PyAV knows no CUDA"
    if not driver_starts():
        return "there is no NVIDIA GPU, or its driver does not start"
    try:
        _load(_DECODER_LIBRARY)
    except OSError:  # a Jetson has other decoders, a container may leave it out
        return (
            f"the driver's {_DECODER_LIBRARY} was not found (in a container it comes with "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video, a Jetson decodes through gst:)"
        )
    return ""


def _load(library: str) -> Any:  # noqa: ANN401 (a C library)
    return ctypes.CDLL(library)
