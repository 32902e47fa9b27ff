"""What is wrong with a file of cameras: each fault with its line, and all of them at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from crispstream.core.errors import CrispstreamError, UsageError

from .keys import in_keys


class Place(NamedTuple):
    """A line of a file of cameras.

    >>> str(Place(Path("cameras.toml"), 7))
    'cameras.toml:7'
    """

    path: Path
    line: int
    """Counted from 1."""

    def __str__(self) -> str:
        """Return it as editors and compilers write it."""
        return f"{self.path}:{self.line}"


class FaultError(UsageError):
    """Something wrong at one place.

    Attributes:
        place: where.
    """

    def __init__(self, place: Place, sentence: str) -> None:
        """Put the place in front of the sentence."""
        super().__init__(f"{place}: {sentence}")
        self.place = place


class Faults:
    """All that is wrong with a file."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._found: list[FaultError] = []

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._found)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the fault that is raised in here, and go on behind."""
        try:
            yield
        except FaultError as fault:
            self._found.append(fault)

    def raise_all(self) -> None:
        """Raise UsageError if there are any: a line for each, once, in the order of the file."""
        ordered = sorted(self._found, key=lambda fault: fault.place.line)
        if ordered:
            raise UsageError("\n".join(dict.fromkeys(str(fault) for fault in ordered)))


@contextmanager
def at(place: Place) -> Iterator[None]:
    """Make what is raised in here a fault at a place, in the words of a file of cameras."""
    try:
        yield
    except FaultError:
        raise
    except CrispstreamError as error:
        raise FaultError(place, in_keys(str(error))) from error
