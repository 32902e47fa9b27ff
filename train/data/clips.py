"""Clips: short moving sequences, made once and kept, that recurrent networks learn from.

Videos give their own frames, stills are seen by a camera that moves; both then pass through
`degrade/clips.py`. The frames of a clip lie behind each other in the channels, [h,w,3T], so a cut
or a turn of a sample is that of all its frames.

Shape letters: N clips, T frames, h height, w width.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.pixels import SCALE, Bytes
from crispstream.train.degrade.clips import ClipDegradation

from .built import MANIFEST, Array, Item, build_set
from .cache import cached_pool
from .crops import LEAST_FACTOR, UNREDUCED, BusyMap
from .sharp import VIDEOS, list_media, read_pictures

FASTEST_STRIDE = 2
"""Clips of videos take every frame, or every so many-th."""


@dataclass(frozen=True)
class ClipPlan:
    """What goes into a pool of clips; two equal plans over equal files make equal pools."""

    frames: int = 10
    crop_px: int = 48
    """Side of an LR crop."""
    clips_per_image: int = 7
    clips_per_video: int = 40
    cut_share: float = 0.1
    """Share of clips that go on with another shot from some frame on."""
    crop_draws: int = 4
    """Places that each crop is the busiest of."""
    exclude: tuple[str, ...] = ()
    """Shell patterns of file names that must not be learnt from."""
    seed: int = 1
    degradation: ClipDegradation = field(default_factory=ClipDegradation)

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if min(self.frames, self.crop_px, self.crop_draws) < 1 or not 0 <= self.cut_share <= 1:
            raise ValueError(f"frames and crops are at least 1, shares in 0..1; got {self}")

    def margin_px(self) -> int:
        """Return how much wider than its crop a scene is, on each side."""
        return self.degradation.margin_px(self.frames)

    def scene_px(self) -> int:
        """Return the side of what is cut out of a picture for a clip."""
        return self.crop_px * SCALE + 2 * self.margin_px()


def build_clips(
    folders: Sequence[Path],
    plan: ClipPlan,
    cache: Path,
    workers: int,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the folder of a built set of the kind "clips", building it if `cache` lacks it.

    Its fields are lr [N,c,c,3T] and hr [N,4c,4c,3T]. Pictures that the world blurred, in a folder
    `blur/`, are left out. A build that fails leaves nothing in `cache`.

    Raises:
        UsageError: if there are no media, or all are too small or too short.
        TrainError: if a file is broken or `cache` cannot be written.
    """
    media = [path for path in list_media(folders, plan.exclude) if path.parent.name != "blur"]
    items = [Item(f"train/{number:05d}/{path.name}", (path,)) for number, path in enumerate(media)]

    def make(folder: Path) -> None:
        work, settings = partial(_shards, plan=plan), asdict(plan)
        build_set("clips", items, work, settings, folder, workers=workers, progress=progress)
        _check_any(folder, plan)

    files = [item.sources for item in items]
    return cached_pool("clips", files, asdict(plan), cache, whole=MANIFEST, make=make)


def frames_of(sample_hwc: Array) -> Array:
    """Return a clip as [T,h,w,3], a view, of a sample's [h,w,3T]."""
    height, width, channels = sample_hwc.shape
    return sample_hwc.reshape(height, width, channels // 3, 3).transpose(2, 0, 1, 3)


def _check_any(made: Path, plan: ClipPlan) -> None:
    """Refuse a pool of nothing."""
    if not (made / "train").is_dir():
        side = plan.scene_px()
        raise UsageError(
            f"every picture is smaller than {side}x{side} pixels and every video smaller or "
            f"shorter than {plan.frames} frames; use larger pictures or longer videos"
        )


def _shards(item: Item, plan: ClipPlan) -> dict[str, Array]:
    """Make the shards of one file; none if it is too small or too short."""
    path = item.sources[0]
    is_video = path.suffix.lower() in VIDEOS
    clips = list(_video_clips(path, plan) if is_video else _still_clips(path, plan))
    names = ("lr", "hr") if clips else ()
    stacked = (np.stack([_as_sample(clip[k]) for clip in clips]) for k in range(len(names)))
    return {f"{item.name}.{name}.npy": array for name, array in zip(names, stacked, strict=True)}


def _as_sample(clip_thwc: Bytes) -> Bytes:
    frames, height, width, _ = clip_thwc.shape
    return clip_thwc.transpose(1, 2, 0, 3).reshape(height, width, frames * 3)


def _rng(path: Path, plan: ClipPlan, number: int) -> np.random.Generator:
    """Return the dice of one clip: they do not depend on when its frames are decoded."""
    name = hashlib.sha256(path.name.encode()).digest()[:8]
    return np.random.default_rng([plan.seed, number, *name])


def _lengths(plan: ClipPlan, rng: np.random.Generator) -> list[int]:
    """Return how many frames each shot of a clip has: one shot, or two with a cut between."""
    if rng.random() >= plan.cut_share or plan.frames < 2:
        return [plan.frames]
    first = int(rng.integers(1, plan.frames))
    return [first, plan.frames - first]


def _still_clips(path: Path, plan: ClipPlan) -> Iterator[tuple[Bytes, Bytes]]:
    picture = next(read_pictures(path, 1))
    if min(picture.shape[:2]) < plan.scene_px():
        return
    busy = BusyMap(picture)
    for number in range(plan.clips_per_image):
        rng = _rng(path, plan, number)
        shots = []
        for length in _lengths(plan, rng):
            place = _Place.draw(picture.shape[:2], busy, plan, rng)
            shots.append([place.cut(picture)] * length)
        yield plan.degradation.clip(shots, plan.margin_px(), rng)


def _video_clips(path: Path, plan: ClipPlan) -> Iterator[tuple[Bytes, Bytes]]:
    """Yield clips in the order in which their frames are all there."""
    total = sum(1 for _ in read_frames(path)) if plan.clips_per_video else 0
    if total < plan.frames:
        return
    waiting = [_VideoClip(_rng(path, plan, k), total, plan) for k in range(plan.clips_per_video)]
    for number, picture in enumerate(read_frames(path)):
        if min(picture.shape[:2]) < plan.scene_px():
            return
        for clip in waiting:
            clip.look(number, picture)
        for clip in [clip for clip in waiting if clip.is_whole()]:
            waiting.remove(clip)
            yield plan.degradation.clip(clip.shots(), plan.margin_px(), clip.rng)


def read_frames(path: Path) -> Iterator[Bytes]:
    """Yield all frames of a video, BGR [H,W,3].

    Raises:
        TrainError: if the file cannot be decoded.
    """
    import av

    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (av.FFmpegError, IndexError) as error:
        raise TrainError(
            f"cannot decode the video '{path}' ({error}); remove it, or leave it out with --exclude"
        ) from error


@dataclass(frozen=True)
class _Place:
    """A square of a picture, and the side to which it is reduced."""

    top: int
    left: int
    seen_px: int
    side_px: int

    @staticmethod
    def draw(
        size: tuple[int, ...], busy: BusyMap, plan: ClipPlan, rng: np.random.Generator
    ) -> "_Place":
        """Draw how much a picture is reduced, and the busiest of a few places in it."""
        side = plan.scene_px()
        factor = float(rng.uniform(max(LEAST_FACTOR, side / min(size)), 1.0))
        seen = side if factor > UNREDUCED else min(round(side / factor), *size)
        margin = seen * plan.margin_px() // side  # what is shown is the middle
        places = rng.integers((size[0] - seen + 1, size[1] - seen + 1), size=(plan.crop_draws, 2))
        top, left = max(
            places.tolist(),
            key=lambda place: busy.busyness(
                place[0] + margin, place[1] + margin, seen - 2 * margin
            ),
        )
        return _Place(top, left, seen, side)

    def cut(self, picture_hwc: Bytes) -> Bytes:
        """Return the square, reduced; a copy, for the picture may be one of a long video."""
        crop = picture_hwc[self.top :, self.left :][: self.seen_px, : self.seen_px]
        if self.seen_px == self.side_px:
            return crop.copy()
        size = self.side_px, self.side_px
        return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)


class _VideoClip:
    """A clip whose frames are collected while its video is decoded once."""

    def __init__(self, rng: np.random.Generator, total: int, plan: ClipPlan) -> None:
        """Draw which frames of `total` each shot shows: forwards or backwards, all or each 2nd."""
        self.rng = rng
        self._plan = plan
        self._numbers = [_numbers(length, total, rng) for length in _lengths(plan, rng)]
        self._places: dict[int, _Place] = {}
        self._scenes: dict[tuple[int, int], Bytes] = {}

    def look(self, number: int, picture_hwc: Bytes) -> None:
        """Keep what is wanted of frame `number`."""
        for shot, numbers in enumerate(self._numbers):
            if number in numbers:
                if shot not in self._places:
                    busy = BusyMap(picture_hwc)
                    size = picture_hwc.shape[:2]
                    self._places[shot] = _Place.draw(size, busy, self._plan, self.rng)
                self._scenes[shot, number] = self._places[shot].cut(picture_hwc)

    def is_whole(self) -> bool:
        """Return whether all frames were seen."""
        return len(self._scenes) == sum(map(len, self._numbers))

    def shots(self) -> list[list[Bytes]]:
        """Return the scenes of each shot in the order in which they are shown."""
        return [
            [self._scenes[shot, number] for number in numbers.tolist()]
            for shot, numbers in enumerate(self._numbers)
        ]


def _numbers(length: int, total: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw the frames of a shot of a video of `total` frames, in the order they are shown."""
    stride = int(rng.integers(1, FASTEST_STRIDE + 1)) if total >= length * FASTEST_STRIDE else 1
    start = int(rng.integers(total - (length - 1) * stride))
    numbers = start + stride * np.arange(length)
    return numbers[::-1] if rng.random() < 0.5 else numbers
