"""The folder layouts that published data sets come in: reading them, saying what they lack."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import IMAGE_EXTENSIONS
from crispstream.core.pixels import Bytes

Row = tuple[Path, ...]
"""Files of the same name in several folders."""


def check_places(src: Path, dst: Path) -> None:
    """Refuse to read from nowhere, and to write into what is read.

    Raises:
        UsageError: if `src` is no folder or `dst` lies in it.
    """
    if not src.is_dir():
        seen = "is a file" if src.exists() else "does not exist"
        raise UsageError(f"'{src}' {seen}; name the folder of the unpacked data set as SRC")
    if dst.resolve().is_relative_to(src.resolve()):
        raise UsageError(f"'{dst}' lies inside '{src}'; name a DST outside of SRC")


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in `folder`, sorted; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def images_in(folder: Path, *, deep: bool = False) -> list[Path]:
    """Return the images in `folder`, sorted, `deep` with those of all folders below.

    Hidden files are left out: some systems put a "._name.png" beside each image.
    """
    found = folder.rglob("*") if deep else folder.glob("*")
    images = (path for path in found if path.suffix.lower() in IMAGE_EXTENSIONS)
    return sorted(path for path in images if path.name[0] != "." and path.is_file())


def aligned(folders: Sequence[Path]) -> tuple[list[Row], list[Path]]:
    """Return a row of twins for each file name in any of `folders`, and the files that lack."""
    absent = [folder for folder in folders if not folder.is_dir()]
    if absent:
        return [], absent
    there = [{path.name for path in images_in(folder)} for folder in folders]
    names = sorted(set[str]().union(*there))
    pairs = list(zip(folders, there, strict=True))
    rows = [tuple(folder / name for folder in folders) for name in names]
    lacking = [folder / name for name in names for folder, known in pairs if name not in known]
    return rows, lacking if rows else [folders[0] / "*.png"]


def refuse_gaps(src: Path, lacking: Sequence[Path], layout: str) -> None:
    """Say what a layout lacks, if it lacks anything.

    Raises:
        UsageError: naming what `src` holds, the first missing path, how many lack, and `layout`.
    """
    if not lacking:
        return
    names = sorted(path.name for path in src.iterdir() if path.name[0] != ".")
    seen = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "") or "nothing"
    more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
    raise UsageError(
        f"'{src}' holds {seen}; missing: '{lacking[0]}'{more}. Expected {layout}; unpack what "
        "is missing, or name as SRC the folder that is laid out like this"
    )


def read_image(path: Path) -> Bytes:
    """Return an image as BGR bytes [H,W,3].

    Raises:
        TrainError: if it cannot be decoded.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise TrainError(
            f"cannot decode the image '{path}'; unpack it again, and run the same command again"
        )
    return np.asarray(picture, np.uint8)


def read_twins(small: Path, large: Path, scale: int = 1) -> tuple[Bytes, Bytes]:
    """Return two images, the second `scale` times as large as the first.

    Raises:
        TrainError: if one cannot be decoded or the sizes do not fit.
    """
    a, b = read_image(small), read_image(large)
    if (a.shape[0] * scale, a.shape[1] * scale) != b.shape[:2]:
        raise TrainError(
            f"'{small}' has {a.shape[1]}x{a.shape[0]} pixels and '{large}' "
            f"{b.shape[1]}x{b.shape[0]}; expected {scale} times the size: unpack both again"
        )
    return a, b


def cropped(image_hwc: Bytes, multiple_of: int) -> Bytes:
    """Cut the bottom and the right so that both sides divide by `multiple_of`."""
    rows, cols = (n // multiple_of * multiple_of for n in image_hwc.shape[:2])
    return image_hwc[:rows, :cols]
