"""Restored frames as PNG files, numbered; or a single image."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.sink import Sink

from .place import check_folder, write_error

_MOST_PX = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}
"""The longest side these formats can hold."""


class FolderSink(Sink):
    """Writes `000000.png`, `000001.png`, ... into a folder, named by the source's frame number."""

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        """Create the folder if it is not there.

        Raises:
            UsageError: if numbered images lie there already and `overwrite` is False.
            SinkError: if the folder cannot be made or written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(
                f"the folder '{folder}' cannot be made ({error.strerror}); name another output"
            ) from error
        check_folder(folder)
        taken = next(folder.glob("[0-9]" * 6 + ".png"), None)
        if taken is not None and not overwrite:
            raise UsageError(
                f"'{folder}' holds restored images already ({taken.name}); name another folder or "
                "add --overwrite"
            )
        self._folder = folder
        self._frames = 0

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Write one PNG file.

        Raises:
            SinkError: if it cannot be written; no half file is left.
        """
        _write_image(self._folder / f"{frame.serial:06d}.png", restored_hwc, self._frames)
        self._frames += 1

    def close(self, *, complete: bool = True) -> None:
        """Every file is finished already."""


class ImageSink(Sink):
    """Writes the one frame of a still source."""

    def __init__(self, path: Path) -> None:
        """Take the name; its ending chooses the format.

        Raises:
            SinkError: if the folder cannot be written.
        """
        check_folder(path.parent)
        self._path = path
        self._written = False

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Write the image.

        Raises:
            SinkError: at the second frame, or if the image cannot be written.
        """
        if self._written:
            raise SinkError(
                f"the source has more than one frame and '{self._path}' holds one; "
                "name a folder or a video as the output"
            )
        _write_image(self._path, restored_hwc, 0)
        self._written = True

    def close(self, *, complete: bool = True) -> None:
        """The file is finished already."""


def _write_image(path: Path, image_hwc: npt.NDArray[np.uint8], frames: int) -> None:
    kind = path.suffix.lower()
    height, width, _ = image_hwc.shape
    try:
        encoded, data = cv2.imencode(kind, image_hwc)
    except cv2.error:
        encoded = False
    if not encoded:
        most = f" (it holds {_MOST_PX[kind]} px a side)" if kind in _MOST_PX else ""
        advice = "name another output" if kind == ".png" else "name a .png as the output"
        raise SinkError(
            f"'{path}' cannot be written: {kind} does not take an image of {width}x{height} px"
            f"{most}; {advice}"
        )
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise write_error(path, error, frames) from error
