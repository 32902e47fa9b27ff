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
    retries: list[str] = []
    for less, sentence in _steps(options):
        retries.append(f"out of memory: {sentence}")
        if on_note is not None:
            on_note(retries[-1])
        try:
            return build(less), less, tuple(retries)
        except (OutOfMemoryError, MemoryError):
            continue
    raise _in_vain(first, retries) from first


def _steps(options: BuildOptions) -> Iterator[tuple[BuildOptions, str]]:
    """Each with all of the steps before."""
    lowered = tuple(SizeRange(*sizes[:2], sizes.best) for sizes in options.profiles)
    if lowered != options.profiles:
        options = replace(options, profiles=lowered)
        sizes = ", ".join(str(each) for each in lowered)
        yield options, f"built for sizes up to the best only, {sizes}"
    level = options.optimisation_level
    for lower in _LOWER_LEVELS:
        if lower < (_LIBRARYS_OWN_LEVEL if level is None else level):
            options = replace(options, optimisation_level=lower)
            yield options, f"built at optimisation level {lower}"


def _in_vain(first: BaseException, retries: list[str]) -> OutOfMemoryError:
    said = str(first) or "the computer ran out of memory while building"
    tried = "; ".join(each.removeprefix("out of memory: ") for each in retries)
    return OutOfMemoryError(
        f"{said}; "
        + (f"it failed too when {tried}; " if tried else "")
        + "free memory on the GPU and in the computer, or build for a smaller size",
        first.native_log if isinstance(first, EngineError) else "",
    )
