"""A build that ran out of memory is tried again with less.

What TensorRT logs then, collected from reports by its users and own builds with little memory:
"OutOfMemory (no further information)", "Cuda Runtime (out of memory)", "Requested amount of GPU
memory (... bytes) could not be allocated", "Skipping tactic ... due to insufficient memory",
"User allocator error allocating ...-byte buffer", "Unexpected exception std::bad_alloc". The number
alone says nothing: "Error Code 2" is an internal error too. Often the last line is another, "Could
not find any implementation for node", because every kernel was skipped.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from crispstream.core.errors import EngineError
from crispstream.core.sizes import SizeRange

from .options import BuildOptions

_MEMORY = re.compile(
    r"out ?of ?memory|insufficient memory|could not be allocated|error allocating|bad_alloc",
    re.IGNORECASE,
)
_LOWER_LEVELS = (2, 0)
_LIBRARYS_OWN_LEVEL = 3

_AT_LEVEL = "at optimisation level "

Note = Callable[[str], None]
"""Called with a sentence that the user should read."""
T = TypeVar("T")


class OutOfMemoryError(EngineError):
    """A build for which the memory did not suffice; less may be asked for."""


def speaks_of_memory(lines: Iterable[str]) -> bool:
    """Return whether a library's log says that memory was missing.

    >>> speaks_of_memory(["Error Code 2: OutOfMemory (no further information)"])
    True
    >>> speaks_of_memory(["Error Code 2: Internal Error (Assertion false failed)"])
    False
    """
    return any(_MEMORY.search(line) for line in lines)


def build_with_less(
    build: Callable[[BuildOptions], T], options: BuildOptions, on_note: Note | None = None
) -> tuple[T, BuildOptions, tuple[str, ...]]:
    """Build, and on lack of memory again with less; return it, the last orders and the sentences.

    First the largest size of every range is lowered to its best, as memory grows with it; then the
    optimisation level, as fewer kernels are tried. A static size is never changed.

    Raises:
        EngineError: with the first failure if nothing helps; any other failure at once.
    """
    try:
        return build(options), options, ()
    except (OutOfMemoryError, MemoryError) as error:
        first = error
    tried: list[str] = []
    for less, how in _steps(options):
        tried.append(how)
        if on_note is not None:
            on_note(f"out of memory; trying again {how}")
        try:
            return build(less), less, tuple(f"out of memory: built {each}" for each in tried)
        except (OutOfMemoryError, MemoryError):
            continue
    raise _in_vain(first, tried) from first


def _steps(options: BuildOptions) -> Iterator[tuple[BuildOptions, str]]:
    """Each with all of the steps before, and how it is to be built."""
    lowered = tuple(SizeRange(*sizes[:2], sizes.best) for sizes in options.profiles)
    if lowered != options.profiles:
        options = replace(options, profiles=lowered)
        sizes = ", ".join(str(each) for each in lowered)
        yield options, f"for sizes up to the best only, {sizes}"
    level = options.optimisation_level
    for lower in _LOWER_LEVELS:
        if lower < (_LIBRARYS_OWN_LEVEL if level is None else level):
            options = replace(options, optimisation_level=lower)
            yield options, f"{_AT_LEVEL}{lower}"


def _in_vain(first: BaseException, tried: list[str]) -> OutOfMemoryError:
    said = str(first) or "the computer ran out of memory while building"
    return OutOfMemoryError(
        f"{said}; "
        + (f"it failed too {_together(tried)}; " if tried else "")
        + "free memory on the GPU and in the computer, or build for a smaller size",
        first.native_log if isinstance(first, EngineError) else "",
    )


def _together(tried: list[str]) -> str:
    """Return what was tried, the levels in one phrase.

    >>> _together(["at optimisation level 2", "at optimisation level 0"])
    'at optimisation levels 2 and 0'
    """
    levels = [how.removeprefix(_AT_LEVEL) for how in tried if how.startswith(_AT_LEVEL)]
    phrases = [how for how in tried if not how.startswith(_AT_LEVEL)]
    if levels:
        plural = "s" if len(levels) > 1 else ""
        phrases.append(f"{_AT_LEVEL.rstrip()}{plural} {' and '.join(levels)}")
    return ", and ".join(phrases)
