"""Named things: a plain object with explicit registration."""

import difflib
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from .errors import UsageError

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question with the closest known name, whatever its case; empty if none is close.

    >>> did_you_mean("GFN", ["cnlrn", "gfn"]), did_you_mean("edge", ["gfn"])
    ("did you mean 'gfn'? ", '')
    """
    names = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(name.lower(), names, n=1)
    return f"did you mean '{names[close[0]]}'? " if close else ""


class Registry(Generic[T]):
    """Maps names to things; duplicates are a bug, unknown names are the user's.

    >>> colours: Registry[int] = Registry("colour")
    >>> @colours.register("red")
    ... def red() -> int:
    ...     return 0xFF0000
    >>> colours.names()
    ['red']
    """

    def __init__(self, noun: str) -> None:
        """`noun` names one entry in messages: "model", "recipe"."""
        self._noun = noun
        self._entries: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Return a decorator that files a factory under `name`.

        Raises:
            ValueError: if the name is taken.
        """
        if name in self._entries:
            raise ValueError(f"{self._noun} '{name}' is registered twice")

        def keep(factory: Callable[..., T]) -> Callable[..., T]:
            self._entries[name] = factory
            return factory

        return keep

    def get(self, name: str) -> Callable[..., T]:
        """Return the factory filed under `name`.

        Raises:
            UsageError: naming the known entries and the closest spelling.
        """
        if name not in self._entries:
            raise UsageError(
                f"there is no {self._noun} '{name}'; {did_you_mean(name, self._entries)}"
                f"known: {', '.join(self.names())}"
            )
        return self._entries[name]

    def names(self) -> list[str]:
        """Return the known names, sorted."""
        return sorted(self._entries)
