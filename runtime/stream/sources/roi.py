"""A region of interest: only a part of each frame is given."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.source import Source

_log = logging.getLogger("crispstream.stream")


class Region(NamedTuple):
    """A rectangle of a frame, in pixels; (0, 0) is the top left corner."""

    x: int
    y: int
    width: int
    height: int

    def lies_in(self, width: int, height: int) -> bool:
        """Return whether a frame of this size has all of it."""
        return self.x + self.width <= width and self.y + self.height <= height

    def __str__(self) -> str:
        """Return what `parse_roi` reads."""
        return ",".join(map(str, self))


def parse_roi(text: str) -> Region:
    """Return the region that "x,y,width,height" names.

    >>> parse_roi("100,50,320,180")
    Region(x=100, y=50, width=320, height=180)

    Raises:
        UsageError: for another form, or a region without a pixel.
    """
    match = re.fullmatch(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})", text.replace(" ", ""))
    region = Region(*map(int, match.groups())) if match else Region(0, 0, 0, 0)
    if not region.width or not region.height:
        raise UsageError(
            f"the region '{text}' is not X,Y,WIDTH,HEIGHT in pixels from the top left corner; "
            "give for instance 100,50,320,180"
        )
    return region


class RoiSource:
    """Gives a part of each frame of another source, as a view without a copy.

    A live stream may change its size. Frames that no longer hold the region are then left out and
    counted as lost, and it goes on when they hold it again; other sources end with an error.
    """

    def __init__(self, source: Source, region: Region) -> None:
        """Take the region out of `source`, which is closed with this.

        Raises:
            UsageError: if it does not lie in the source's frames.
        """
        whole = source.info
        if not region.lies_in(whole.width, whole.height):
            raise UsageError(
                f"the region {region} reaches to {region.x + region.width},"
                f"{region.y + region.height}, and the frames of the source are {whole.width}x"
                f"{whole.height} px; choose X + WIDTH up to {whole.width} and Y + HEIGHT up to "
                f"{whole.height}"
            )
        self._source, self._region = source, region
        self._info = replace(whole, width=region.width, height=region.height)

    @property
    def health(self) -> Health:
        """That of the source."""
        return self._source.health

    @property
    def info(self) -> StreamInfo:
        """That of the source, with the region's size."""
        return self._info

    @property
    def damaged(self) -> int:
        """That of the source."""
        return self._source.damaged

    def __iter__(self) -> Iterator[Frame]:
        """Give the part of each frame; see `Source`.

        Raises:
            SourceError: as the source, or if a frame of one that is not live lacks the region.
        """
        region = self._region
        rows = slice(region.y, region.y + region.height)
        columns = slice(region.x, region.x + region.width)
        missed = False
        for frame in self._source:
            if not self._holds(frame, told=missed):
                missed = True
                continue
            fresh, missed = frame.fresh or missed, False
            yield replace(frame, pixels_hwc=frame.pixels_hwc[rows, columns], fresh=fresh)

    def _holds(self, frame: Frame, *, told: bool) -> bool:
        """Return whether a frame has the region; note it as lost if not."""
        height, width, _ = frame.pixels_hwc.shape
        if self._region.lies_in(width, height):
            return True
        complaint = (
            f"frame {frame.serial} of '{self.health.name}' is {width}x{height} px and does not "
            f"hold the region {self._region}"
        )
        if not self._info.live:
            raise SourceError(f"{complaint}; choose one that all frames hold")
        self.health.lose(1)
        if not told:
            _log.warning("%s: left out until one does", complaint)
        return False

    def stop(self) -> None:
        """Stop the source."""
        self._source.stop()

    def close(self) -> None:
        """Close the source."""
        self._source.close()
