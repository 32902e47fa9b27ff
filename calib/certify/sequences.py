"""What a recurrent graph does from its first frame on, set against the fp32 graph.

A certificate's own figures are of the last frames of sequences, with the memory in place. A first
frame is what a viewer sees after a cut, and between the two shows whether what is carried drifts
away from what fp32 carries.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from crispstream.calib.quantise.graph import GraphView
from crispstream.core.metrics import mean_of, psnr_db
from crispstream.core.sequences import FRAMES, arriving

from .judge import Judged, Restore, judge, yardstick_of
from .pairs import Fitted


def sequence_frames(fp32: GraphView) -> int:
    """Return how many frames lead up to the one that a graph is judged on, that one included."""
    return FRAMES if fp32.state_inputs else 1


class Way(NamedTuple):
    """Figures of one graph."""

    first: Judged
    """Of its first frames."""
    departures_db: Sequence[float]
    """PSNR to fp32 at each place in the sequences, mean over pairs."""

    def as_certificate(self) -> dict[str, Any]:
        """Return what a graph's entry keeps of them."""
        return {
            "sequence_frames": len(self.departures_db),
            "first_frame": asdict(self.first),
            "psnr_to_fp32_by_place_db": list(self.departures_db),
        }


class OnTheWay:
    """Judges graphs by their first frames and by what becomes of them."""

    def __init__(self, exact: Restore, pairs: Sequence[Fitted]) -> None:
        """Run the fp32 graph on first frames."""
        self._exact = exact
        self._pairs = pairs
        self._first = yardstick_of(exact, pairs)

    def judged(self, restore: Restore) -> Way:
        """Return the figures of a graph."""
        return Way(judge(restore, self._first), departures_db(restore, self._exact, self._pairs))


def departures_db(
    ours: Restore, theirs: Restore, pairs: Sequence[Fitted], frames: int = FRAMES
) -> list[float]:
    """Return the PSNR between two graphs at each place of sequences, dB, mean over the pairs.

    Where it falls from place to place, what one of the graphs carries drifts away.
    """
    by_place: list[list[float]] = [[] for _ in range(frames)]
    for pair in pairs:
        shown = list(arriving(pair.frame, frames))
        for place, (a, b) in enumerate(zip(ours(shown), theirs(shown), strict=True)):
            by_place[place].append(psnr_db(pair.judged(a), pair.judged(b)))
    return [mean_of(place) for place in by_place]
