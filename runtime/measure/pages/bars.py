"""Costs of layers as bars, one a row: HTML rather than SVG, for the names have to wrap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeVar

from .frame import breakable

Item = TypeVar("Item")
MOST_ROWS = 48


@dataclass(frozen=True)
class Bar:
    """One row."""

    name: str
    value: str
    share: float
    """Of the longest, 0 to 1."""
    kind: str = "work"
    """Style class."""
    behind: float = 0.0
    """A paler bar behind it, likewise."""


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Return the rows in their order."""
    told = "".join(
        f'<li><span class="name">{breakable(row.name)}</span>'
        f'<span class="value">{escape(row.value)}</span>'
        f'<span class="track">{_track(row)}</span></li>'
        for row in rows
    )
    return f'<ol class="bars" aria-label="{escape(title)}">{told}</ol>'


def _track(row: Bar) -> str:
    behind = f'<i class="behind" style="width:{100 * row.behind:.2f}%"></i>' if row.behind else ""
    return f'{behind}<i class="{row.kind}" style="width:{100 * row.share:.2f}%"></i>'


def neighbours(
    items: Sequence[Item], cost: Callable[[Item], float], most: int = MOST_ROWS
) -> list[tuple[Item, ...]]:
    """Return the items in order, small ones in a row together where there are more than `most`.

    >>> neighbours([5, 1, 1, 7, 2], float, most=4)
    [(5,), (1, 1), (7,), (2,)]
    """
    if len(items) <= most:
        return [(item,) for item in items]
    dearest = sorted(range(len(items)), key=lambda index: -cost(items[index]))[: most // 2]
    groups: list[list[Item]] = []
    alone = set(dearest)
    for index, item in enumerate(items):
        if not groups or index in alone or index - 1 in alone:
            groups.append([])
        groups[-1].append(item)
    return [tuple(group) for group in groups]


def group_name(names: Sequence[str]) -> str:
    """Return what a group of layers is called.

    >>> group_name(["/a"]), group_name(["/a", "/b", "/c"])
    ('/a', '/a and 2 more')
    """
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
