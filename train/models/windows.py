"""Windows: a feature map cut into tiles of one size, and put together again.

Shape letters: B batch, C channels, H height, W width, N windows of an image, h and w their sides.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from crispstream.core.errors import FrameError

from .exportable import constant


@dataclass(frozen=True)
class WindowGrid:
    """How windows lie on a map of one size; the last row and column may hang over its edge.

    >>> WindowGrid(23, 40, 15, 20).rows, WindowGrid(23, 40, 15, 20).columns
    (2, 2)
    """

    height: int
    """Of the map, in its pixels, as all sizes here."""
    width: int
    window_height: int
    window_width: int

    def __post_init__(self) -> None:
        """Refuse a map whose overhang would be wider than what a mirror image can fill.

        Raises:
            FrameError: if it is so.
        """
        if self.pad_bottom >= self.height or self.pad_right >= self.width:
            raise FrameError(
                f"windows of {self.window_height}x{self.window_width} cannot cover a map of "
                f"{self.height}x{self.width} by mirroring its edges; give a larger frame"
            )

    @property
    def rows(self) -> int:
        """Windows from top to bottom."""
        return -(-self.height // self.window_height)

    @property
    def columns(self) -> int:
        """Windows from left to right."""
        return -(-self.width // self.window_width)

    @property
    def pad_bottom(self) -> int:
        """Rows that the last windows hang over the bottom."""
        return self.rows * self.window_height - self.height

    @property
    def pad_right(self) -> int:
        """Columns that the last windows hang over the right edge."""
        return self.columns * self.window_width - self.width

    def cut(self, x_bchw: Tensor, channels: int) -> Tensor:
        """Return the windows row by row, [B,C,H,W] -> [B*N,C,h,w]; the overhang is mirrored."""
        x_bchw = _mirrored(x_bchw, -2, self.height, self.pad_bottom)
        x_bchw = _mirrored(x_bchw, -1, self.width, self.pad_right)
        window = (self.window_height, self.window_width)
        tiled = x_bchw.reshape(-1, channels, self.rows, window[0], self.columns, window[1])
        return tiled.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, *window)

    def put_back(self, windows: Tensor, channels: int) -> Tensor:
        """Return the map of its windows, [B*N,C,h,w] -> [B,C,H,W]; the overhang is dropped."""
        window = (self.window_height, self.window_width)
        tiled = windows.reshape(-1, self.rows, self.columns, channels, *window)
        padded = (self.rows * window[0], self.columns * window[1])
        x_bchw = tiled.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, *padded)
        if self.pad_bottom or self.pad_right:
            x_bchw = x_bchw[..., : self.height, : self.width]
        return x_bchw


def _mirrored(x_bchw: Tensor, axis: int, length: int, pad: int) -> Tensor:
    """Mirror `pad` lines beyond the end of an axis, without its last line.

    Reflecting `pad` as one lookup: torch's own becomes a chain of shape arithmetic in a graph.
    """
    if not pad:
        return x_bchw
    lines = np.pad(np.arange(length, dtype=np.int64), (0, pad), mode="reflect")
    return x_bchw.index_select(axis, constant(lines, like=x_bchw))
