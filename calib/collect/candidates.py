"""The candidates of an unfinished collection, on disk, so that an interruption loses nothing.

set/.collecting/
  journal.jsonl               what the collection is, then a line for each thing that happened
  000-00000042.png            a candidate: frame 42 of the first source
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from crispstream.core.errors import SourceError, UsageError
from crispstream.core.files import sha256_of, write_atomically

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Candidate:
    """A frame that may be chosen."""

    source: int
    """Index of its source."""
    serial: int
    """Its number in the source, from 0."""
    sha256: str
    """Of its PNG file."""
    width: int
    height: int
    synthetic: bool
    figures: Mapping[str, float]
    """By the names of `coverage.FIGURES`."""
    thumbnail: str
    """The bytes of `coverage.thumbnail`, as hexadecimal digits."""

    @property
    def file(self) -> str:
        """Name of its PNG file."""
        return f"{self.source:03d}-{self.serial:08d}.png"


@dataclass
class Progress:
    """How far one source has been read."""

    mark: str
    """Changes when the source does."""
    stride: int = 1
    """Every so many frames one is a candidate."""
    seen: int | None = None
    """Frames of the source, once it was read to its end."""
    damaged: int = 0
    """Pieces of it that did not decode."""
    candidates: dict[int, Candidate] = field(default_factory=dict)
    """By serial."""


class CandidateStore:
    """Candidates and how far each source was read; every change is in the journal at once."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], marks: Sequence[str]) -> None:
        """Go on with the collection in `folder`, or start one.

        `settings` are what a collection is known by, a value of JSON each; `marks` has one text a
        source. What was taken from a source whose mark has changed is forgotten.

        Raises:
            UsageError: if `folder` holds a collection with other settings.
            SourceError: if its journal is damaged.
            OSError: if it cannot be written.
        """
        self.folder = folder
        lines = _read_journal(folder / JOURNAL)
        found: list[Progress] = []
        if lines:
            before, found = _replayed(lines, folder / JOURNAL)
            _check_same(folder, before, settings)
        self.sources = [
            _present(progress, folder) if progress.mark == mark else Progress(mark)
            for progress, mark in zip(found or map(Progress, marks), marks, strict=True)
        ]
        header = {"settings": settings, "marks": marks}
        text = "".join(json.dumps(line) + "\n" for line in (header, *self._lines()))
        write_atomically(folder / JOURNAL, text.encode())

    def add(self, candidate: Candidate, png: bytes) -> None:
        """Keep a candidate."""
        write_atomically(self.folder / candidate.file, png)
        self.sources[candidate.source].candidates[candidate.serial] = candidate
        self._note({"candidate": asdict(candidate)})

    def thin(self, source: int, stride: int) -> None:
        """Keep of a source only the candidates whose serial divides by `stride`."""
        for gone in _thin(self.sources[source], stride):
            (self.folder / gone.file).unlink(missing_ok=True)
        self._note({"thinned": source, "stride": stride})

    def finish(self, source: int, seen: int, damaged: int) -> None:
        """Remember that a source was read to its end."""
        progress = self.sources[source]
        progress.seen, progress.damaged = seen, damaged
        self._note({"finished": source, "seen": seen, "damaged": damaged})

    def all(self) -> list[Candidate]:
        """Return the candidates in the order of the sources and of their frames."""
        return [
            progress.candidates[serial]
            for progress in self.sources
            for serial in sorted(progress.candidates)
        ]

    def png_bytes(self, candidate: Candidate) -> bytes:
        """Return the file of a candidate.

        Raises:
            SourceError: if it is not what was kept.
        """
        file = self.folder / candidate.file
        data = file.read_bytes()
        if sha256_of(data) != candidate.sha256:
            raise SourceError(
                f"'{file}' was changed since it was collected; remove '{self.folder}' and run the "
                "same command again"
            )
        return data

    def _note(self, line: Mapping[str, Any]) -> None:
        with (self.folder / JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")

    def _lines(self) -> list[Mapping[str, Any]]:
        """Return the shortest journal of what there is, without its head."""
        lines: list[Mapping[str, Any]] = [{"candidate": asdict(each)} for each in self.all()]
        for index, progress in enumerate(self.sources):
            lines.append({"thinned": index, "stride": progress.stride})
            if progress.seen is not None:
                counts = {"seen": progress.seen, "damaged": progress.damaged}
                lines.append({"finished": index, **counts})
        return lines


def _thin(progress: Progress, stride: int) -> list[Candidate]:
    """Return the candidates that go."""
    progress.stride = stride
    gone = [serial for serial in progress.candidates if serial % stride]
    return [progress.candidates.pop(serial) for serial in gone]


def _present(progress: Progress, folder: Path) -> Progress:
    """Return a source without the candidates whose files are lost: it has to be read again."""
    lost = [n for n, each in progress.candidates.items() if not (folder / each.file).is_file()]
    for serial in lost:
        del progress.candidates[serial]
    return replace(progress, seen=None) if lost else progress


def _read_journal(path: Path) -> list[Any]:
    """Return the lines, but for one that an interrupted write left incomplete."""
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
    except ValueError as error:
        raise _damaged(path) from error


def _replayed(lines: Sequence[Any], path: Path) -> tuple[dict[str, Any], list[Progress]]:
    """Return the settings, and how far each source was read, by the lines of a journal."""
    try:
        settings = dict(lines[0]["settings"])
        sources = [Progress(mark) for mark in lines[0]["marks"]]
        for line in lines[1:]:
            _replay(line, sources)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _damaged(path) from error
    return settings, sources


def _replay(line: Mapping[str, Any], sources: Sequence[Progress]) -> None:
    if "candidate" in line:
        candidate = Candidate(**line["candidate"])
        sources[candidate.source].candidates[candidate.serial] = candidate
    elif "thinned" in line:
        _thin(sources[line["thinned"]], line["stride"])
    else:
        progress = sources[line["finished"]]
        progress.seen, progress.damaged = line["seen"], line["damaged"]


def _check_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse to mix two collections in one folder; say in what they differ."""
    for name in new:
        if old.get(name) != new[name]:
            raise UsageError(
                f"'{folder.parent}' holds an unfinished collection with {name} "
                f"{_told(old.get(name))}, not {_told(new[name])}; run that one again, name "
                "another folder, or start anew: --overwrite"
            )


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _damaged(path: Path) -> SourceError:
    return SourceError(f"'{path}' is damaged; start the collection anew: --overwrite")
