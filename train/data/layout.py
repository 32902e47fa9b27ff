"""The folder layouts that published data sets come in: reading them, saying what they lack."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import IMAGE_EXTENSIONS
from crispstream.core.pixels import Bytes

from .journal import JOURNAL, MANIFEST

Row = tuple[Path, ...]
"""Files of the same name in several folders."""


def check_places(src: Path, dst: Path) -> None:
    """Refuse to read from nowhere, and to write into what is read.

    Raises:
        UsageError: if `src` is no folder, or a built set, or `dst` lies in it.
    """
    if not src.is_dir():
        seen = "is a file" if src.exists() else "does not exist"
        raise UsageError(f"'{src}' {seen}; name the folder of the unpacked data set as SRC")
    if (src / MANIFEST).exists() or (src / JOURNAL).exists():
        raise UsageError(
            f"'{src}' is a built set; SRC and DST may be swapped: name the folder of the unpacked "
            "data set first, then the one to build in"
        )
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
    expected = layout.replace("\n", ", ")
    raise UsageError(
        f"'{src}' holds {seen}; missing: '{lacking[0]}'{more}. Expected {expected}; unpack what "
        "is missing, or name as SRC the folder that is laid out like this"
    )


def read_image(path: Path) -> Bytes:
    """Return an image as BGR bytes [H,W,3].

    Raises:
        TrainError: if it cannot be decoded, or is a JPEG without its end.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None or _is_cut_jpeg(path):
        seen = "cannot decode the image" if picture is None else "there is no end to the JPEG"
        raise TrainError(f"{seen} '{path}'; unpack it again, and run the same command again")
    return np.asarray(picture, np.uint8)


def _is_cut_jpeg(path: Path) -> bool:
    """Tell whether the end marker lacks: libjpeg fills such a picture with grey, and only warns.

    Cameras write some bytes of their own after the marker.
    """
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        return False
    data = path.read_bytes()
    return data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-1024:]


def read_twins(small: Path, large: Path, scale: int = 1) -> tuple[Bytes, Bytes]:
    """Return two images, the second `scale` times as large as the first.

    Raises:
        TrainError: if one cannot be decoded or the sizes do not fit.
    """
    a, b = read_image(small), read_image(large)
    if (a.shape[0] * scale, a.shape[1] * scale) != b.shape[:2]:
        expected = "the same size" if scale == 1 else f"{scale} times the size"
        raise TrainError(
            f"'{small}' has {a.shape[1]}x{a.shape[0]} pixels and '{large}' "
            f"{b.shape[1]}x{b.shape[0]}; expected {expected}: unpack both again"
        )
    return a, b


def cropped(image_hwc: Bytes, multiple_of: int) -> Bytes:
    """Cut the bottom and the right so that both sides divide by `multiple_of`."""
    rows, cols = (n // multiple_of * multiple_of for n in image_hwc.shape[:2])
    return image_hwc[:rows, :cols]
