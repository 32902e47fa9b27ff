"""Reading a built suite: its samples in order, one at a time, and the hash of what was read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.pixels import SCALE, Bytes
from crispstream.train.data.journal import read_manifest
from crispstream.train.data.layout import images_in, read_image
from crispstream.train.evaluate import Sample

from .pieces import Piece
from .suites import Suite


class Step(NamedTuple):
    """A frame and its truth, and whether it belongs to the frame before it."""

    sample: Sample
    follows: bool


class Digest:
    """The SHA-256 of pictures as they are decoded: PNG files of equal pictures may differ."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._hash = hashlib.sha256()

    def add(self, sample: Sample) -> None:
        """Take in a frame and its truth."""
        for picture in (sample.lr, sample.hr):
            self._hash.update(str(picture.shape).encode())
            self._hash.update(picture.tobytes())

    def value(self) -> str:
        """Return the 64 hexadecimal digits of all that was taken in."""
        return self._hash.hexdigest()


def check_built(suite: Suite, folder: Path, build: str) -> None:
    """Refuse a folder that is not the finished suite.

    Raises:
        UsageError: saying what is there, and `build`, the command that makes it.
        TrainError: if its manifest is damaged.
    """
    if not folder.is_dir():
        raise UsageError(f"the suite {suite.name} is not built in '{folder}'; build it: {build}")
    manifest = read_manifest(folder)
    if manifest["kind"] != suite.name:
        raise UsageError(
            f"'{folder}' holds a data set of the kind {manifest['kind']}, not {suite.name}; name "
            f"another folder with --data, or build it: {build}"
        )
    if manifest["settings"] != {"definition": suite.fingerprint()}:
        raise UsageError(
            f"'{folder}' was built by another version of {suite.name}; remove it and build it "
            f"again: {build}"
        )


def read_part(suite: Suite, part: str, folder: Path) -> Iterator[Step]:
    """Yield the samples of a part, in the order of its pieces and of their frames.

    Raises:
        TrainError: if a picture is missing or is none.
    """
    for piece in suite.of(part):
        yield from _sequence(piece, folder) if piece.is_sequence else _single(piece, folder)


def digest(suite: Suite, part: str, folder: Path) -> str:
    """Return the hash of a part's pictures; see `Suite.published`."""
    seen = Digest()
    for step in read_part(suite, part, folder):
        seen.add(step.sample)
    return seen.value()


def changed_parts(suite: Suite, folder: Path) -> list[str]:
    """Return the parts whose pictures are not those that were first published."""
    return [
        part for part in suite.parts if digest(suite, part, folder) != suite.published.get(part)
    ]


def _single(piece: Piece, folder: Path) -> Iterator[Step]:
    part, stem = piece.name.split("/")
    lr, hr = (_read(folder / part / side / f"{stem}.png") for side in ("lr", "hr"))
    yield Step(_sample(piece.name, lr, hr), follows=False)


def _sequence(piece: Piece, folder: Path) -> Iterator[Step]:
    """Yield the frames; where there is one truth it is that of all."""
    frames, truths = (images_in(folder / piece.name / side) for side in ("lr", "hr"))
    if not frames or len(truths) not in (1, len(frames)):
        raise TrainError(_incomplete(folder / piece.name))
    hr = _read(truths[0])
    for number, path in enumerate(frames):
        if number and len(truths) > 1:
            hr = _read(truths[number])
        sample = _sample(f"{piece.name}#{number}", _read(path), hr)
        yield Step(sample, follows=number > 0)


def _read(path: Path) -> Bytes:
    if not path.is_file():
        raise TrainError(_incomplete(path))
    return read_image(path)


def _sample(name: str, lr: Bytes, hr: Bytes) -> Sample:
    if (lr.shape[0] * SCALE, lr.shape[1] * SCALE) != hr.shape[:2]:
        raise TrainError(f"{name}: {_incomplete(Path(name))}")
    return Sample(name, lr, hr)


def _incomplete(path: Path) -> str:
    return f"'{path}' is missing or damaged; run the same data build again, which makes it anew"
