"""What is refused before a collection begins: sources that cannot be used, places that are taken.

Sizes are in pixels.
"""

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from crispstream.core.errors import UsageError
from crispstream.core.files import refuse_to_replace, sha256_of
from crispstream.core.uris import masked
from crispstream.runtime.stream.source import open_source, path_of
from crispstream.runtime.stream.sources.folder import image_paths

from .sets import KIND, MANIFEST, UNFINISHED, is_set

_TIFF = (".tif", ".tiff")
_PNG_DEPTH_AT = 24
"""Signature, length and name of the first chunk, width, height: then come the bits a channel."""


def check_place(out: Path, *, overwrite: bool) -> None:
    """Refuse a place that holds something of the user's.

    Raises:
        UsageError: if `out` is a file, a set that may not be overwritten, or a folder of others.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"'{out}' is a file; name a folder for the calibration set")
    if is_set(out):
        refuse_to_replace(out, marker=MANIFEST, noun=KIND, overwrite=overwrite)
    elif out.exists() and not (out / UNFINISHED).exists():
        foreign = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
        if foreign:
            raise UsageError(
                f"'{out}' holds '{foreign[0]}' and is no calibration set; name an empty or a new "
                "folder"
            )


def check_apart(uri: str, out: Path) -> None:
    """Refuse to write a set into a source, or over one.

    Raises:
        UsageError: if one lies inside the other.
    """
    path = path_of(uri)
    if path is None or not path.exists():
        return
    source, target = path.resolve(), out.resolve()
    if target.is_relative_to(source) or source.is_relative_to(target):
        raise UsageError(
            f"the source '{masked(uri)}' and the calibration set '{out}' lie inside one another; "
            "name another folder for the set"
        )


def check_source(uri: str, size: tuple[int, int] | None, least: int, model: str | None) -> None:
    """Refuse a source that gives no frames for the set.

    `size` is the (width, height) to cut from each frame, `least` the smallest side that the model
    takes.

    Raises:
        UsageError: if there is no such source, it never ends, its frames are too small or have
            more than 8 bits.
        SourceError: if it cannot be opened.
    """
    with closing(open_source(uri)) as source:
        width, height = source.info.width, source.info.height
        endless = source.info.live and source.info.frame_count is None
    if endless:
        raise UsageError(
            f"'{masked(uri)}' is live and has no end; record some minutes of it first, for "
            "instance with ffmpeg, and collect from that file"
        )
    if size and (width < size[0] or height < size[1]):
        raise UsageError(
            f"'{masked(uri)}' has frames of {width}x{height} px, from which no {size[0]}x{size[1]} "
            "can be cut; give a smaller --size"
        )
    width, height = size or (width, height)
    if min(width, height) < least:
        raise UsageError(
            f"'{masked(uri)}' gives frames of {width}x{height} px, and {model} takes none with a "
            f"side below {least}; collect larger ones"
        )
    for image in _images(uri):
        bits = _bits_a_channel(image)
        if bits > 8:
            raise UsageError(
                f"'{image}' has {bits} bits a channel, and frames of cameras have 8; convert it "
                f"first, for instance: ffmpeg -i {image.name} -pix_fmt rgb24 eight-bits.png"
            )


def mark_of(uri: str) -> str:
    """Return what changes when the files of a source do; the URI where it has none."""
    path = path_of(uri)
    if path is None:
        return sha256_of(uri.encode())
    files = _images(uri) or [path]
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return sha256_of(repr(facts).encode())


def _images(uri: str) -> list[Path]:
    """Return the image files of a source; none for a video."""
    path = path_of(uri)
    return sorted(image_paths(str(path)) or []) if path else []


def _bits_a_channel(image: Path) -> int:
    """Return how many bits a PNG or TIFF file has a channel; other formats here have 8."""
    if image.suffix.lower() == ".png":
        with image.open("rb") as file:
            head = file.read(_PNG_DEPTH_AT + 1)
        return head[-1] if len(head) > _PNG_DEPTH_AT else 8
    if image.suffix.lower() not in _TIFF:
        return 8
    decoded = cv2.imdecode(np.frombuffer(image.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    return 8 if decoded is None else 8 * decoded.itemsize
