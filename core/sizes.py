"""Frame sizes as people write them: 320x180, or a range 160x96:320x180:640x360."""

import re
from typing import NamedTuple

from .errors import UsageError

Size = tuple[int, int]
"""(width, height) in pixels."""

LONGEST_SIDE_PX = 16384
"""No camera is wider; four times as much is what image formats can hold (JPEG: 65535)."""


def parse_size(text: str) -> Size:
    """Return (width, height) of a size in pixels.

    >>> parse_size("320x180")
    (320, 180)

    Raises:
        UsageError: if the text is not WIDTHxHEIGHT, or a side is longer than LONGEST_SIDE_PX.
    """
    match = re.fullmatch(r"([1-9]\d{0,8})x([1-9]\d{0,8})", text.strip().lower())
    if not match:
        raise UsageError(
            f"the size '{text}' is not WIDTHxHEIGHT in pixels; give for instance 320x180"
        )
    width, height = int(match[1]), int(match[2])
    if max(width, height) > LONGEST_SIDE_PX:
        raise UsageError(
            f"the size {width}x{height} has a side of more than {LONGEST_SIDE_PX} pixels; "
            "give the size of the frames before they are enlarged"
        )
    return width, height


def size_text(size: Size) -> str:
    """Return the usual spelling.

    >>> size_text((320, 180))
    '320x180'
    """
    return f"{size[0]}x{size[1]}"


class SizeRange(NamedTuple):
    """The frame sizes that one profile of an engine takes; all three equal where it is static.

    >>> SizeRange.parse("160x96:320x180:640x360").takes(320, 96)
    True
    """

    smallest: Size
    best: Size
    """The size that kernels are chosen for."""
    largest: Size

    @staticmethod
    def only(size: Size) -> "SizeRange":
        """Return the range of one size."""
        return SizeRange(size, size, size)

    @staticmethod
    def parse(text: str) -> "SizeRange":
        """Return the range that `320x180` or `SMALLEST:BEST:LARGEST` names.

        Raises:
            UsageError: for another form, or sizes that do not grow.
        """
        sizes = [parse_size(part) for part in text.split(":")]
        if len(sizes) == 1:
            return SizeRange.only(sizes[0])
        if len(sizes) != 3:
            raise UsageError(
                f"the sizes '{text}' are not SIZE or SMALLEST:BEST:LARGEST; give for instance "
                "320x180 or 160x96:320x180:640x360"
            )
        for side in (0, 1):
            if not sizes[0][side] <= sizes[1][side] <= sizes[2][side]:
                raise UsageError(
                    f"the sizes '{text}' must not shrink from smallest to best to largest, in "
                    "width or in height; give for instance 160x96:320x180:640x360"
                )
        return SizeRange(*sizes)

    @property
    def is_static(self) -> bool:
        """Whether it is one size."""
        return self.smallest == self.largest

    def takes(self, width: int, height: int) -> bool:
        """Return whether frames of this size fit."""
        return (
            self.smallest[0] <= width <= self.largest[0]
            and self.smallest[1] <= height <= self.largest[1]
        )

    def __str__(self) -> str:
        """Return what `parse` reads."""
        return size_text(self.best) if self.is_static else ":".join(map(size_text, self))
