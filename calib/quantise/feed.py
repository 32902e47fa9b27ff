"""The frames of a calibration set at a size that a graph takes."""

from collections.abc import Iterator

import numpy as np

from crispstream.calib.collect.sets import CalibrationSet
from crispstream.core.bundle import Bundle
from crispstream.core.errors import UsageError
from crispstream.core.pixels import Bytes, middle, mirrored, padded_size

from .graph import GraphView
from .ranges import hash_of_pixels


def check_set(frames: CalibrationSet, bundle: Bundle, fp32: GraphView) -> None:
    """Raise UsageError unless the set is for this bundle and its frames are large enough."""
    if frames.model not in (None, bundle.name):
        raise UsageError(
            f"the set '{frames.path}' was collected for {frames.model}, not for {bundle.name}; "
            f"collect one with --model {bundle.name}, or without --model for any"
        )
    width, height = fp32.input_size() or (bundle.size_multiple, bundle.size_multiple)
    for frame in frames.frames:
        if frame.width < width or frame.height < height:
            raise UsageError(
                f"the frame '{frame.file}' of the set is {frame.width}x{frame.height} px, and "
                f"{bundle.name} needs at least {width}x{height}; collect larger frames"
            )


def frames_for(
    fp32: GraphView,
    size_multiple: int,
    frames: CalibrationSet,
    *,
    limit: int | None = None,
    hashes: list[str] | None = None,
) -> Iterator[Bytes]:
    """Yield frames [H,W,3], the first `limit` or all, one at a time.

    Static graphs get the middle of a frame, others the whole, mirrored to the size multiple.
    `hashes` receives what names each frame, see `Ranges.frame_hashes`.

    Raises:
        SourceError: if a file of the set is missing or changed.
        FrameError: if it has another colour depth.
    """
    size = fp32.input_size()
    for one in frames.frames[:limit]:
        frame = frames.read(one)
        if hashes is not None:
            hashes.append(hash_of_pixels(frame))
        if size is None:
            height, width, _ = frame.shape
            yield mirrored(frame, *padded_size(height, width, size_multiple))
        else:
            yield np.ascontiguousarray(middle(frame, *size))
