"""Where tiles lie on a frame, and which of their pixels are used: arithmetic alone.

    frame   |--------------------------------------------|
    tiles   |-----used-----|~~|
                       |~~|------used------|~~|
                                       |~~|------used-----|      ~ halo: computed, not used

A tile's outer edge is the frame's own edge or lies a halo away from what is used of it, and tiles
begin on the size multiple, as the grids of a network that halves its maps do. So each pixel that
is used has seen what it would have seen in the whole frame.

All lengths are in pixels of the low-resolution frame, after padding.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from crispstream.core.errors import FrameError, UsageError
from crispstream.core.pixels import padded_size
from crispstream.core.sizes import Size, size_text

FEATHER_PX = 16
"""Half of the width in which tiles of a network without a halo fade into each other."""


class Span(NamedTuple):
    """A tile along one axis."""

    origin: int
    """Where it begins."""
    begin: int
    """From here on it is used."""
    end: int
    """Up to here, exclusive."""


@dataclass(frozen=True)
class Tiling:
    """How the frames of a network are cut."""

    tile: Size
    """Width and height of the largest tile; both divide by `size_multiple`."""
    halo_px: int
    """Pixels around another that can reach it; 0 where the whole frame can."""
    size_multiple: int

    @property
    def is_exact(self) -> bool:
        """Whether tiles give what the whole frame would; otherwise they are blended."""
        return self.halo_px > 0

    @property
    def margin_px(self) -> int:
        """How far what is used of a tile stays from its inner edges, blending aside."""
        return self.halo_px or FEATHER_PX

    @property
    def smallest_side(self) -> int:
        """The shortest side that a tile may have where a frame is longer.

        >>> Tiling((320, 180), halo_px=18, size_multiple=4).smallest_side
        40
        """
        return padded_size(2 * self.margin_px + self.size_multiple, 1, self.size_multiple)[0]

    def takes(self, height: int, width: int) -> bool:
        """Return whether a frame is no larger than a tile."""
        return width <= self.tile[0] and height <= self.tile[1]

    def check(self) -> None:
        """Refuse a tile that no larger frame can be cut into.

        Raises:
            UsageError: if a side does not divide by the size multiple, or has no room for the halo.
        """
        width, height = self.tile
        fit_height, fit_width = padded_size(height, width, self.size_multiple)
        if (fit_width, fit_height) != self.tile:
            raise UsageError(
                f"the sides of a tile of {size_text(self.tile)} px do not divide by "
                f"{self.size_multiple}, which this network needs; give {fit_width}x{fit_height}"
            )
        if min(self.tile) < self.smallest_side:
            raise UsageError(self._too_small(self.smallest_side, self.smallest_side))

    def plan(self, height: int, width: int) -> "Plan":
        """Return the tiles of a frame whose sides divide by `size_multiple`.

        Raises:
            FrameError: if the tiles are too small for their halo in a direction that is cut.
        """
        tile_width, tile_height = min(self.tile[0], width), min(self.tile[1], height)
        least_width = self.smallest_side if width > tile_width else 0
        least_height = self.smallest_side if height > tile_height else 0
        if tile_width < least_width or tile_height < least_height:
            raise FrameError(
                f"a frame of {width}x{height} px has to be cut, and "
                f"{self._too_small(least_width, least_height)}; or send smaller frames"
            )
        return Plan(
            tile_height,
            tile_width,
            spans(height, tile_height, self.margin_px, self.size_multiple),
            spans(width, tile_width, self.margin_px, self.size_multiple),
        )

    def _too_small(self, least_width: int, least_height: int) -> str:
        enough = max(self.tile[0], least_width), max(self.tile[1], least_height)
        what = "a halo" if self.is_exact else "a margin for blending"
        return (
            f"tiles of {size_text(self.tile)} px are too small: around what is used of a tile lies "
            f"{what} of {self.margin_px} px; take tiles of {size_text(enough)} px or larger "
            "(--tile, or --size for an export of one size)"
        )


class Plan(NamedTuple):
    """The tiles of a frame: each row of them with each column, and all of one size."""

    tile_height: int
    tile_width: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def tiles(self) -> int:
        """How many there are."""
        return len(self.rows) * len(self.columns)

    @property
    def overhead(self) -> float:
        """Pixels computed for each pixel of the frame.

        >>> round(Tiling((340, 200), halo_px=18, size_multiple=4).plan(360, 640).overhead, 3)
        1.181
        """
        frame_area = self.rows[-1].end * self.columns[-1].end
        return self.tiles * self.tile_height * self.tile_width / frame_area


def spans(length: int, tile: int, margin: int, multiple_of: int) -> tuple[Span, ...]:
    """Return the fewest tiles that cover `length`, spread evenly.

    All four divide by `multiple_of`, the margin aside. What two tiles share is parted in its
    middle, at least `margin` from the edge of either.

    >>> [tuple(span) for span in spans(100, 64, 18, 4)]
    [(0, 0, 40), (16, 40, 58), (36, 58, 100)]
    """
    if length <= tile:
        return (Span(0, 0, length),)
    step = (tile - 2 * margin) // multiple_of * multiple_of
    last = -(-(length - tile) // step)
    steps = (length - tile) // multiple_of
    origins = [index * steps // last * multiple_of for index in range(last + 1)]
    parted = [(one + tile + other) // 2 for one, other in pairwise(origins)]
    return tuple(map(Span, origins, [0, *parted], [*parted, length]))
