"""How long to wait before the next try of something that failed."""

import random

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 2.0


class Backoff:
    """Waits that double up to a limit, each of them shortened by chance, by half at most.

    Without the chance, all the readers of a server that fell would come back at the same moment
    and fell it again. ("Equal jitter" of M. Brooker, "Exponential Backoff And Jitter", AWS 2015.)

    >>> waits = Backoff(random.Random(0))
    >>> [round(waits.next_seconds(), 2) for _ in range(5)]
    [0.14, 0.31, 0.79, 1.74, 1.49]
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        """Take the chance from `rng`, by default one that no other process shares."""
        self._rng = rng or random.Random()
        self._seconds = FIRST_SECONDS

    def next_seconds(self) -> float:
        """Return how long to wait now, and make the next wait longer."""
        seconds, self._seconds = self._seconds, min(2 * self._seconds, LONGEST_SECONDS)
        return seconds * (1 - self._rng.random() / 2)

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._seconds = FIRST_SECONDS
