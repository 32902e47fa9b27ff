"""The pool: crops degraded once, kept on disk, drawn from for the whole training.

Blurring a crop takes longer than a training step of an edge network, and a few thousand crops
with flips and quarter turns are more than a small network can learn by heart. The pool is
memory-mapped, so every data-loader worker shares one copy.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import write_json_atomically
from crispstream.core.pixels import SCALE, Bytes
from crispstream.train.degrade.camera import GAMMA, to_linear
from crispstream.train.degrade.pipeline import Degradation

from .cache import cached_pool
from .crops import busy_crops, shrunk_crops
from .sharp import VIDEOS, list_media, read_pictures
from .workers import in_processes

Pair = tuple[Bytes, Bytes]
Job = tuple[Path, Path | None]
"""A sharp file, and its twin that the world blurred."""

WHOLE = "pool.json"
"""Name of the file of a pool that is written last."""


@dataclass(frozen=True)
class PoolPlan:
    """What goes into a pool; two equal plans over equal files make equal pools."""

    crop_px: int = 64
    """Side of an LR crop."""
    crops_per_image: int = 80
    """Crops from a still."""
    crops_per_video: int = 144
    """Crops from all the frames taken of a video together."""
    frames_per_video: int = 12
    """Frames taken of a video, evenly spread."""
    exclude: tuple[str, ...] = ()
    """Shell patterns of file names that must not be learnt from."""
    seed: int = 1
    degradation: Degradation = field(default_factory=Degradation)
    crops_per_pair: int = 160
    """Crops from a blurred/sharp pair of pictures: real blur is rare and worth more."""
    crop_draws: int = 4
    """Places that each crop is the busiest of; 1 takes all alike, skies too."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        if min(self.crop_px, self.crop_draws) < 1:
            raise ValueError(f"crop_px and crop_draws are at least 1, got {self}")


def build_pool(
    folders: Sequence[Path],
    plan: PoolPlan,
    cache: Path,
    workers: int,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the folder of the pool for `plan`, building it if it is not in `cache`.

    A folder that holds `blur/` and `sharp/` contributes its pairs as they are (blurred by the
    world); everything else is blurred by `plan.degradation`. `progress` is told in words how
    many files are done. A build that fails leaves nothing in `cache`.

    Raises:
        UsageError: if there are no media, or each is smaller than one crop.
        TrainError: if a file cannot be decoded or `cache` cannot be written.
    """
    jobs = _jobs(folders, plan)
    tell = progress or (lambda _: None)

    def make(folder: Path) -> None:
        folder.mkdir()
        work = partial(_crops, plan=plan)
        with closing(in_processes(work, jobs, workers, tell, in_order=True)) as made:
            _fill(folder, jobs, plan, _told(made, len(jobs), tell))

    files = [[path for path in job if path is not None] for job in jobs]
    return cached_pool("pool", files, asdict(plan), cache, whole=WHOLE, make=make)


def _fill(folder: Path, jobs: Sequence[Job], plan: PoolPlan, made: Iterable[list[Pair]]) -> None:
    """Write the crops as they come: a pool may be larger than the memory."""
    count, side = 0, plan.crop_px
    with (folder / "lr.npy").open("wb") as lr_file, (folder / "hr.npy").open("wb") as hr_file:
        _write_header(lr_file, count, side)
        _write_header(hr_file, count, side * SCALE)
        for pairs in made:
            for lr, hr in pairs:
                lr_file.write(lr.tobytes())
                hr_file.write(hr.tobytes())
            count += len(pairs)
        _write_header(lr_file, count, side)
        _write_header(hr_file, count, side * SCALE)
    if not count:
        raise UsageError(_too_small(jobs, plan))
    content = {"pairs": count, "files": [str(sharp.name) for sharp, _ in jobs]}
    write_json_atomically(folder / WHOLE, {**content, "plan": asdict(plan)})


def _write_header(file: BinaryIO, count: int, side: int) -> None:
    """Write the .npy header of [count,side,side,3] bytes; NumPy pads it for any count."""
    file.seek(0)
    shape = (count, side, side, 3)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def _told(
    made: Iterable[list[Pair]], total: int, tell: Callable[[str], None]
) -> Iterator[list[Pair]]:
    """Pass `made` on and tell about a hundred times how far it is."""
    tell(f"preparing crops: 0 of {total} files")
    for done, pairs in enumerate(made, 1):
        yield pairs
        if done == total or done % max(1, total // 100) == 0:
            tell(f"preparing crops: {done} of {total} files")


def _too_small(jobs: Sequence[Job], plan: PoolPlan) -> str:
    """Name the largest picture and the size it should have had."""
    sizes = {
        job: picture.shape[:2]
        for job in jobs
        for picture in read_pictures(job[0], frames_per_video=1)
    }
    if not sizes:
        return "no video has a frame; use other videos, or pictures"
    largest = max(sizes, key=lambda job: min(sizes[job]))
    height, width = sizes[largest]
    side = plan.crop_px * SCALE
    side += 0 if largest[1] else 2 * plan.degradation.margin_px()
    return (
        f"every picture is smaller than one crop: the largest, '{largest[0].name}', has "
        f"{width}x{height} pixels, expected at least {side}x{side}; use larger pictures"
    )


def _jobs(folders: Sequence[Path], plan: PoolPlan) -> list[Job]:
    """Each sharp file with its blurred twin, if the world made one."""
    jobs: list[Job] = []
    for path in list_media(folders, plan.exclude):
        if path.parent.name == "blur":
            continue
        twin = path.parent.parent / "blur" / path.name
        jobs.append((path, twin if path.parent.name == "sharp" and twin.exists() else None))
    return jobs


def _crops(job: Job, plan: PoolPlan) -> list[Pair]:
    cv2.setNumThreads(1)  # one process a core is the parallelism here
    sharp, blurred = job
    rng = np.random.default_rng([plan.seed, *hashlib.sha256(sharp.name.encode()).digest()[:8]])
    if blurred is not None:
        return list(_real_pairs(sharp, blurred, plan, rng))
    return list(_synthetic_pairs(sharp, plan, rng))


def _synthetic_pairs(path: Path, plan: PoolPlan, rng: np.random.Generator) -> Iterator[Pair]:
    is_video = path.suffix.lower() in VIDEOS
    crops = plan.crops_per_video // plan.frames_per_video if is_video else plan.crops_per_image
    side = plan.crop_px * SCALE + 2 * plan.degradation.margin_px()
    for picture in read_pictures(path, plan.frames_per_video):
        yield from (
            plan.degradation.pair(crop, rng)
            for crop in shrunk_crops(picture, side, crops, plan.crop_draws, rng)
        )


def _real_pairs(
    sharp: Path, blurred: Path, plan: PoolPlan, rng: np.random.Generator
) -> Iterator[Pair]:
    """Aligned crops of a pair the world blurred; the camera's noise and codec are still ours."""
    side = plan.crop_px * SCALE
    truth, seen = (next(read_pictures(path, 1)) for path in (sharp, blurred))
    if truth.shape != seen.shape:
        raise TrainError(
            f"'{sharp}' has {truth.shape[1]}x{truth.shape[0]} pixels and '{blurred}' "
            f"{seen.shape[1]}x{seen.shape[0]}; make them equal, or leave them out with --exclude"
        )
    both = np.concatenate([truth, seen], axis=2)
    for crop in busy_crops(both, side, plan.crops_per_pair, plan.crop_draws, rng):
        yield plan.degradation.sense(to_linear(crop[..., 3:]), GAMMA, rng), crop[..., :3]


def open_pool(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Map a pool: lr [N,h,w,3] and hr [N,4h,4w,3] bytes, read-only."""
    lr = np.load(folder / "lr.npy", mmap_mode="r", allow_pickle=False)
    return lr, np.load(folder / "hr.npy", mmap_mode="r", allow_pickle=False)
