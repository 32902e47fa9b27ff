"""Values of any type that records hold, by chance: for tests of what must hold for all of them."""

import random
import string
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def any_value(kind: Any, chance: random.Random) -> Any:
    """Return a value of a type; lists and objects have 0 to 3 entries."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        given = [field.name for field in fields(kind) if field.init]
        return kind(**{name: any_value(hints[name], chance) for name in given})
    arguments = get_args(kind)
    if get_origin(kind) in (UnionType, Union):
        return any_value(chance.choice(arguments), chance)
    if get_origin(kind) is tuple:
        many = arguments[-1] is Ellipsis
        kinds = arguments[:1] * chance.randrange(4) if many else arguments
        return tuple(any_value(each, chance) for each in kinds)
    if get_origin(kind) in (dict, Mapping):
        names = [any_value(str, chance) for _ in range(chance.randrange(4))]
        return {name: any_value(arguments[1], chance) for name in names}
    return _PLAIN[kind](chance)


def _text(chance: random.Random) -> str:
    letters = string.ascii_letters + ' ."\\|<&é世\n'
    return "".join(chance.choices(letters, k=chance.randrange(12)))


_PLAIN = {
    float: lambda chance: chance.choice((0.0, 3.0, chance.uniform(-1e6, 1e6), 5e-324, 1e308)),
    int: lambda chance: chance.randrange(-5, 10**12),
    str: _text,
    bool: lambda chance: chance.random() < 0.5,
    NoneType: lambda chance: None,
    Any: lambda chance: chance.choice((None, True, 2.5, "text", {"a": [1]}, [])),
}
