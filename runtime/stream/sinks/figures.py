"""What a sink tells of itself in the report."""

from collections.abc import Mapping


def told(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures that tell anything: what never happened is no news.

    >>> told({"segments": 3, "reconnects": 0})
    {'segments': 3}
    """
    return {name: value for name, value in figures.items() if value}
