"""Judging anything that restores: one frame -> frame callable over pairs of frames.

Needs no torch, so a bundle or the bicubic can be judged where only the base is installed.
PSNR and SSIM are on bytes, mean over frames, before any video encoding: RGB without crop, unless
another convention is named.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.errors import FrameError, TrainError, UsageError
from crispstream.core.metrics import PLAIN, Convention, mean_of, psnr_db, ssim
from crispstream.core.pixels import SCALE, Bytes

from .data.journal import JOURNAL, MANIFEST
from .data.layout import folders_in
from .data.sharp import list_media, read_pictures
from .degrade.pipeline import Degradation

Restore = Callable[[Bytes], Bytes]
"""LR [H,W,3] -> restored [4H,4W,3], BGR bytes."""

LAYOUTS = (("lr", "hr"), ("blur", "sharp"))
CROP_PX = 512
FRAMES_PER_VIDEO = 4
CHOICES = 6
"""Folders that a message proposes at most."""


@dataclass(frozen=True)
class Sample:
    """A frame and its truth: lr [H,W,3], hr [4H,4W,3], BGR bytes."""

    name: str
    lr: Bytes
    hr: Bytes


@dataclass(frozen=True)
class Score:
    """Mean figures of one model over all samples."""

    model: str
    frames: int
    psnr_db: float
    ssim: float
    gain_db: float
    """PSNR above bicubic's on the same samples."""
    worst: str
    """The sample with the smallest gain over bicubic."""
    worst_gain_db: float


@dataclass(frozen=True)
class Row:
    """Figures of one model on one sample."""

    sample: str
    psnr_db: float
    ssim: float
    gain_db: float


def read_samples(folder: Path, seed: int = 1) -> Iterator[Sample]:
    """Yield the samples of a folder, whichever of these it is.

    Pairs, see `read_pairs`, as they are. Otherwise: sharp pictures and videos, whose middle
    512x512 crops are blurred and degraded here, the same way for the same seed.

    Raises:
        UsageError: if the folder holds no samples, pairs do not belong together, or it is another
            part of a data set than its pairs.
        TrainError: if a file cannot be decoded.
    """
    if _layout(folder) is None:
        return synthetic_samples(_media(folder), Degradation(), seed)
    return read_pairs(folder)


def read_pairs(folder: Path) -> Iterator[Sample]:
    """Yield the pairs of a folder: what a published protocol can be followed on.

    `lr/` + `hr/`: pairs as they are. `blur/` + `sharp/`: pairs of one size, as GOPRO's; LR is the
    blurred one, bicubic x1/4.

    Raises:
        UsageError: if the folder has none of the layouts or pairs do not belong together.
        TrainError: if a file cannot be decoded.
    """
    layout = _layout(folder)
    if layout is None:
        raise UsageError(
            f"'{folder}' has neither lr/ and hr/ nor blur/ and sharp/; a published protocol is "
            "followed on given pairs only: name such a folder, or leave out --protocol to judge "
            "on sharp pictures that are blurred here"
        )
    return _pairs(*layout)


def _layout(folder: Path) -> tuple[Path, Path] | None:
    if not folder.is_dir():
        seen = "is a file" if folder.exists() else "does not exist"
        raise UsageError(f"the data folder '{folder}' {seen}; see --help for its layouts")
    check_whole(folder)
    found = _pair_folders(folder)
    if found is None:
        _refuse_sets(folder)
    return found


def _pair_folders(folder: Path) -> tuple[Path, Path] | None:
    places = ((folder / small, folder / large) for small, large in LAYOUTS)
    return next((pair for pair in places if all(part.is_dir() for part in pair)), None)


def is_bsr(folder: Path) -> bool:
    """Tell whether a folder is a split of a BSR set, in five groups or without."""
    return (folder / "GT").is_dir() and any((folder / p).is_dir() for p in ("Group1", "LRx4"))


def check_whole(folder: Path) -> None:
    """Refuse a folder of a built set that is not finished.

    Raises:
        UsageError: if an interrupted build left the set in or around `folder`.
    """
    for place in _around(folder):
        if (place / JOURNAL).is_file() and not (place / MANIFEST).is_file():
            raise UsageError(
                f"the data set '{_shown(place)}' is not complete: its build was interrupted; run "
                "the same data build again"
            )


def built_kind(folder: Path) -> str | None:
    """Return the kind of the built set, of any version, in `folder`; None if there is none."""
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return str(about["kind"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _refuse_sets(folder: Path) -> None:
    """Refuse what is no folder of pairs but lies in a data set, or holds one.

    Taken for sharp pictures, its LR pictures and maps would be blurred once more and judged.
    """
    built = next((place for place in _around(folder) if built_kind(place) is not None), None)
    root = built or folder
    tops = folders_in(root)
    places = [root, *tops, *(below for top in tops for below in folders_in(top))]
    found = [f"'{_shown(p)}'" for p in places if _pair_folders(p) is not None]
    found += [f"'{_shown(p)}' with --protocol cmos" for p in places if is_bsr(p)]
    if found or built is not None:
        choices = " or ".join(found[:CHOICES]) or "another folder: this data set has no pairs"
        raise UsageError(
            f"'{folder}' holds neither pairs nor sharp pictures alone; judge {choices}"
        )


def _around(folder: Path) -> list[Path]:
    """Return a folder and what it may be a part of, down to SET/test/Set5/lr."""
    place = folder.resolve()
    return [place, *place.parents][:4]


def _shown(place: Path) -> Path:
    here = Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def _media(folder: Path) -> list[Path]:
    try:
        return list_media([folder])
    except UsageError as error:
        raise UsageError(
            f"'{folder}' holds no images or videos to judge on; name another folder with --data"
        ) from error


def _read(path: Path, frames: int) -> Iterator[Bytes]:
    try:
        yield from read_pictures(path, frames)
    except TrainError as error:
        raise TrainError(f"cannot read '{path}'; get it again, or take it away") from error


def _pairs(small: Path, large: Path) -> Iterator[Sample]:
    for path, twin in _twins(small, large):
        lr, hr = next(_read(path, 1)), next(_read(twin, 1))
        same_size = lr.shape == hr.shape
        hr = hr[: hr.shape[0] // SCALE * SCALE, : hr.shape[1] // SCALE * SCALE]
        if same_size:
            lr = downscale_x4(lr[: hr.shape[0], : hr.shape[1]])
        if (lr.shape[0] * SCALE, lr.shape[1] * SCALE) != hr.shape[:2]:
            raise UsageError(
                f"'{path}' is {lr.shape[1]}x{lr.shape[0]} and its twin {hr.shape[1]}x{hr.shape[0]};"
                f" the twin must be {SCALE} times as large"
            )
        yield Sample(path.name, lr, hr)


def _twins(small: Path, large: Path) -> list[tuple[Path, Path]]:
    """Return the files of each pair; refuse a file on either side that has no twin."""
    pairs = [(path, large / path.name) for path in _media(small)]
    names = {path.name for path, _ in pairs}
    lone = [pair for pair in pairs if not pair[1].exists()]
    lone = lone or [(p, small / p.name) for p in _media(large) if p.name not in names]
    if lone:
        path, twin = lone[0]
        raise UsageError(
            f"'{path}' has no twin '{twin}'; pairs carry the same file name: get the missing file, "
            "or take this one away"
        )
    return pairs


def synthetic_samples(
    files: Sequence[Path], degradation: Degradation, seed: int
) -> Iterator[Sample]:
    """Yield the middle of each picture, degraded; videos give four frames each.

    Every picture draws from a generator of its own, so adding one does not change the others.
    """
    margin = degradation.margin_px()
    for path in files:
        for number, picture in enumerate(_read(path, FRAMES_PER_VIDEO)):
            rows, cols = (min(n - 2 * margin, CROP_PX) // 16 * 16 for n in picture.shape[:2])
            if min(rows, cols) < 64:
                continue
            top = (picture.shape[0] - rows) // 2 - margin
            left = (picture.shape[1] - cols) // 2 - margin
            crop = picture[top : top + rows + 2 * margin, left : left + cols + 2 * margin]
            rng = np.random.default_rng([seed, number, *path.name.encode()])
            yield Sample(f"{path.name}#{number}", *degradation.pair(crop, rng))


def evaluate(
    models: dict[str, Restore],
    samples: Iterable[Sample],
    progress: Callable[[str], None] = lambda _: None,
    convention: Convention = PLAIN,
) -> list[Score]:
    """Return the score of each model over the same samples.

    Raises:
        UsageError: if there are no samples.
        FrameError: if a model returns an image of another size than the truth.
    """
    figures: dict[str, list[Row]] = {name: [] for name in models}
    for sample in samples:
        progress(sample.name)
        reference = psnr_db(upscale_x4(sample.lr), sample.hr, convention)
        for name, restore in models.items():
            row = judged(name, restore(sample.lr), sample, reference, convention)
            figures[name].append(row)
    if not any(figures.values()):
        raise UsageError("there is nothing to judge on: every picture is under 64 px after margins")
    return [score_of(name, rows) for name, rows in figures.items()]


def judged(
    model: str, restored: Bytes, sample: Sample, reference_db: float, convention: Convention
) -> Row:
    """Return the figures of one restored frame; `reference_db` is the PSNR of bicubic's.

    Raises:
        FrameError: if the frame is of another size than the truth.
    """
    if restored.shape != sample.hr.shape:
        raise FrameError(
            f"'{model}' made {restored.shape} of {sample.name}, truth is {sample.hr.shape}; "
            "judge models that enlarge by 4"
        )
    quality = psnr_db(restored, sample.hr, convention)
    similarity = ssim(restored, sample.hr, convention)
    # Where both are exact, infinity less infinity would be no number.
    gain = 0.0 if quality == reference_db else quality - reference_db
    return Row(sample.name, quality, similarity, gain)


def score_of(model: str, rows: Sequence[Row]) -> Score:
    """Return the means of a model's rows, and its worst one."""
    worst = min(rows, key=lambda row: row.gain_db)
    return Score(
        model,
        len(rows),
        mean_of([row.psnr_db for row in rows]),
        mean_of([row.ssim for row in rows]),
        mean_of([row.gain_db for row in rows]),
        worst.sample,
        worst.gain_db,
    )
