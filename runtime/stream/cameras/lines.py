"""On which line of a TOML file a thing stands, which Python's reader does not tell.

A statement is found by reading lines until they are valid TOML by themselves: the end of a line
outside of all brackets and quotes ends a statement, and inside of any it cannot be valid.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KeyPath = tuple[str | int, ...]
"""Keys from the outermost table inwards; a number counts the values of a list from 0."""
ParseError = tomllib.TOMLDecodeError


class _Statement(NamedTuple):
    line: int
    lines: Sequence[str]
    content: Mapping[str, Any] | None
    """None where the file ends before the statement does."""


class Lines:
    r"""Where the keys of a TOML text stand, counted from 1.

    >>> lines = Lines('a = 1\n[door]  # front\nsinks = [\n  "x",\n  "y",\n]')
    >>> lines.of(("a",)), lines.of(("door",)), lines.of(("door", "sinks", 1))
    (1, 2, 5)
    """

    def __init__(self, text: str) -> None:
        """Read a text that may be broken; what stands before the fault is found."""
        self._places: dict[KeyPath, _Statement] = {}
        self.last = 1
        """Where the last statement begins."""
        table: KeyPath = ()
        for statement in _statements(text):
            self.last = statement.line
            if statement.content is None:
                break
            found = list(_paths(statement.content))
            if statement.lines[0].lstrip().startswith("["):
                table = found[-1]
            else:
                found = [(*table, *path) for path in found]
            for path in found:
                self._places.setdefault(path, statement)

    def has(self, path: KeyPath) -> bool:
        """Return whether there is such a key."""
        return path in self._places

    def of(self, path: KeyPath) -> int:
        """Return the line of a key or a list's value; of what it would be in, if it is not there.

        The first line, for what belongs to the whole file.
        """
        for length in range(len(path), 0, -1):
            if statement := self._places.get(path[:length]):
                rest = path[length : length + 1]
                return statement.line + (_line_in_list(statement, rest[0]) if rest else 0)
        return 1


def parse(text: str) -> Mapping[str, Any]:
    """Return what a TOML text says.

    Raises:
        ParseError: if it is no TOML.
    """
    content: Mapping[str, Any] = tomllib.loads(text)
    return content


def _statements(text: str) -> Iterator[_Statement]:
    begun, lines = 0, list[str]()
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not lines and line.strip(" \t").partition("#")[0] == "":
            continue
        begun = begun if lines else number
        lines.append(line)
        try:
            content = parse("\n".join(lines))
        except ParseError:
            continue
        yield _Statement(begun, lines, content)
        lines = []
    if lines:
        yield _Statement(begun, lines, None)


def _paths(content: Mapping[str, Any]) -> Iterator[KeyPath]:
    """Give the path of each key, outer ones first."""
    for key, value in content.items():
        yield (key,)
        if isinstance(value, Mapping):
            yield from ((key, *path) for path in _paths(value))


def _line_in_list(statement: _Statement, index: str | int) -> int:
    """Return how many lines below its key a list's value stands; 0 if it is no list."""
    if not isinstance(index, int):
        return 0
    last = len(statement.lines) - 1
    for below in range(last):
        try:
            begun = parse("\n".join((*statement.lines[: below + 1], "]")))
        except ParseError:
            continue
        if _innermost_length(begun) > index:
            return below
    return last if _innermost_length(statement.content) > index else 0


def _innermost_length(content: Any) -> int:  # noqa: ANN401 - any TOML value
    while isinstance(content, Mapping):
        content = next(iter(content.values()))
    return len(content) if isinstance(content, list) else 0
