"""The sharpest frames of a video: what a moving camera films is blurred most of the time.

A truth that is blurred itself teaches a network to leave blur alone, and judges it by that.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from crispstream.core.errors import TrainError
from crispstream.core.pixels import Bytes

if TYPE_CHECKING:
    import av


def sharpest_frames(path: Path, count: int) -> Iterator[Bytes]:
    """Yield of each of `count` equal stretches of a video its sharpest frame, BGR [H,W,3].

    Sharpest is the one with most gradient energy: within a stretch the scene hardly changes, so
    what changes the energy is blur. A video of fewer frames gives each once.

    Raises:
        TrainError: if the file cannot be decoded.
    """
    import av  # here: a machine that gets its crops ready-made needs none

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            total = stream.frames or sum(1 for _ in container.decode(video=0))
            container.seek(0)
            for best in _best_of_stretches(container.decode(video=0), total, count):
                yield np.asarray(best.to_ndarray(format="bgr24"), np.uint8)
    except (av.FFmpegError, IndexError) as error:
        raise TrainError(
            f"cannot decode the video '{path}' ({error}); remove it, or leave it out with --exclude"
        ) from error


def _best_of_stretches(
    frames: "Iterator[av.VideoFrame]", total: int, count: int
) -> "Iterator[av.VideoFrame]":
    """Yield the sharpest of each stretch as it ends; one frame is kept, however long it is."""
    best, most, stretch = None, -1.0, 0
    for number, frame in enumerate(frames):
        here = min(number * count // max(total, 1), count - 1)
        if here != stretch and best is not None:
            yield best
            most, stretch = -1.0, here
        energy = sharpness(np.asarray(frame.to_ndarray(format="gray"), np.uint8))
        if energy > most:
            best, most = frame, energy
    if best is not None:
        yield best


def sharpness(grey_hw: Bytes) -> float:
    """Return the gradient energy of [H,W]: the mean squared step between neighbours.

    The measure of Brenner et al., "An automated microscope for cytologic research" (1976), in
    both directions and at a distance of one pixel.

    >>> flat, edge = np.zeros((4, 4), np.uint8), np.eye(4, dtype=np.uint8)
    >>> sharpness(flat), sharpness(edge) > 0
    (0.0, True)
    """
    down = cv2.norm(grey_hw[1:], grey_hw[:-1], cv2.NORM_L2SQR)
    across = cv2.norm(
        np.ascontiguousarray(grey_hw[:, 1:]), np.ascontiguousarray(grey_hw[:, :-1]), cv2.NORM_L2SQR
    )
    return float((down + across) / grey_hw.size)
