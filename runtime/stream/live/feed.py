"""One connection to something live: opened, read and closed, then thrown away.

Whoever gives pictures live - a network stream, a camera, a pipeline - is a Feed; `reconnect`
makes a Source of it, which opens another Feed when one breaks.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple, Protocol

from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Colour

LONGEST_READ_SECONDS = 2.0
"""A read returns or raises within this time, so that a stream can be told to stop."""


class FeedEnded(Exception):  # noqa: N818 (what it says is no error)
    """The feed came to the end of what it reads, as a file does: another one would begin anew."""


class Picture(NamedTuple):
    """One picture of a feed."""

    pixels_hwc: Bytes
    """uint8 [H,W,3] BGR; read only, and never written to again: it travels on while the next
    picture is read."""
    pts: int | None
    """Presentation time in units of the feed's time base; None where the feed has no clock."""
    duration: int = 0
    """How long it is shown, in the same units; 0 where unknown."""
    skipped: int = 0
    """Pictures before this one that the feed knows it lost."""


class Feed(Protocol):
    """A connection; one thread at a time opens, reads and closes it, not always the same one.

    Attributes:
        time_base: seconds per unit of the pictures' `pts`.
        frame_rate: nominal frames per second; None where it is free.
        colour: the mapping the pictures were converted with, right from the first one on.
    """

    time_base: Fraction
    frame_rate: Fraction | None
    colour: Colour

    def read(self) -> Picture | None:
        """Wait for the next picture, at most `LONGEST_READ_SECONDS`.

        Returns None where the connection is alive but has no picture yet, as before the first
        keyframe.

        Raises:
            SourceError: if nothing came in that time, or the connection broke or ended.
            FeedEnded: if there were pictures and never will be any more; again at each read.
        """

    def close(self) -> None:
        """Let go of the connection, whatever state it is in; calling it twice does no harm."""


OpenFeed = Callable[[], Feed]
"""Opens a connection within about 5 s, or raises SourceError, or UsageError for what no
second try can mend: an unknown option, a missing package."""
