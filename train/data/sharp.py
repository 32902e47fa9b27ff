"""Sharp pictures from any folder: images as they are, a few frames of each video."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import IMAGE_EXTENSIONS
from crispstream.core.pixels import Bytes

from .sharpest import sharpest_frames

IMAGES = frozenset(IMAGE_EXTENSIONS)
VIDEOS = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"})


def list_media(folders: Sequence[Path], exclude: Sequence[str] = ()) -> list[Path]:
    """Return the image and video files below `folders`, sorted, without names in `exclude`.

    `exclude` holds shell patterns for file names, `gopro_GOPR0477*` for example.

    Raises:
        UsageError: if a folder does not exist or nothing is left.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.exists():
            raise UsageError(f"the data folder '{folder}' does not exist; name one with --data")
        found += [folder] if folder.is_file() else sorted(folder.rglob("*"))
    media = [path for path in found if path.suffix.lower() in IMAGES | VIDEOS]
    kept = [path for path in media if not any(fnmatch(path.name, shape) for shape in exclude)]
    if not kept:
        raise UsageError(
            f"no training media in {', '.join(map(str, folders))} (files seen: {len(found)}, of "
            f"them excluded: {len(media)}); expected images ({' '.join(sorted(IMAGES))}) or "
            f"videos ({' '.join(sorted(VIDEOS))})"
        )
    return kept


def read_pictures(path: Path, frames_per_video: int) -> Iterator[Bytes]:
    """Yield the picture of an image file, or sharp frames from all over a video; BGR [H,W,3].

    Raises:
        TrainError: if the file cannot be decoded.
    """
    if path.suffix.lower() in VIDEOS:
        yield from sharpest_frames(path, frames_per_video)
        return
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise TrainError(
            f"cannot read the image '{path}'; remove it, or leave it out with --exclude"
        )
    yield np.asarray(picture, np.uint8)
