"""Tiny video and audio files for tests, made with PyAV on the spot."""

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from crispstream.runtime.stream.sources.synth import paint_counter

Pixels = npt.NDArray[np.uint8]


def numbered_frame(number: int, width: int = 64, height: int = 48) -> Pixels:
    """A grey ramp with the frame's number painted in."""
    ramp = np.linspace(40, 200, width).astype(np.uint8)
    frame_hwc = np.repeat(np.broadcast_to(ramp, (height, width))[:, :, None], 3, axis=2).copy()
    paint_counter(frame_hwc, number)
    return frame_hwc


def write_video(
    path: Path,
    *,
    frames: int = 10,
    width: int = 64,
    height: int = 48,
    time_base: Fraction = Fraction(1, 90_000),
    times: Sequence[int] | None = None,
    tags: dict[str, int] | None = None,
    audio_seconds: float = 0.0,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pixels: Sequence[Pixels] | None = None,
    container_options: dict[str, str] | None = None,
) -> list[int]:
    """Write numbered frames (or `pixels`) at `times` (30 a second by default); return the times."""
    step = round(1 / 30 / time_base)
    pts = list(times) if times is not None else [n * step for n in range(frames)]
    pictures = pixels or [numbered_frame(n, width, height) for n in range(len(pts))]
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(
            codec, options=options or {"crf": "10", "preset": "ultrafast"}
        )
        stream.width, stream.height = pictures[0].shape[1], pictures[0].shape[0]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = time_base
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        sound = container.add_stream("aac", rate=16_000) if audio_seconds else None
        for picture, time in zip(pictures, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            _write_tone(container, sound, audio_seconds)
    return pts


def write_sound(path: Path, seconds: float = 0.5) -> None:
    """Write a file with sound only."""
    with av.open(str(path), "w") as container:
        _write_tone(container, container.add_stream("aac", rate=16_000), seconds)


def _write_tone(
    container: av.container.OutputContainer, stream: av.AudioStream, seconds: float
) -> None:
    for start in range(0, round(16_000 * seconds), 1024):
        phase = 2 * np.pi * 440 * (start + np.arange(1024)) / 16_000
        frame = av.AudioFrame.from_ndarray(
            np.sin(phase).astype(np.float32)[None] / 4, format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def write_with_a_hole(path: Path) -> None:
    """Write 40 numbered frames, of which a few in the middle do not decode."""
    options = {"g": "1", "preset": "ultrafast", "crf": "10"}
    write_video(path, frames=40, options=options, container_options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[begin : begin + 900] = bytes(900)
    path.write_bytes(data)


def halve_edit(path: Path) -> None:
    """Halve the one edit of an MP4, as trimming in a phone does; every sample stays."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12  # behind the name, version, flags and number of entries
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") // 2).to_bytes(4, "big")
    path.write_bytes(data)


def turn(path: Path, degrees: float) -> None:
    """Tag an MP4 to be shown turned clockwise by an angle, as phones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # the matrix of a version 0 box
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    matrix = (cosine, sine, 0, -sine, cosine, 0)
    data[at : at + 24] = b"".join(
        round(value * 65_536).to_bytes(4, "big", signed=True) for value in matrix
    )
    path.write_bytes(data)


def times_of(path: Path) -> list[Fraction]:
    """Presentation times of the video frames that decode, in seconds, exactly."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in _decodable(container)]


def pictures_of(path: Path) -> list[Pixels]:
    """The video frames that decode, as BGR by their tags."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in _decodable(container)]


def audio_packets_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """Time in seconds and bytes of each audio packet."""
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(container.streams.audio)
            if packet.dts is not None
        ]


def _decodable(container: av.container.InputContainer) -> list[av.VideoFrame]:
    frames: list[av.VideoFrame] = []
    with contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(container.streams.video[0]):
            frames += packet.decode()
    return frames
