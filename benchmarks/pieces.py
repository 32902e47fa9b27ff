"""The three pieces of a run, each alone: decode, engine, encode. Used by the scripts here."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from common import sample_frames, write_looped_sample

from crispstream.core.pixels import SCALE, Bytes
from crispstream.runtime.engine.choose import frames_side_by_side
from crispstream.runtime.frame import Frame
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.loop import StreamReport, run_stream
from crispstream.runtime.stream.sink import open_sink
from crispstream.runtime.stream.source import open_source

SIDE_BY_SIDE = frames_side_by_side()
"""Frames worked on at once, as `crispstream run` has it for files."""


@dataclass(frozen=True)
class Pieces:
    """A model, a clip on the disk, and its frames before and after."""

    restorer: Restorer
    clip: Path
    target: Path
    frames: int
    blurred: list[Bytes]
    restored: list[Bytes]

    def decode(self) -> int:
        """Read the clip to its end; return the frames."""
        source = open_source(str(self.clip))
        count = sum(1 for _ in source)
        source.close()
        return count

    def engine(self) -> int:
        """Restore as many frames as the clip has, from memory to memory."""
        for index in range(self.frames):
            if self.restorer.in_flight == SIDE_BY_SIDE:
                self.restorer.collect()
            self.restorer.submit(self.blurred[index % len(self.blurred)])
        while self.restorer.in_flight:
            self.restorer.collect()
        return self.frames

    def encode(self) -> int:
        """Encode as many restored frames as the clip has to H.264."""
        source = open_source(str(self.clip))
        tick = Fraction(1, 24)
        sink = open_sink(str(self.target), source.info, SCALE, overwrite=True)
        source.close()
        for index in range(self.frames):
            place = index % len(self.blurred)
            pts = round(index * tick / source.info.time_base)
            step = round(tick / source.info.time_base)
            frame = Frame(self.blurred[place], index, pts, source.info.time_base, 0, step)
            sink.write(frame, self.restored[place])
        sink.close()
        return self.frames

    def whole(self, target: str) -> StreamReport:
        """Restore the clip into `target` as the command line does."""
        source = open_source(str(self.clip))
        sink = open_sink(target, source.info, SCALE, overwrite=True)
        report = run_stream(source, self.restorer, sink, in_flight=SIDE_BY_SIDE)
        source.close()
        return report


@contextmanager
def opened(model: str, turns: int, threads: int | None = None) -> Iterator[Pieces]:
    """Open a model, warm it up, and lay out the sample, `turns` times, and its frames."""
    blurred = sample_frames()
    height, width = blurred[0].shape[:2]
    with (
        tempfile.TemporaryDirectory() as folder,
        Restorer.open(
            model,
            precision="fp32",
            size=(width, height),
            threads=threads,
            frames_in_flight=SIDE_BY_SIDE + 2,
            side_by_side=SIDE_BY_SIDE,
        ) as restorer,
    ):
        clip = Path(folder) / "clip.mp4"
        write_looped_sample(clip, turns)
        restored = [restorer.restore(frame_hwc).copy() for frame_hwc in blurred]
        yield Pieces(
            restorer, clip, Path(folder) / "out.mp4", turns * len(blurred), blurred, restored
        )
