"""Audio copied from the source file beside the restored pictures, not encoded anew."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import av.error

from crispstream.core.errors import SinkError, UsageError


class AudioCopy:
    """Reads the audio packets of a file and hands them to muxers in step with the pictures."""

    def __init__(self, source: Path, target: Path) -> None:
        """Open the source a second time, beside whoever reads its pictures.

        Raises:
            SinkError: if the source cannot be opened again.
        """
        try:
            self._container = av.open(str(source))
        except (av.error.FFmpegError, OSError) as error:
            raise SinkError(
                f"the audio of '{source}' cannot be read for '{target}' ({error.strerror})"
            ) from error
        self._outputs: dict[int, av.AudioStream] = {}
        self._shifts: dict[int, int] = {}
        self._packets = self._demuxed(self._container.streams.audio)
        self._next = next(self._packets, None)

    def begin(self, output: av.container.OutputContainer, origin_seconds: float) -> None:
        """Add the audio streams to an output that has not started yet.

        Its times begin at `origin_seconds` of the source's time line, to the sample.
        """
        for stream in self._container.streams.audio:
            self._outputs[stream.index] = output.add_stream_from_template(stream)
            self._shifts[stream.index] = int(origin_seconds / (stream.time_base or 1))

    def until(self, seconds: float) -> Iterator["av.Packet[av.AudioStream]"]:
        """Give the packets that begin before a time, `seconds` on the source's time line."""
        while self._next is not None and _begin(self._next) < seconds:
            packet = self._next
            self._next = next(self._packets, None)
            shift = self._shifts[packet.stream.index]
            if shift:
                packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            packet.stream = self._outputs[packet.stream.index]
            yield packet

    def skip(self, seconds: float) -> None:
        """Let go of the packets that begin before a time."""
        while self._next is not None and _begin(self._next) < seconds:
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the source."""
        self._next = None
        self._container.close()

    def _demuxed(
        self, streams: tuple[av.AudioStream, ...]
    ) -> Iterator["av.Packet[av.AudioStream]"]:
        try:
            for packet in self._container.demux(streams):
                if packet.dts is not None:  # the last packet of each stream is an empty one
                    yield packet
        except av.error.FFmpegError:
            return  # the pictures of the same file report the damage


def muxer_name(path: Path) -> str:
    """Return FFmpeg's name for the kind of file a path asks for.

    >>> muxer_name(Path("out.MKV")), muxer_name(Path("out.m4v"))
    ('matroska', 'mp4')
    """
    return {".mkv": "matroska", ".mov": "mov"}.get(path.suffix.lower(), "mp4")


def check_audio_fits(source: Path, target: Path) -> None:
    """Make sure the target's kind of file can hold the source's audio, before any work is spent.

    Raises:
        UsageError: if it cannot; the message names a kind that can, if there is one.
    """
    with av.open(str(source)) as container:
        streams = container.streams.audio
        if _can_hold(target, streams):
            return
        codecs = ", ".join(stream.codec_context.name for stream in streams)
        fit = [kind for kind in (".mkv", ".mov") if _can_hold(target.with_suffix(kind), streams)]
    advice = f"end the output's name in {fit[0]}" if fit else "convert the audio to AAC first"
    raise UsageError(
        f"the audio of '{source}' is {codecs}, which a {target.suffix} file cannot hold; {advice}"
    )


def _can_hold(target: Path, streams: tuple[av.AudioStream, ...]) -> bool:
    """Try it by starting such a file in memory.

    The lists of codecs that FFmpeg gives are of what it can encode, not of what it can copy.
    """
    try:
        with av.open(io.BytesIO(), "w", format=muxer_name(target)) as trial:
            for stream in streams:
                trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _begin(packet: "av.Packet[av.AudioStream]") -> float:
    return float((packet.dts or 0) * packet.time_base)
