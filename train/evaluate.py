"""Judging anything that restores: one frame -> frame callable over pairs of frames.

Needs no torch, so a bundle or the bicubic can be judged where only the base is installed.
PSNR and SSIM are on bytes, mean over frames, before any video encoding: RGB without crop, unless
another convention is named.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.errors import FrameError, UsageError
from crispstream.core.metrics import PLAIN, Convention, psnr_db, ssim
from crispstream.core.pixels import SCALE, Bytes

from .data.sharp import list_media, read_pictures
from .degrade.pipeline import Degradation

Restore = Callable[[Bytes], Bytes]
"""LR [H,W,3] -> restored [4H,4W,3], BGR bytes."""

LAYOUTS = (("lr", "hr"), ("blur", "sharp"))
CROP_PX = 512
FRAMES_PER_VIDEO = 4


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
        UsageError: if the folder holds no samples or pairs do not belong together.
    """
    if _layout(folder) is None:
        return synthetic_samples(list_media([folder]), Degradation(), seed)
    return read_pairs(folder)


def read_pairs(folder: Path) -> Iterator[Sample]:
    """Yield the pairs of a folder: what a published protocol can be followed on.

    `lr/` + `hr/`: pairs as they are. `blur/` + `sharp/`: pairs of one size, as GOPRO's; LR is the
    blurred one, bicubic x1/4.

    Raises:
        UsageError: if the folder has none of the layouts or pairs do not belong together.
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
        raise UsageError(f"the data folder '{folder}' does not exist; see --help for its layouts")
    places = ((folder / small, folder / large) for small, large in LAYOUTS)
    return next((pair for pair in places if all(part.is_dir() for part in pair)), None)


def _pairs(small: Path, large: Path) -> Iterator[Sample]:
    files = list_media([small])
    for path in files:
        twin = large / path.name
        if not twin.exists():
            raise UsageError(f"'{path}' has no twin '{twin}'; pairs carry the same file name")
        lr, hr = next(read_pictures(path, 1)), next(read_pictures(twin, 1))
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


def synthetic_samples(
    files: Sequence[Path], degradation: Degradation, seed: int
) -> Iterator[Sample]:
    """Yield the middle of each picture, degraded; videos give four frames each.

    Every picture draws from a generator of its own, so adding one does not change the others.
    """
    margin = degradation.margin_px()
    for path in files:
        for number, picture in enumerate(read_pictures(path, FRAMES_PER_VIDEO)):
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
    return Row(sample.name, quality, similarity, quality - reference_db)


def score_of(model: str, rows: Sequence[Row]) -> Score:
    """Return the means of a model's rows, and its worst one."""
    worst = min(rows, key=lambda row: row.gain_db)
    return Score(
        model,
        len(rows),
        float(np.mean([row.psnr_db for row in rows])),
        float(np.mean([row.ssim for row in rows])),
        float(np.mean([row.gain_db for row in rows])),
        worst.sample,
        worst.gain_db,
    )
