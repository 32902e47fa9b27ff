"""The names that the real bindings have: the JSON files beside this one, and code that uses them.

`read_bindings.py` writes the files; see there for what they list.
"""

import ast
import json
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

FOLDER = Path(__file__).parent
ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "runtime/engine"
TENSORRT = tuple(f"tensorrt-{version}" for version in ("10.0", "10.3", "10.7", "10.16", "11.4"))
RTX = "tensorrt-rtx-1.7"
SUPPORTED = (*TENSORRT, RTX)
TOO_OLD = "tensorrt-8.6"


@cache
def record_of(stem: str) -> dict[str, object]:
    """Return what a file holds: module, version, read_from, names."""
    record: dict[str, object] = json.loads((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    return record


@cache
def names_of(stem: str) -> frozenset[str]:
    """Return the public names: "Builder", "Builder.create_network", "BuilderFlag.TF32" ..."""
    return frozenset(record_of(stem)["names"])


def module_with(stem: str) -> ModuleType:
    """Return a module that has these names and can do nothing."""
    module = ModuleType(str(record_of(stem)["module"]))
    vars(module)["__version__"] = record_of(stem)["version"]
    for path in sorted(names_of(stem)):  # a class comes before what is in it
        *outer, name = path.split(".")
        owner: object = module
        for part in outer:
            owner = getattr(owner, part)
        setattr(owner, name, type(name, (), {}))
    return module


class Use(NamedTuple):
    """A dotted name that code takes from a module."""

    name: str
    """Without the module: "ProfilingVerbosity.DETAILED"."""
    file: str
    """Below the project's folder."""
    line: int
    asked_for: frozenset[str]
    """What the functions around it ask for with `hasattr`, or `getattr` with a default."""

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    def is_guarded(self) -> bool:
        """Whether the functions around it can do without a part of the name."""
        return bool(self.asked_for & set(self.name.split(".")))

    def lacking(self, names: frozenset[str]) -> str | None:
        """Return the first of "A" and "A.B" that is not among the names."""
        words = self.name.split(".")
        dotted = (".".join(words[: count + 1]) for count in range(len(words)))
        return next((each for each in dotted if each not in names), None)


def uses_in(file: Path, *roots: str) -> list[Use]:
    """Return what a file takes from a module that it calls `trt` or `self._trt`, for instance."""
    return list(_uses(_tree(file), file, roots, frozenset()))


def asked_in(file: Path) -> frozenset[str]:
    """Return every attribute that a file asks for."""
    return frozenset(_asked_for(_tree(file)))


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _uses(
    node: ast.AST, file: Path, roots: tuple[str, ...], asked: frozenset[str]
) -> Iterator[Use]:
    if isinstance(node, ast.FunctionDef):
        asked |= frozenset(_asked_for(node))
    if isinstance(node, ast.Attribute) and (name := _under(node, roots)):
        yield Use(name, file.relative_to(ROOT).as_posix(), node.lineno, asked)
        return
    for inner in ast.iter_child_nodes(node):
        yield from _uses(inner, file, roots, asked)


def _under(node: ast.Attribute, roots: tuple[str, ...]) -> str:
    """Return "A.B" of the expression `trt.A.B`, without what every Python object has."""
    text = ast.unparse(node)
    for root in roots:
        if text.startswith(f"{root}.") and text.replace(".", "").isidentifier():
            words = text.removeprefix(f"{root}.").split(".")
            return ".".join(takewhile(lambda word: not word.startswith("__"), words))
    return ""


def _asked_for(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            count = {"hasattr": 2, "getattr": 3}.get(call.func.id)
            if count == len(call.args) and isinstance(call.args[1], ast.Constant):
                yield str(call.args[1].value)
