"""The LR frames that every graph is compared on, as they are or at the size of a static graph."""

from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from crispstream.core.errors import ExportError, UsageError
from crispstream.core.pixels import Bytes, middle, mirrored


def fitted(frame_hwc: Bytes, width: int, height: int) -> Bytes:
    """Return the middle of a frame, mirrored where the frame is too small, [height,width,3].

    >>> fitted(np.zeros((180, 320, 3), np.uint8), 400, 100).shape
    (100, 400, 3)
    """
    return mirrored(middle(frame_hwc, width, height), height, width)


def png_of(image: Bytes) -> bytes:
    """Return a frame as a PNG file.

    Raises:
        ExportError: if OpenCV cannot encode it.
    """
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise ExportError(f"cannot encode a check frame of shape {image.shape} as PNG")
    return data.tobytes()


def shipped_frames() -> list[tuple[str, Bytes]]:
    """Return the kit's own LR frames for parity checks, by name; see export/frames/README.md."""
    folder = resources.files("crispstream.export") / "frames"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".png")), key=str)
    return [(file.name[:-4], _decode(file.read_bytes(), file.name)) for file in files]


def read_frames(folder: Path) -> list[tuple[str, Bytes]]:
    """Return the PNG frames of a folder by name.

    Raises:
        UsageError: if there are none.
    """
    files = sorted(folder.glob("*.png"))
    if not files:
        raise UsageError(f"no PNG frames in '{folder}'; give a folder of LR frames")
    return [(file.stem, _decode(file.read_bytes(), file.name)) for file in files]


def _decode(data: bytes, name: str) -> Bytes:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UsageError(f"'{name}' is not an image; give PNG frames")
    rows, cols = image.shape[0] // 4 * 4, image.shape[1] // 4 * 4
    return np.asarray(np.ascontiguousarray(image[:rows, :cols]), np.uint8)
