"""The pool: crops degraded once, kept on disk, drawn from for the whole training.

Blurring a crop takes longer than a training step of an edge network, and a few thousand crops
with flips and quarter turns are more than a small network can learn by heart. The pool is
memory-mapped, so every data-loader worker shares one copy.
"""

import hashlib
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import UsageError
from crispstream.core.files import write_json_atomically
from crispstream.core.pixels import SCALE, Bytes
from crispstream.train.degrade.camera import GAMMA, to_linear
from crispstream.train.degrade.pipeline import Degradation

from .sharp import VIDEOS, list_media, read_pictures

Pair = tuple[Bytes, Bytes]


@dataclass(frozen=True)
class PoolPlan:
    """What goes into a pool; two equal plans over equal files make equal pools."""

    crop_px: int = 64
    """Side of an LR crop."""
    crops_per_image: int = 80
    """Crops from a still, and from a blurred/sharp pair of pictures."""
    crops_per_video: int = 144
    """Crops from all the frames taken of a video together."""
    frames_per_video: int = 12
    """Frames taken of a video, evenly spread."""
    exclude: tuple[str, ...] = ()
    """Shell patterns of file names that must not be learnt from."""
    seed: int = 1
    degradation: Degradation = field(default_factory=Degradation)


def build_pool(folders: Sequence[Path], plan: PoolPlan, cache: Path, workers: int) -> Path:
    """Return the folder of the pool for `plan`, building it if it is not in `cache`.

    A folder that holds `blur/` and `sharp/` contributes its pairs as they are (blurred by the
    world); everything else is blurred by `plan.degradation`.
    """
    jobs = _jobs(folders, plan)
    target = cache / _key(jobs, plan)
    if (target / "pool.json").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    made = [pair for pairs in _made(jobs, plan, workers) for pair in pairs]
    if not made:
        raise UsageError("every picture is smaller than one crop; use larger pictures")
    np.save(target / "lr.npy", np.stack([lr for lr, _ in made]))
    np.save(target / "hr.npy", np.stack([hr for _, hr in made]))
    content = {"pairs": len(made), "files": [str(sharp.name) for sharp, _ in jobs]}
    write_json_atomically(target / "pool.json", {**content, "plan": asdict(plan)})
    return target


def _made(
    jobs: Sequence[tuple[Path, Path | None]], plan: PoolPlan, workers: int
) -> Iterator[list[Pair]]:
    """Degrade in processes of their own; spawned, for a fork of threaded libraries can hang."""
    work = partial(_crops, plan=plan)
    if workers < 2:
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as executor:
        yield from executor.map(work, jobs)


def _jobs(folders: Sequence[Path], plan: PoolPlan) -> list[tuple[Path, Path | None]]:
    """Each sharp file with its blurred twin, if the world made one."""
    jobs: list[tuple[Path, Path | None]] = []
    for path in list_media(folders, plan.exclude):
        if path.parent.name == "blur":
            continue
        twin = path.parent.parent / "blur" / path.name
        jobs.append((path, twin if path.parent.name == "sharp" and twin.exists() else None))
    return jobs


def _key(jobs: Sequence[tuple[Path, Path | None]], plan: PoolPlan) -> str:
    files = [(path.name, path.stat().st_size) for path, _ in jobs]
    text = json.dumps([files, asdict(plan)], sort_keys=True)
    return "pool-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _crops(job: tuple[Path, Path | None], plan: PoolPlan) -> list[Pair]:
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
        for _ in range(crops):
            crop = _busiest(_shrunk(picture, side, rng), side, rng)
            if crop is not None:
                yield plan.degradation.pair(crop, rng)


def _real_pairs(
    sharp: Path, blurred: Path, plan: PoolPlan, rng: np.random.Generator
) -> Iterator[Pair]:
    """Aligned crops of a pair the world blurred; the camera's noise and codec are still ours."""
    side = plan.crop_px * SCALE
    both = np.concatenate([next(read_pictures(p, 1)) for p in (sharp, blurred)], axis=2)
    for _ in range(plan.crops_per_image):
        crop = _busiest(both, side, rng)
        if crop is not None:
            yield plan.degradation.sense(to_linear(crop[..., 3:]), GAMMA, rng), crop[..., :3]


def _shrunk(picture: Bytes, side: int, rng: np.random.Generator) -> Bytes:
    """Reduce by a random factor: more scales of things, and less of the source's own blur."""
    smallest = side / min(picture.shape[:2])
    factor = float(rng.uniform(min(1.0, max(0.5, smallest)), 1.0))
    if factor > 0.95:
        return picture
    return np.asarray(
        cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
    )


def _busiest(picture: Bytes, side: int, rng: np.random.Generator) -> Bytes | None:
    """Return the crop with most gradient of three drawn ones: skies teach little."""
    rows, cols = picture.shape[0] - side, picture.shape[1] - side
    if rows < 0 or cols < 0:
        return None
    best, most = picture[:side, :side], -1.0
    for _ in range(3):
        y, x = int(rng.integers(rows + 1)), int(rng.integers(cols + 1))
        crop = picture[y : y + side, x : x + side]
        green = crop[::2, ::2, 1].astype(np.int16)
        gradient = float(np.abs(np.diff(green, axis=0)).mean() + np.abs(np.diff(green)).mean())
        if gradient > most:
            best, most = crop, gradient
    return best


def open_pool(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Map a pool: lr [N,h,w,3] and hr [N,4h,4w,3] bytes, read-only."""
    lr = np.load(folder / "lr.npy", mmap_mode="r", allow_pickle=False)
    return lr, np.load(folder / "hr.npy", mmap_mode="r", allow_pickle=False)
