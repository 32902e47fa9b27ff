"""What the comparison of two records came to, as a record: kind "comparison"."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from crispstream.runtime.measure.figures import Ratio

KIND = "comparison"
SCHEMA = 1
"""Raised when a key changes its name or meaning, not when one is added."""

VERDICTS = ("slower", "faster", "no difference")
"""Of `figures.Ratio`."""
NOT_TESTED = "not tested"

Both = tuple[float, float]
"""A figure of A and the same of B."""


@dataclass(frozen=True)
class Side:
    """One of the two records."""

    path: str
    created: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class Difference:
    """What is not the same in both besides the figures that are compared."""

    key: str
    """Its path in the records, "settings.threads"; readings are means over the run."""
    a: str
    """As text; "" where A has no such key."""
    b: str


@dataclass(frozen=True)
class Row:
    """One thing that both have, and its times."""

    name: str
    """Of the variant, the stage or the layer."""
    scope: str
    """What the times hold, one of `bench.record.SCOPES`; "" where there is no choice."""
    a_ms: float
    """Median; of a plan the time at the roof."""
    b_ms: float
    ratio: float | None
    """B over A, above 1 is slower: of the medians of rounds where it is tested, else of the two
    times; None where A took no time."""
    tested: Ratio | None
    """With its interval; None where there is nothing to test with."""
    verdict: str
    """One of `VERDICTS`, or not tested."""
    figures: Mapping[str, Both] = field(default_factory=dict)
    """The rest of the distribution: "p95_ms" -> (A, B)."""


@dataclass(frozen=True)
class Comparison:
    """Two records of one kind: B against A."""

    of: str
    """Their kind."""
    a: Side
    b: Side
    differs: tuple[Difference, ...]
    """May be the reason for what follows."""
    rows: tuple[Row, ...]
    """Variants and scopes, or stages, or the whole graph of a plan."""
    layers: tuple[Row, ...]
    """By the ONNX nodes that they compute, those that changed most first; engine by engine they add
    up to all layers."""
    figures: Mapping[str, Both]
    """Others of the whole record, by the path of their key."""
    only_a: tuple[str, ...]
    """What B lacks."""
    only_b: tuple[str, ...]
    notes: tuple[str, ...]
    """What a reader must know."""
    kind: str = field(default=KIND, init=False)
    schema: int = field(default=SCHEMA, init=False)

    def as_json(self) -> dict[str, Any]:
        """Return the record for JSON."""
        return {"kind": self.kind, "schema": self.schema} | asdict(self)


def ratio_of(a_ms: float, b_ms: float) -> float | None:
    """Return B over A; None where that is no number, or none that a float can hold.

    >>> ratio_of(2.0, 3.0), ratio_of(0.0, 3.0)
    (1.5, None)
    """
    ratio = b_ms / a_ms if a_ms else math.inf
    return ratio if math.isfinite(ratio) else None


def row(
    name: str,
    a_ms: float,
    b_ms: float,
    *,
    scope: str = "",
    tested: Ratio | None = None,
    figures: Mapping[str, Both] | None = None,
) -> Row:
    """Return a row with its ratio and verdict."""
    return Row(
        name=name,
        scope=scope,
        a_ms=a_ms,
        b_ms=b_ms,
        ratio=ratio_of(a_ms, b_ms) if tested is None else tested.median,
        tested=tested,
        verdict=NOT_TESTED if tested is None else tested.verdict,
        figures=figures or {},
    )
