"""Dataclasses from JSON content, by their type hints; what does not fit is told with its path.

Reads what records are made of: numbers, text, booleans, None, tuples, mappings with text as keys,
unions, and dataclasses of these. Fields with `init=False` are constants of a record and are left
to whoever reads the file. Keys that a dataclass does not know are left out: a newer kit may have
added them. A key that is missing gets the field's default, for an older kit did not write it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

_T = TypeVar("_T")
_LONGEST_SHOWN = 40


class MisfitError(ValueError):
    """Content differs from what its type hint says; the text tells where and what is expected."""


def from_json(kind: type[_T], content: object, where: str = "") -> _T:
    """Return a dataclass made of JSON content; `where` is its path in the whole file.

    >>> from crispstream.runtime.measure.figures import Misses
    >>> from_json(Misses, {"deadline_ms": 40, "missed": 1, "of": 9, "in_a_row": 1}).deadline_ms
    40.0

    Raises:
        MisfitError: naming the path of the key, what was found there and what is expected.
        TypeError: if a type hint is of a sort that is not read; see the top of this file.
    """
    made: _T = _read(kind, content, where)
    return made


def printable(content: Any) -> Any:  # noqa: ANN401 - JSON content
    r"""Return JSON content with characters that no terminal prints, such as ESC, written out.

    A record may be from anywhere, and its names end up in terminals and on pages.

    >>> printable({"a": ["\x1b[31m", 1, "two\nlines"]})
    {'a': ['\\x1b[31m', 1, 'two\nlines']}
    """
    if isinstance(content, str):
        return content if content.isprintable() else "".join(map(_escaped, content))
    if isinstance(content, list):
        return [printable(item) for item in content]
    if isinstance(content, dict):
        return {printable(key): printable(item) for key, item in content.items()}
    return content


def _escaped(character: str) -> str:
    keeps = character.isprintable() or character == "\n"
    return character if keeps else repr(character)[1:-1]


def shown(value: object) -> str:
    """Return a value as messages show it, cut where it is long.

    >>> shown({}), shown([1]), shown("a"), shown(None), shown(True), shown(2.5)
    ('an object', 'a list', "the text 'a'", 'null', 'true', '2.5')
    """
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {_cut(value)!r}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _cut(f"{value}")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _read(kind: Any, value: object, where: str) -> Any:  # noqa: ANN401 - as the hint says
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _dataclass(kind, _mapping(value, where), where)
    origin = get_origin(kind)
    if origin in (UnionType, Union):
        return _union(get_args(kind), value, where)
    if origin is tuple:
        return _tuple(get_args(kind), value, where)
    if origin in (dict, Mapping):
        item = get_args(kind)[1]
        return {key: _read(item, each, _at(where, key)) for key, each in _mapping(value, where)}
    return _plain(kind, value, where)


def _at(where: str, key: str) -> str:
    """Return the path of a key below a path, on one line."""
    told = key if key.isprintable() else repr(key)
    return f"{where}.{told}" if where else told


def _mapping(value: object, where: str) -> Any:  # noqa: ANN401 - the items of a JSON object
    if not isinstance(value, dict):
        raise _misfit("an object", value, where)
    return value.items()


def _dataclass(kind: Any, items: Any, where: str) -> Any:  # noqa: ANN401 - see `_read`
    content, hints = dict(items), _hints(kind)
    given = {}
    for field in fields(kind):
        if not field.init:
            continue
        at = _at(where, field.name)
        if field.name in content:
            given[field.name] = _read(hints[field.name], content[field.name], at)
        elif _required(field):
            raise MisfitError(f"the key '{at}' is missing; expected {_words(hints[field.name])}")
    return kind(**given)


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _required(field: "Field[Any]") -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _union(kinds: tuple[Any, ...], value: object, where: str) -> Any:  # noqa: ANN401 - see `_read`
    if value is None and NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not NoneType]
    if len(rest) == 1:  # so that a message tells the path inside of it
        return _read(rest[0], value, where)
    for kind in rest:  # plain ones: records have no choice between dataclasses
        if _FITS[kind](value):
            return _plain(kind, value, where)
    raise _misfit(" or ".join(map(_words, kinds)), value, where)


def _tuple(kinds: tuple[Any, ...], value: object, where: str) -> Any:  # noqa: ANN401 - see `_read`
    if not isinstance(value, list):
        raise _misfit("a list", value, where)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    elif len(kinds) != len(value):
        raise MisfitError(f"'{where}' has {len(value)} entries; expected {len(kinds)}")
    pairs = zip(kinds, value, strict=True)
    return tuple(_read(kind, item, f"{where}[{n}]") for n, (kind, item) in enumerate(pairs))


_WORDS = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}


def _words(kind: Any) -> str:  # noqa: ANN401 - a type hint
    """Return what is expected, in words."""
    if kind is NoneType:
        return "null"
    if get_origin(kind) in (UnionType, Union):
        return " or ".join(map(_words, get_args(kind)))
    return _WORDS.get(kind) or ("a list" if get_origin(kind) is tuple else "an object")


def _is_number(value: object) -> bool:
    """Whether it is a finite number that a float can hold; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


_FITS: dict[Any, Callable[[object], bool]] = {
    float: _is_number,
    int: lambda value: isinstance(value, int) and _is_number(value),
    str: lambda value: isinstance(value, str),
    bool: lambda value: isinstance(value, bool),
}


def _plain(kind: Any, value: object, where: str) -> Any:  # noqa: ANN401 - see `_read`
    if kind not in _FITS:
        raise TypeError(f"'{where}' is of type {kind}, which records do not hold")
    if not _FITS[kind](value):
        raise _misfit(_WORDS[kind], value, where)
    return float(value) if kind is float else value  # type: ignore[arg-type]


def _misfit(expected: str, value: object, where: str) -> MisfitError:
    what = f"'{where}' is" if where else "the content is"
    return MisfitError(f"{what} {shown(value)}; expected {expected}")
