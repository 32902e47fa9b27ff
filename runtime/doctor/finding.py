"""What a check found: one fact of the machine, and the line that mends it."""

from typing import Literal, NamedTuple

State = Literal["fine", "note", "problem"]
"""A note is worth knowing and needs no mending; a problem keeps the kit from what is installed."""


class Finding(NamedTuple):
    """One fact."""

    topic: str
    """What it is about, in a word or two."""
    state: State
    seen: str
    """What was seen, in words."""
    fix: str = ""
    """The line to type; every problem has one, a note where there is something to gain."""
