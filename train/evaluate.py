"""Judging anything that restores: one frame -> frame callable over pairs of frames.

Needs no torch, so a bundle or the bicubic can be judged where only the base is installed.
PSNR and SSIM are on RGB bytes without crop, mean over frames, before any video encoding.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.errors import FrameError, UsageError
from crispstream.core.metrics import psnr_db, ssim
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


def read_samples(folder: Path, seed: int = 1) -> Iterator[Sample]:
    """Yield the samples of a folder, whichever of these it is.

    `lr/` + `hr/`: pairs as they are. `blur/` + `sharp/`: pairs of one size, as GOPRO's; LR is the
    blurred one, bicubic x1/4. Otherwise: sharp pictures and videos, whose middle 512x512 crops
    are blurred and degraded here, the same way for the same seed.

    Raises:
        UsageError: if the folder holds no samples or pairs do not belong together.
    """
    if not folder.is_dir():
        raise UsageError(f"the data folder '{folder}' does not exist; see --help for its layouts")
    for small, large in LAYOUTS:
        if (folder / small).is_dir() and (folder / large).is_dir():
            yield from _pairs(folder / small, folder / large)
            return
    yield from synthetic_samples(list_media([folder]), Degradation(), seed)


def _pairs(small: Path, large: Path) -> Iterator[Sample]:
    files = list_media([small])
    for path in files:
        twin = large / path.name
        if not twin.exists():
            raise UsageError(f"'{path}' has no twin '{twin}'; pairs carry the same file name")
        lr, hr = next(read_pictures(path, 1)), next(read_pictures(twin, 1))
        hr = hr[: hr.shape[0] // SCALE * SCALE, : hr.shape[1] // SCALE * SCALE]
        if lr.shape == hr.shape:
            lr = downscale_x4(lr)
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
) -> list[Score]:
    """Return the score of each model over the same samples.

    Raises:
        UsageError: if there are no samples.
        FrameError: if a model returns an image of another size than the truth.
    """
    figures: dict[str, list[tuple[str, float, float, float]]] = {name: [] for name in models}
    for sample in samples:
        progress(sample.name)
        reference = psnr_db(upscale_x4(sample.lr), sample.hr)
        for name, restore in models.items():
            restored = restore(sample.lr)
            if restored.shape != sample.hr.shape:
                raise FrameError(
                    f"'{name}' made {restored.shape} of {sample.name}, truth is {sample.hr.shape}; "
                    "judge models that enlarge by 4"
                )
            quality = psnr_db(restored, sample.hr)
            row = (sample.name, quality, ssim(restored, sample.hr), quality - reference)
            figures[name].append(row)
    if not any(figures.values()):
        raise UsageError("there is nothing to judge on: every picture is under 64 px after margins")
    return [_score(name, rows) for name, rows in figures.items()]


def _score(name: str, rows: Sequence[tuple[str, float, float, float]]) -> Score:
    quality, similarity, gain = (float(np.mean([row[k] for row in rows])) for k in (1, 2, 3))
    worst = min(rows, key=lambda row: row[3])
    return Score(name, len(rows), quality, similarity, gain, worst[0], worst[3])
