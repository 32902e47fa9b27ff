"""A calibration set: the frames that ranges are measured on, and what is known of them.

    set/
      manifest.json       what each frame is, with the SHA-256 of its file
      frames/0001.png     8-bit BGR, lossless, in the order of choice: each differs most from all
                          before it, so the first n are a good choice of n
      report.html         the coverage report, for people

Shape letters: H height, W width. Sizes are in pixels, grey levels 0 to 255.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from crispstream.core.errors import FrameError, SourceError, UsageError
from crispstream.core.figures import Figures
from crispstream.core.files import sha256_of, write_json_atomically
from crispstream.core.pixels import Bytes

SCHEMA = 1
"""Version of manifest.json. Raised when an older kit could not read a newer set."""

KIND = "calibration set"
MANIFEST = "manifest.json"
FRAMES = "frames"
REPORT = "report.html"
UNFINISHED = ".collecting"
"""Folder inside the set's where an unfinished collection keeps its candidates."""

FEWEST_FRAMES = 2
_RANGE_PERCENT = (1, 99)


@dataclass(frozen=True)
class SetFrame:
    """One frame of a set."""

    file: str
    """Path inside the set."""
    sha256: str
    """Of the file."""
    width: int
    height: int
    source: str
    """Where it came from, passwords masked."""
    serial: int
    """Its number in the source, from 0."""
    synthetic: bool
    """Drawn by a program, or like white noise: no camera's picture."""
    figures: Mapping[str, float]
    """Those of `core.figures.Figures`, and motion: the mean change since the frame before, grey
    levels of a thumbnail."""


@dataclass(frozen=True)
class SetSource:
    """Where frames of a set came from, and how many were left at each step."""

    uri: str
    """Passwords masked."""
    seen: int
    """Frames it had."""
    damaged: int
    """Pieces of it that did not decode."""
    candidates: int
    """Frames at an even stride."""
    different: int
    """Candidates that are no near duplicate of another."""
    picked: int
    """Frames of the set."""


@dataclass(frozen=True)
class CalibrationSet:
    """A finished set; pixels are read one frame at a time."""

    path: Path
    frames: tuple[SetFrame, ...]
    model: str | None
    """The model it was collected for, None for any."""

    @staticmethod
    def load(path: Path) -> "CalibrationSet":
        """Read the manifest of the set at `path`.

        Raises:
            UsageError: if there is no finished set of at least 2 frames.
            SourceError: if the manifest is damaged or from a newer kit.
        """
        if not path.is_dir():
            raise UsageError(f"there is no calibration set at '{path}'; {_collect(path)}")
        content = _manifest(path)
        try:
            frames = tuple(_frame(entry) for entry in content["frames"])
            model = content["model"]
        except (KeyError, TypeError, ValueError) as error:
            raise _malformed(path / MANIFEST, error) from error
        if len(frames) < FEWEST_FRAMES:
            raise UsageError(
                f"the calibration set '{path}' has {len(frames)} frame(s), and ranges need at "
                f"least {FEWEST_FRAMES}, better 100; {_collect(path)}"
            )
        return CalibrationSet(path, frames, model)

    @property
    def digest(self) -> str:
        """SHA-256 over the hashes of the frames' files, in order."""
        return sha256_of("\n".join(frame.sha256 for frame in self.frames).encode())

    @property
    def synthetic(self) -> tuple[str, ...]:
        """Sources that gave frames which no camera took; () for a set that may certify."""
        return tuple(dict.fromkeys(frame.source for frame in self.frames if frame.synthetic))

    def read(self, frame: SetFrame) -> Bytes:
        """Return the pixels of a frame, BGR [H,W,3].

        Raises:
            SourceError: if the file is missing or not the one that was collected.
            FrameError: if it is not 8 bits a channel, three channels.
        """
        file = self.path / frame.file
        if not file.resolve().is_relative_to(self.path.resolve()):
            raise SourceError(f"'{file}' leads out of the set; do not use a set that asks for that")
        try:
            data = file.read_bytes()
        except OSError as error:
            raise SourceError(
                f"'{file}' of the calibration set cannot be read ({error.strerror}); copy the "
                "whole set again, or collect it again"
            ) from error
        if sha256_of(data) != frame.sha256:
            raise SourceError(
                f"'{file}' is not the file that was collected (its SHA-256 starts "
                f"{sha256_of(data)[:12]}, expected {frame.sha256[:12]}); copy the set again, or "
                "collect it again"
            )
        return _decoded(data, frame, file)

    def input_statistics(self) -> dict[str, Any]:
        """Return how the frames look, for `Bundle.input_statistics`.

        For each figure the mean over the frames, and as low and high the 1st and the 99th
        percentile: a stream that leaves them is not what was calibrated for.
        """
        return {
            "measured_on": KIND,
            "frames": len(self.frames),
            "set_sha256": self.digest,
            "figures": {name: self._spread(name) for name in Figures._fields},
        }

    def _spread(self, name: str) -> dict[str, float]:
        values = [frame.figures[name] for frame in self.frames]
        low, high = (float(edge) for edge in np.percentile(values, _RANGE_PERCENT))
        return {"mean": float(np.mean(values)), "low": low, "high": high}


def write_manifest(
    path: Path, model: str | None, frames: Sequence[SetFrame], sources: Sequence[SetSource]
) -> None:
    """Write the manifest of a set whose frames are there: now it is whole.

    Raises:
        OSError: if it cannot be written.
    """
    content = {
        "schema": SCHEMA,
        "kind": KIND,
        "model": model,
        "frames": [asdict(frame) for frame in frames],
        "sources": [asdict(source) for source in sources],
    }
    write_json_atomically(path / MANIFEST, content)


def is_set(path: Path) -> bool:
    """Tell whether a folder holds a finished calibration set, whatever its state."""
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("kind") == KIND


def _manifest(path: Path) -> dict[str, Any]:
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (path / UNFINISHED).is_dir():
            raise UsageError(
                f"the collection of '{path}' is unfinished; run the same crispstream data collect "
                "command again, it goes on where it stopped"
            ) from None
        raise UsageError(
            f"'{path}' has no {MANIFEST}, so it is no calibration set; {_collect(path)}"
        ) from None
    except (OSError, ValueError) as error:
        raise _malformed(path / MANIFEST, error) from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise UsageError(f"'{path}' holds something else than a calibration set; {_collect(path)}")
    if content.get("schema") != SCHEMA:
        raise SourceError(
            f"the calibration set '{path}' has schema {content.get('schema')}, this kit reads "
            f"{SCHEMA}; collect it again, or use the version that collected it"
        )
    return content


def _frame(entry: Mapping[str, Any]) -> SetFrame:
    frame = SetFrame(**entry)
    pure = PurePosixPath(frame.file)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"'{frame.file}' leads out of the set")
    lacking = [name for name in Figures._fields if not isinstance(frame.figures[name], int | float)]
    texts = frame.sha256, frame.source
    whole = frame.width, frame.height
    if (
        lacking
        or not all(isinstance(text, str) for text in texts)
        or not all(isinstance(number, int) for number in whole)
    ):
        raise ValueError(f"what it says of '{frame.file}' is no number or text")
    return frame


def _decoded(data: bytes, frame: SetFrame, file: Path) -> Bytes:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise FrameError(f"'{file}' is no picture that OpenCV can decode; collect the set again")
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or channels != 3:
        raise FrameError(
            f"'{file}' has {channels} channel(s) of {8 * image.itemsize} bits, expected 3 of 8 "
            "bits; collect the set again with: crispstream data collect"
        )
    if image.shape[:2] != (frame.height, frame.width):
        raise FrameError(
            f"'{file}' is {image.shape[1]}x{image.shape[0]} px and the manifest says "
            f"{frame.width}x{frame.height}; collect the set again"
        )
    return np.asarray(image, np.uint8)


def _collect(path: Path) -> str:
    return f"make one with: crispstream data collect SOURCE... -o {path}"


def _malformed(file: Path, error: Exception) -> SourceError:
    return SourceError(f"'{file}' is damaged ({error}); copy the set again, or collect it again")
