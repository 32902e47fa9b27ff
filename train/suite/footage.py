"""Pieces made of what a camera took while it moved: exposures, official pairs, films.

Shape letters: H height, W width, 3 channels in BGR order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import av
import numpy as np

from crispstream.core.bicubic import downscale_x4
from crispstream.core.errors import TrainError
from crispstream.core.pixels import Bytes
from crispstream.train.data.layout import read_twins

from .pieces import Crop, Files, pair_files, sequence_files
from .response import expose, load_response


@dataclass(frozen=True)
class Exposure:
    """A pair: neighbouring frames of a fast clip, added up in light, are one long exposure."""

    is_sequence: ClassVar[bool] = False
    part: str
    clip: str
    response: str
    """The camera's inverse response, .npy."""
    first: int
    averaged: int
    """Frames that are added up; the middle one is the truth."""

    @property
    def name(self) -> str:
        """`part/name`."""
        return f"{self.part}/{Path(self.clip).stem}_n{self.averaged:02d}_f{self.first:03d}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The clip and the response."""
        return self.clip, self.response

    def make(self, paths: Sequence[Path]) -> Files:
        """Return the pair."""
        frames = read_frames(paths[0], self.first, self.averaged)
        lr = downscale_x4(expose(frames, load_response(paths[1])))
        return pair_files(self.name, lr, frames[self.averaged // 2])


@dataclass(frozen=True)
class Official:
    """A pair as its authors give it, at full size; LR is the blurred one, bicubic x1/4."""

    is_sequence: ClassVar[bool] = False
    part: str
    blurred: str
    sharp: str

    @property
    def name(self) -> str:
        """`part/name`."""
        return f"{self.part}/{Path(self.sharp).stem}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Both pictures."""
        return self.blurred, self.sharp

    def make(self, paths: Sequence[Path]) -> Files:
        """Return the pair."""
        blurred, sharp = read_twins(paths[0], paths[1])
        return pair_files(self.name, downscale_x4(blurred), sharp)


@dataclass(frozen=True)
class SlowFilm:
    """A sequence: a fast clip as a slower camera had taken it, blur and all."""

    is_sequence: ClassVar[bool] = True
    part: str
    clip: str
    response: str
    frames: int
    every: int
    """Source frames from one frame to the next: 8 of 240 a second are 30 a second."""
    averaged: int
    """Of these, how many the shutter is open for; the middle one is the truth."""

    @property
    def name(self) -> str:
        """`part/name`."""
        return f"{self.part}/{Path(self.clip).stem}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The clip and the response."""
        return self.clip, self.response

    def make(self, paths: Sequence[Path]) -> Files:
        """Return the LR frames and their truths."""
        source = read_frames(paths[0], 0, self.frames * self.every)
        response = load_response(paths[1])
        starts = range(0, len(source), self.every)
        windows = [source[start : start + self.averaged] for start in starts]
        frames = (downscale_x4(expose(window, response)) for window in windows)
        return sequence_files(self.name, frames, (window[self.averaged // 2] for window in windows))


@dataclass(frozen=True)
class Film:
    """A sequence: a clip as it is, with whatever blur it has; LR is bicubic x1/4."""

    is_sequence: ClassVar[bool] = True
    part: str
    crop: Crop
    first: int
    frames: int

    @property
    def name(self) -> str:
        """`part/name`."""
        return f"{self.part}/{self.crop.stem}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The clip."""
        return (self.crop.source,)

    def make(self, paths: Sequence[Path]) -> Files:
        """Return the LR frames and their truths."""
        truths = [self.crop.cut(hr) for hr in read_frames(paths[0], self.first, self.frames)]
        return sequence_files(self.name, (downscale_x4(hr) for hr in truths), truths)


def read_frames(path: Path, first: int, count: int) -> list[Bytes]:
    """Return frames `first` to `first + count` - 1 of a clip, [H,W,3] each.

    Raises:
        TrainError: if it cannot be decoded or is too short.
    """
    frames: list[Bytes] = []
    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number >= first:
                    frames.append(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))
                if len(frames) == count:
                    return frames
    except (av.FFmpegError, IndexError) as error:
        raise TrainError(f"cannot decode the video '{path}' ({error}); get it again") from error
    raise TrainError(
        f"'{path}' ends after {first + len(frames)} frames, the suite needs {first + count}; get "
        "the file again that the suite names"
    )
