"""Collecting a calibration set: frames that differ, spread over how they look.

    source -> every n-th frame -> candidate on disk -> no near duplicate -> chosen -> set

Candidates and their journal are kept until the set is whole, so that the same call goes on after
an interruption. Sizes are in pixels.
"""

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crispstream.core.errors import CrispstreamError, SinkError, SourceError, UsageError
from crispstream.core.files import write_atomically
from crispstream.core.uris import masked

from .candidates import Candidate, CandidateStore
from .checks import check_apart, check_place, check_source, mark_of
from .coverage import FIGURES, THUMBNAIL_PX, choose, distinct, lacking_kinds
from .report import html_page, picture
from .sets import (
    FEWEST_FRAMES,
    FRAMES,
    MANIFEST,
    REPORT,
    UNFINISHED,
    SetFrame,
    SetSource,
    write_manifest,
)
from .walk import OnFrame, Walk

CANDIDATES_A_FRAME = 4
"""So many candidates at most are kept on disk for each frame of the set."""


@dataclass(frozen=True)
class Request:
    """What a set shall be collected from."""

    sources: tuple[str, ...]
    """Whatever `runtime.stream.source.open_source` opens."""
    frames: int = 128
    """How many to keep."""
    size: tuple[int, int] | None = None
    """Width and height of the part that is cut from the middle of each frame; None: all of it."""
    model: str | None = None
    """Name of the model that the set is for."""
    size_multiple: int = 1
    """The model's: no frame may be smaller."""

    def __post_init__(self) -> None:
        """Refuse what cannot become a set."""
        if self.frames < FEWEST_FRAMES:
            raise UsageError(
                f"a set of {self.frames} frame(s) was asked for; ranges need at least "
                f"{FEWEST_FRAMES}, better 100"
            )
        twice = [uri for uri in self.sources if self.sources.count(uri) > 1]
        if twice or not self.sources:
            seen = f"the source '{masked(twice[0])}' is named twice" if twice else "there is none"
            raise UsageError(f"{seen}; name each source once")

    @property
    def settings(self) -> dict[str, Any]:
        """What an unfinished collection is known by, as JSON gives it back."""
        return {
            "sources": [masked(uri) for uri in self.sources],
            "frames": self.frames,
            "size": f"{self.size[0]}x{self.size[1]}" if self.size else None,
            "model": self.model,
        }


@dataclass(frozen=True)
class Collected:
    """What became of a request."""

    path: Path
    wanted: int
    """Frames asked for."""
    frames: tuple[SetFrame, ...]
    sources: tuple[SetSource, ...]

    @property
    def report(self) -> Path:
        """The coverage report."""
        return self.path / REPORT

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user has to know before using the set."""
        return tuple(filter(None, (self._few(), self._synthetic())))

    @property
    def lacking(self) -> dict[str, str]:
        """The kinds of frames that the set does not hold, and what to do about each."""
        lacking: dict[str, str] = {}
        for name in FIGURES:
            lacking |= lacking_kinds(name, [frame.figures[name] for frame in self.frames])
        return lacking

    def _few(self) -> str:
        if len(self.frames) == self.wanted:
            return ""
        return (
            f"{self.wanted} frames were asked for and {len(self.frames)} differ: a camera that "
            "stands still repeats itself, so add other cameras, other times or longer videos"
        )

    def _synthetic(self) -> str:
        drawn = {frame.source: None for frame in self.frames if frame.synthetic}
        if not drawn:
            return ""
        return (
            f"frames of {', '.join(drawn)} are synthetic or noise, which no camera gives: such a "
            "set is good for trying things out and cannot certify a bundle"
        )


def collect(
    request: Request,
    out: Path,
    *,
    overwrite: bool = False,
    on_frame: OnFrame = lambda uri, seen, total: None,
) -> Collected:
    """Collect a set into the folder `out`, or go on with the same collection there.

    With `overwrite` a set that is there is replaced once the new one is whole.

    Raises:
        UsageError: if a source or `out` cannot be what it is asked to be, or if fewer than 2
            frames differ.
        SourceError: if a source breaks before its end; what was taken stays for the next call.
        SinkError: if `out` cannot be written.
    """
    check_place(out, overwrite=overwrite)
    for uri in request.sources:
        check_source(uri, request.size, request.size_multiple, request.model)
        check_apart(uri, out)
    try:
        store = _opened_store(out / UNFINISHED, request, overwrite=overwrite)
        _walk_all(request, store, on_frame)
        different, chosen = _chosen(store.all(), request.frames)
        if len(chosen) < FEWEST_FRAMES:
            _clear(out)
            raise UsageError(_too_few(len(store.all())))
        return _publish(request, out, store, different, chosen)
    except OSError as error:
        raise SinkError(
            f"cannot write the calibration set '{out}' ({error.strerror}); free some space or name "
            "another folder, then run the same command again"
        ) from error


def _opened_store(folder: Path, request: Request, *, overwrite: bool) -> CandidateStore:
    marks = [mark_of(uri) for uri in request.sources]
    try:
        return CandidateStore(folder, request.settings, marks)
    except CrispstreamError:  # of another collection, or damaged
        if not overwrite:
            raise
    shutil.rmtree(folder)
    return CandidateStore(folder, request.settings, marks)


def _walk_all(request: Request, store: CandidateStore, on_frame: OnFrame) -> None:
    """Read every source that has not been read to its end."""
    most = max(FEWEST_FRAMES, -(-CANDIDATES_A_FRAME * request.frames // len(request.sources)))
    for index, uri in enumerate(request.sources):
        if store.sources[index].seen is not None:
            continue
        try:
            Walk(store, index, uri, size=request.size, most=most).run(on_frame)
        except SourceError as error:
            raise SourceError(
                f"{error}. What was taken until then is kept: put this right and run the same "
                "command again, or start anew without this source: --overwrite"
            ) from error


def _chosen(candidates: Sequence[Candidate], count: int) -> tuple[list[Candidate], list[Candidate]]:
    """Return the candidates that differ, in order, and of these the chosen ones, best first."""
    if not candidates:
        return [], []
    figures_nd = np.array([[each.figures[name] for name in FIGURES] for each in candidates])
    pictures = b"".join(bytes.fromhex(each.thumbnail) for each in candidates)
    width, height = THUMBNAIL_PX
    thumbnails_nhw = np.frombuffer(pictures, np.uint8).reshape(-1, height, width)
    kept = distinct(thumbnails_nhw, figures_nd)
    different = [candidates[index] for index in kept]
    picks = choose(figures_nd[kept], [each.source for each in different], count)
    return different, [different[pick] for pick in picks]


def _too_few(candidates: int) -> str:
    seen = (
        "there is one frame only" if candidates == 1 else f"all {candidates} candidates look alike"
    )
    return (
        f"{seen}, and ranges need at least {FEWEST_FRAMES} frames that differ, better 100; collect "
        "from videos, from other cameras, or at other times of the day"
    )


def _clear(out: Path) -> None:
    """Take the candidates away, and the folder if nothing else is in it."""
    shutil.rmtree(out / UNFINISHED)
    with contextlib.suppress(OSError):
        out.rmdir()


def _publish(
    request: Request,
    out: Path,
    store: CandidateStore,
    different: Sequence[Candidate],
    chosen: Sequence[Candidate],
) -> Collected:
    """Write the set; its manifest comes last, so that a folder with a manifest is whole."""
    staged = out / UNFINISHED / FRAMES
    shutil.rmtree(staged, ignore_errors=True)
    frames, pictures = [], []
    for number, candidate in enumerate(chosen, 1):
        frame = _frame(candidate, f"{FRAMES}/{number:04d}.png", request)
        png = store.png_bytes(candidate)
        write_atomically(out / UNFINISHED / frame.file, png)
        frames.append(frame)
        pictures.append(picture(png))
    sources = _sources(request, store, different, chosen)
    spread = {name: [each.figures[name] for each in different] for name in FIGURES}
    (out / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(out / FRAMES, ignore_errors=True)
    staged.rename(out / FRAMES)
    done = Collected(out, request.frames, tuple(frames), tuple(sources))
    page = html_page(request.model, done.warnings, frames, sources, spread, pictures)
    write_atomically(out / REPORT, page.encode())
    write_manifest(out, request.model, frames, sources)
    shutil.rmtree(out / UNFINISHED)
    return done


def _frame(candidate: Candidate, file: str, request: Request) -> SetFrame:
    return SetFrame(
        file=file,
        sha256=candidate.sha256,
        width=candidate.width,
        height=candidate.height,
        source=masked(request.sources[candidate.source]),
        serial=candidate.serial,
        synthetic=candidate.synthetic,
        figures=candidate.figures,
    )


def _sources(
    request: Request,
    store: CandidateStore,
    different: Sequence[Candidate],
    chosen: Sequence[Candidate],
) -> list[SetSource]:
    return [
        SetSource(
            uri=masked(uri),
            seen=progress.seen or 0,
            damaged=progress.damaged,
            candidates=len(progress.candidates),
            different=sum(each.source == index for each in different),
            picked=sum(each.source == index for each in chosen),
        )
        for index, (uri, progress) in enumerate(zip(request.sources, store.sources, strict=True))
    ]
