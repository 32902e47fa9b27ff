"""What can be read of a stream while it runs, by whoever looks on from another thread."""

from collections.abc import Callable
from dataclasses import dataclass

from crispstream.runtime.latency import Latencies
from crispstream.runtime.restorer import Restorer

from .drift import DriftWatch
from .health import STATES
from .ladder.use import LadderUse
from .ledger import Ledger
from .source import Source

WATCHED_STATES = (*STATES, "failed")
"""Those of a source, and `failed`: an error ended the stream."""


def _no_ladder() -> LadderUse | None:
    return None


@dataclass
class Watched:
    """One stream as far as it has come: nothing is measured or copied until somebody reads it.

    What runs the stream puts the parts in as it makes them; each is safe to read at any time.
    """

    name: str
    """Of the camera."""
    model: Restorer | None = None
    """The only one, or the best rung of a ladder."""
    source: Source | None = None
    ledger: Ledger | None = None
    drift: DriftWatch | None = None
    """None also where nothing watches the input."""
    ladder: Callable[[], LadderUse | None] = _no_ladder
    """What each rung did; None without a ladder."""
    turns: Latencies | None = None
    """How long frames waited for an engine that several cameras share: `turn`."""
    outcome: str = ""
    """`ended` or `failed`, once that is known; the source tells before."""

    @property
    def state(self) -> str:
        """One of `WATCHED_STATES`.

        >>> Watched("door").state, Watched("door", outcome="failed").state
        ('connecting', 'failed')
        """
        if self.outcome:
            return self.outcome
        return "connecting" if self.ledger is None else self.ledger.health.state
