"""What an engine is shown in its re-check: the bundle's check frames, one after the other.

A recurrent network is shown each of them as a short sequence that begins from zeros: its engine
must start, carry and forget what its graph does.

Shape letters: H height, W width, 3 channels in BGR order, bytes. Sizes are in pixels.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np

from crispstream.core.bundle import Bundle
from crispstream.core.errors import BundleError
from crispstream.core.pixels import Bytes, middle, mirrored
from crispstream.core.sequences import moving
from crispstream.runtime.engine.backends.base import Backend

IN_A_ROW = 5
"""Frames of each sequence of a recurrent network. An odd number: each of the two buffers of its
state is read behind what was written there, and every other sequence begins while the last frame
of the one before is still in work."""

_SLOTS = 2  # as in use: the second frame is handed in while the first is in work


class Shown(NamedTuple):
    """A frame as it is shown."""

    name: str
    frame_hwc: Bytes
    from_zeros: bool
    """Whether nothing is remembered before it."""


def shown_frames(bundle: Bundle, width: int, height: int) -> list[Shown]:
    """Return what is shown at a size, in order.

    Frames are cut to their middle and mirrored where they are smaller.

    Raises:
        BundleError: if the bundle has no check frames, or one is no picture.
    """
    found: list[Shown] = []
    for name in bundle.check_frames():
        title = PurePosixPath(name).stem
        cut = middle(_decoded(bundle, name), width, height)
        frame_hwc = mirrored(cut, height, width)
        if bundle.states:
            found += _sequence(title, frame_hwc)
        else:  # nothing is carried, so nothing need be forgotten between two
            found.append(Shown(title, frame_hwc, not found))
    if not found:
        raise BundleError(
            f"bundle '{bundle.name}' has no check frames, so no engine of it can be checked on "
            "its device; export the network again with: crispstream export"
        )
    return found


def _sequence(title: str, frame_hwc: Bytes) -> Iterator[Shown]:
    for place, moved_hwc in enumerate(moving(frame_hwc, IN_A_ROW)):
        name = f"{title} + {place}" if place else title
        yield Shown(name, moved_hwc, place == 0)


def _decoded(bundle: Bundle, name: str) -> Bytes:
    data = np.frombuffer(bundle.file_bytes(name), np.uint8)
    frame_hwc = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if frame_hwc is None:
        raise BundleError(
            f"'{name}' of bundle '{bundle.name}' is no picture; export the network again"
        )
    return np.asarray(frame_hwc, np.uint8)


def restored_by(backend: Backend, shown: Sequence[Shown], *, fresh: bool = True) -> Iterator[Bytes]:
    """Yield copies of the restored frames in order, two in flight; `fresh` allocates first."""
    if fresh:
        height, width, _ = shown[0].frame_hwc.shape
        backend.allocate(height, width, _SLOTS)
    for first in range(0, len(shown), _SLOTS):
        batch = shown[first : first + _SLOTS]
        for slot, one in enumerate(batch):
            if one.from_zeros:
                backend.reset()
            np.copyto(backend.frame(slot), one.frame_hwc)
            backend.submit(slot)
        for slot in range(len(batch)):
            backend.wait(slot)
            yield backend.restored(slot).copy()
