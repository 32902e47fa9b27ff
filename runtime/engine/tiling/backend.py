"""A backend that cuts frames into tiles for another one.

    frame [H,W,3] -> tiles, one after the other -> the other backend -> seams -> restored [4H,4W,3]

Shape letters: H height, W width, 3 channels in BGR order. Sizes are in pixels, after padding.
"""

import logging
from collections import deque
from typing import NamedTuple

import numpy as np

from crispstream.core.errors import EngineError
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.base import Backend
from crispstream.runtime.engine.backends.buffers import frame_buffers
from crispstream.runtime.latency import Latencies

from .plan import Plan, Span, Tiling
from .seams import Edges, Feathers, Seams

_IN_WORK = 4
"""Tiles in work at least: one copied in, one computed, one copied out, one joined."""

_logger = logging.getLogger("crispstream.engine")


class _Tile(NamedTuple):
    """A tile in work."""

    inner_slot: int
    slot: int
    """Of the frame."""
    row: int
    column: int


class TiledBackend:
    """Restores frames of any size with a backend that takes no more than a tile.

    A frame that fits a tile goes to the other backend as it is, in its buffers. What that measures
    on its device (`device_latencies`) is then of frames, otherwise of tiles.
    """

    def __init__(self, inner: Backend, tiling: Tiling) -> None:
        """Take ownership of a backend, of a network that remembers no frames.

        What a recurrent one remembers of a tile would be wrong a halo further in with each frame.
        """
        self._inner = inner
        self._tiling = tiling
        self._plan: Plan | None = None
        self._seams: Seams | None = None
        self._frames: list[Bytes] = []
        self._restored: list[Bytes] = []
        self._in_work: deque[_Tile] = deque()
        self._failures: dict[int, EngineError] = {}
        self._inner_slots = 0
        self._next = 0

    @property
    def name(self) -> str:
        """What runs the graph."""
        return self._inner.name

    @property
    def precision(self) -> str:
        """Precision of the graph."""
        return self._inner.precision

    @property
    def device_latencies(self) -> Latencies | None:
        """Stage times that the other backend measures."""
        return self._inner.device_latencies

    def allocate(self, height: int, width: int, slots: int) -> None:
        """Make `slots` pairs of buffers, and tiles if the frame is larger than one.

        Raises:
            FrameError: if the tiles are too small for the halo, or memory is missing.
            Exception: what the other backend raises.
        """
        self._drop()
        if self._tiling.takes(height, width):
            self._inner.allocate(height, width, slots)
            return
        plan = self._tiling.plan(height, width)
        self._inner_slots = max(_IN_WORK, slots)
        self._inner.allocate(plan.tile_height, plan.tile_width, self._inner_slots)
        self._frames, self._restored = frame_buffers(height, width, slots)
        self._seams = Edges(plan) if self._tiling.is_exact else Feathers(plan)
        self._plan = plan
        self._tell(height, width, plan)

    def _tell(self, height: int, width: int, plan: Plan) -> None:
        cut = (
            f"frames of {width}x{height} px are cut into {plan.tiles} tiles of "
            f"{plan.tile_width}x{plan.tile_height}: {plan.overhead:.2f} times the work"
        )
        if self._tiling.is_exact:
            _logger.info("%s", cut)
        else:
            _logger.warning(
                "%s; the tiles are blended: the network looks at the whole frame, and sees less "
                "of it so",
                cut,
            )

    def frame(self, slot: int) -> Bytes:
        """Return the input buffer of a slot."""
        return self._inner.frame(slot) if self._plan is None else self._frames[slot]

    def restored(self, slot: int) -> Bytes:
        """Return the output buffer of a slot."""
        return self._inner.restored(slot) if self._plan is None else self._restored[slot]

    def submit(self, slot: int) -> None:
        """Start work on a slot's tiles; all but the last few are done on return.

        Raises:
            EngineError: if the other backend refuses a tile; then none of the frame is in work.
        """
        if self._plan is None:
            self._inner.submit(slot)
            return
        self._failures.pop(slot, None)
        try:
            for row, down in enumerate(self._plan.rows):
                for column, across in enumerate(self._plan.columns):
                    self._start(slot, row, column, self._cut(slot, down, across))
        except EngineError:
            self._finish_frame(slot)
            self._failures.pop(slot, None)
            raise

    def _cut(self, slot: int, down: Span, across: Span) -> Bytes:
        assert self._plan is not None  # asked for by who has one
        rows = slice(down.origin, down.origin + self._plan.tile_height)
        columns = slice(across.origin, across.origin + self._plan.tile_width)
        return self._frames[slot][rows, columns]

    def _start(self, slot: int, row: int, column: int, tile_hwc: Bytes) -> None:
        if len(self._in_work) == self._inner_slots:
            self._finish_oldest()
        inner_slot = self._next
        np.copyto(self._inner.frame(inner_slot), tile_hwc)
        self._inner.submit(inner_slot)
        self._in_work.append(_Tile(inner_slot, slot, row, column))
        self._next = (inner_slot + 1) % self._inner_slots

    def _finish_oldest(self) -> None:
        """Join the oldest tile; a failure is kept for who waits for its frame."""
        assert self._seams is not None  # tiles are in work
        tile = self._in_work.popleft()
        try:
            self._inner.wait(tile.inner_slot)
        except EngineError as error:
            self._failures.setdefault(tile.slot, error)
            return
        restored_hwc = self._inner.restored(tile.inner_slot)
        self._seams.join(restored_hwc, tile.row, tile.column, self._restored[tile.slot])

    def _finish_frame(self, slot: int) -> None:
        """Finish tiles, in their order, until none is of this slot."""
        while any(tile.slot == slot for tile in self._in_work):
            self._finish_oldest()

    def wait(self, slot: int) -> None:
        """Return when the slot's frame is complete.

        Raises:
            EngineError: if one of its tiles failed.
        """
        if self._plan is None:
            self._inner.wait(slot)
            return
        self._finish_frame(slot)
        if failure := self._failures.pop(slot, None):
            raise failure

    def reset(self) -> None:
        """Do nothing: there is no state."""

    def twin(self) -> "TiledBackend":
        """Return a backend for another stream of frames."""
        return TiledBackend(self._inner.twin(), self._tiling)

    def close(self) -> None:
        """Let go of the buffers and close the other backend."""
        self._drop()
        self._inner.close()

    def _drop(self) -> None:
        self._plan, self._seams = None, None
        self._frames, self._restored = [], []
        self._in_work.clear()
        self._failures.clear()
        self._next = 0
