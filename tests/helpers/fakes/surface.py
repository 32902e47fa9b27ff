"""The surface of a library's bindings, laid over fakes: which names they have, which were used.

A fake module made for TensorRT 10.3, say, has only the names that 10.3 has, and notes every one
that the code under test touched. A name is "Runtime" on the module, "Runtime.logger" in a class.
Names with a leading underscore are free.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any


@dataclass(eq=False)
class Surface:
    """What there is, and what was touched of it."""

    names: frozenset[str] | None = None
    """All names there are; None: those that the fakes have."""
    touched: set[str] = field(default_factory=set)
    """Names that were read, set or called, and are there."""
    refused: set[str] = field(default_factory=set)
    """Names that were asked for and are not there."""
    absent: frozenset[str] = frozenset()
    """With no `names`: what the fakes have and this library has not."""

    def has(self, name: str) -> bool:
        """Return whether the library has a name that the fakes have."""
        return name not in self.absent if self.names is None else name in self.names

    def touch(self, name: str, *, faked: bool) -> None:
        """Note a name; refuse one that the library has not, as its bindings would.

        Raises:
            AttributeError: if the library has no such name.
            AssertionError: if it has, but the fake does not: `hasattr` must not tell a lie.
        """
        if not self.has(name) or (self.names is None and not faked):
            self.refused.add(name)
            raise AttributeError(f"the library that is faked has no {name}")
        if not faked:
            raise AssertionError(f"the library has {name}, its fake has not: add it to the fake")
        self.touched.add(name)


class _SurfacedType(type):
    """Watches names read from the class itself, such as the members of an enum."""

    def __getattribute__(cls, name: str) -> Any:
        if not name.startswith("_"):
            _touch(cls, name)
        return super().__getattribute__(name)


class Surfaced(metaclass=_SurfacedType):
    """Base of a fake class. `surfaced_copies` makes the ones that are used."""

    _surface: Surface
    _binding: str

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            _touch(type(self), name)
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            _touch(type(self), name)
        super().__setattr__(name, value)

    def _own(self, name: str) -> Any:
        """Return a public attribute without touching it: for the fakes themselves."""
        return object.__getattribute__(self, name)


class FakeModule(ModuleType):
    """A module whose names are watched too."""

    def __init__(self, name: str, surface: Surface, content: Mapping[str, Any]) -> None:
        super().__init__(name)
        vars(self).update(content)
        vars(self)["_surface"] = surface

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            own = object.__getattribute__(self, "__dict__")
            own["_surface"].touch(name, faked=name in own)
        return super().__getattribute__(name)


def _touch(cls: type, name: str) -> None:
    """Note a name of the nearest class of the library; what its users add is theirs."""
    for base in type.__getattribute__(cls, "__mro__"):
        own = type.__getattribute__(base, "__dict__")
        if "_binding" in own:
            faked = any(name in type.__getattribute__(b, "__dict__") for b in base.__mro__)
            own["_surface"].touch(f"{own['_binding']}.{name}", faked=faked)
            return
        if name in own:
            return


def surfaced_copies(
    surface: Surface, templates: Mapping[str, type], shared: Mapping[str, Any]
) -> dict[str, type]:
    """Return the classes that a library has, by name: copies with its surface.

    Each copy has `shared` as class attributes, and `_classes`, where it finds the others.
    """
    copies: dict[str, type] = {}
    for name, template in templates.items():
        extra = {"_surface": surface, "_binding": name, "_classes": copies, **shared}
        copies[name] = type(name.rpartition(".")[2], (template,), extra)
    return copies


def enum_copy(surface: Surface, binding: str, members: Mapping[str, int]) -> type:
    """Return a fake of a pybind11 enum, with the members that the library has."""
    cls = type(binding.rpartition(".")[2], (FakeEnum,), {"_surface": surface, "_binding": binding})
    cls._all = {name: cls(name, value) for name, value in members.items()}
    cls.__members__ = {n: each for n, each in cls._all.items() if surface.has(f"{binding}.{n}")}
    for name, member in cls.__members__.items():
        setattr(cls, name, member)
    return cls


class FakeEnum(Surfaced):
    """A member of an enum: has a name and a value, compares and converts as an integer."""

    __members__: dict[str, "FakeEnum"]
    _all: dict[str, "FakeEnum"]
    """Members of the library and others: for the fakes themselves."""

    def __init__(self, name: str, value: int) -> None:
        self._name, self._value = name, value

    @property
    def name(self) -> str:
        return self._name

    @property
    def value(self) -> int:
        return self._value

    @property
    def itemsize(self) -> int:  # of data types alone
        return {"FLOAT": 4, "HALF": 2, "INT32": 4}.get(self._name, 1)

    def __int__(self) -> int:
        return self._value

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FakeEnum) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __le__(self, other: "FakeEnum") -> bool:
        return self._value <= other._value

    def __lt__(self, other: "FakeEnum") -> bool:
        return self._value < other._value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self._name}: {self._value}>"
