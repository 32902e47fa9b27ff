"""Named things: a plain object with explicit registration."""

import difflib
from collections.abc import Callable
from typing import Generic, TypeVar

from .errors import UsageError

T = TypeVar("T")


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
            close = difflib.get_close_matches(name, self._entries, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise UsageError(
                f"there is no {self._noun} '{name}'; {hint}known: {', '.join(self.names())}"
            )
        return self._entries[name]

    def names(self) -> list[str]:
        """Return the known names, sorted."""
        return sorted(self._entries)
