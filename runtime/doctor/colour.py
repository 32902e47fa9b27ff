"""Do colours come through: a known chart sent through the whole path, judged by the standard.

    lossless video -> source -> slot -> bicubic x4 -> writer -> lossless H.264 -> code values

Everything but the lossless settings is what a run uses. Judged are the pixels that a network
would get, against float64 maths on the code values, and the code values of the output.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt

from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.sink import Sink, SinkOptions
from crispstream.runtime.stream.sinks.encoder import encoding_for
from crispstream.runtime.stream.sinks.track import VideoTrack
from crispstream.runtime.stream.source import open_source

from . import colour_chart as chart

SCHEMA = 1
"""Of the JSON form; a change that breaks readers raises it."""

LIMIT = 1
"""Levels, of 256, by which a value may be off."""

_LOSSLESS = {"preset": "ultrafast", "qp": "0"}
_BT601_LIMITED = chart.MAPPINGS[0]


class Fault(NamedTuple):
    """A patch that came out wrong, or a tag."""

    where: str
    """`read` (the pixels a network gets), `written` (the output's code values), or `tags`."""
    patch: str
    """Its name, "" for tags."""
    expected: str
    seen: str


class Verdict(NamedTuple):
    """What became of one kind of stream."""

    stream: str
    output: str
    """Mapping of the output."""
    read_off: int
    """Levels by which red, green or blue of the pixels is off at most."""
    written_off: int
    """Levels by which Y, Cb or Cr of the output is off at most."""
    faults: tuple[Fault, ...]


class _Way(NamedTuple):
    """A kind of stream, and how its output shall be mapped."""

    stream: str
    coded: chart.Mapping | None
    """None for images."""
    tagged: bool
    output: chart.Mapping


_WAYS = (
    *(_Way(mapping.name, mapping, True, mapping) for mapping in chart.MAPPINGS),
    # Small ones: players take both for BT.601, before and after the enlargement.
    _Way("untagged", _BT601_LIMITED, False, _BT601_LIMITED),
    _Way("images", None, False, _BT601_LIMITED._replace(tags=chart.Tags(6, 1, 6, 1))),
)


def examine_colours() -> list[Verdict]:
    """Send the chart through the kit in every mapping it knows; takes about a second.

    Raises:
        CrispstreamError: if the path does not work at all, as without an H.264 encoder.
    """
    with Restorer.open("bicubic") as restorer, TemporaryDirectory() as folder:
        return [
            _sent(way, restorer, Path(folder) / str(number)) for number, way in enumerate(_WAYS)
        ]


def as_json(verdicts: list[Verdict]) -> dict[str, Any]:
    """Return the verdicts for machines; within a schema these keys stay what they are.

    - schema: version of this form; limit: levels by which a value may be off.
    - failed: how many streams came out wrong; the exit code is 1 unless it is 0.
    - streams: stream, output, read_off, written_off and faults of each; a fault has where
      (read, written or tags), patch, expected and seen.
    """
    return {
        "schema": SCHEMA,
        "limit": LIMIT,
        "failed": sum(bool(verdict.faults) for verdict in verdicts),
        "streams": [
            {**verdict._asdict(), "faults": [fault._asdict() for fault in verdict.faults]}
            for verdict in verdicts
        ],
    }


def _sent(way: _Way, restorer: Restorer, folder: Path) -> Verdict:
    folder.mkdir()
    given, pixels_rgb = _write_input(way, folder)
    output = folder / "out.mp4"
    seen: list[Frame] = []
    source = open_source(str(given))
    try:
        sink = _LosslessSink(output, source.info)
        run_stream(source, restorer, sink, policy="all", watch=seen.append)
    finally:
        source.close()
    read = [list(np.moveaxis(frame.pixels_hwc[..., ::-1], -1, 0)) for frame in seen]
    read_off, read_faults = _judged("read", "RGB", pixels_rgb, [_middles(one) for one in read])
    tags, pictures = chart.read_chart(output)
    codes = chart.codes_of(chart.nominal_rgb(), way.output)
    written_off, written_faults = _judged("written", ("Y", "Cb", "Cr"), codes, pictures)
    faults = (*_wrong_tags(way.output.tags, tags), *read_faults, *written_faults)
    return Verdict(way.stream, way.output.name, read_off, written_off, faults)


def _write_input(way: _Way, folder: Path) -> tuple[Path, chart.Floats]:
    """Return a video or an image of the chart, and the red, green and blue bytes to expect."""
    if way.coded is None:
        pixels_rgb = np.round(255 * chart.nominal_rgb())
        path = folder / "chart.png"
        cv2.imwrite(str(path), chart.painted(pixels_rgb[:, ::-1].astype(np.uint8)))
        return path, pixels_rgb
    codes = chart.codes_of(chart.nominal_rgb(), way.coded)
    path = folder / "chart.mkv"
    chart.write_chart(path, codes.astype(np.uint8), way.coded.tags if way.tagged else None)
    return path, np.round(255 * chart.rgb_of(codes, way.coded))


def _middles(planes: list[chart.Bytes]) -> list[chart.Bytes]:
    return [chart.middles(plane) for plane in planes]


def _judged(
    where: str,
    names: Sequence[str],
    expected: chart.Floats,
    pictures: list[list[chart.Bytes]],
) -> tuple[int, list[Fault]]:
    """Compare the middles of all patches of all pictures with what they should be, [N,3].

    Returns:
        By how many levels the worst pixel is off, and the patches beyond the limit.
    """
    worst_off, faults = 0, []
    for number, patch in enumerate(chart.PATCHES):
        seen = [_farthest([p[c][number] for p in pictures], expected[number, c]) for c in range(3)]
        off = int(np.abs(seen - expected[number]).max())
        worst_off = max(worst_off, off)
        if off > LIMIT:
            faults.append(Fault(where, patch, _spelt(names, expected[number]), _spelt(names, seen)))
    return worst_off, faults


def _farthest(pixels: list[npt.NDArray[np.uint8]], expected: float) -> float:
    """Return the pixel value that is farthest from what is expected."""
    values = np.concatenate(pixels).astype(np.float64)
    return float(values[np.abs(values - expected).argmax()])


def _spelt(names: Sequence[str], values: Iterable[float]) -> str:
    return " ".join(f"{name} {value:.0f}" for name, value in zip(names, values, strict=True))


def _wrong_tags(expected: chart.Tags, seen: chart.Tags) -> Iterator[Fault]:
    if seen != expected:
        names = chart.Tags._fields
        yield Fault("tags", "", _spelt(names, expected), _spelt(names, seen))


class _LosslessSink(Sink):
    """What a file sink does with pictures, with the encoder set to lose nothing."""

    def __init__(self, path: Path, info: StreamInfo) -> None:
        encoding = encoding_for(str(path), info, Restorer.scale, SinkOptions(encoder="cpu"))
        self._container = av.open(str(path), "w")
        self._track = VideoTrack(self._container, encoding)
        self._container.streams.video[0].codec_context.options = _LOSSLESS
        self._end_pts = 0

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        for packet in self._track.packets(frame.pts, frame.duration, restored_hwc):
            self._container.mux(packet)
        self._end_pts = frame.pts + frame.duration

    def close(self, *, complete: bool = True) -> None:
        for packet in self._track.rest(self._end_pts):
            self._container.mux(packet)
        self._container.close()
