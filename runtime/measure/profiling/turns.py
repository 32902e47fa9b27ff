"""Frames through two backends in turns, so that what changes on the machine meets both."""

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from crispstream.core.clock import Clock
from crispstream.core.pixels import Bytes, pad_reflect
from crispstream.runtime.engine.backends.base import Backend

WARM_UP = 3
"""Rounds before those that count: the first frames allocate."""

SLOTS = 2
"""An even number: recurrent state swaps its buffers with the slot's parity."""


class Limits(NamedTuple):
    """What ends turns before the last round, after the one in hand."""

    stop: threading.Event
    """Whoever asked has lost interest."""
    seconds: float
    """No new round after so long, but for the first that counts."""


NO_LIMITS = Limits(threading.Event(), float("inf"))


class Turn(NamedTuple):
    """One frame through one backend."""

    round: int
    """From -WARM_UP; from 0 on they count."""
    backend: int
    """Which of them, in their order."""
    duration_ns: int
    """From `submit` to the end of `wait`; the copy into the slot lies before."""


def turns(
    backends: Sequence[Backend],
    frames: Sequence[Bytes],
    rounds: int,
    clock: Clock,
    limits: Limits = NO_LIMITS,
) -> Iterator[Turn]:
    """Send frames through every backend, one after the other, for so many rounds.

    Args:
        backends: with `SLOTS` buffers each, of one size.
        frames: [H,W,3], taken over and over. Smaller ones are mirrored up to that size; of larger
            ones the first of that size is taken, as a tile of it would be.
        rounds: that count; `WARM_UP` come before.
        clock: times the frames.
        limits: may end it earlier.
    """
    height, width, _ = backends[0].frame(0).shape
    begun_ns = clock()
    for number in range(-WARM_UP, rounds):
        late = number > 0 and clock() - begun_ns > 1e9 * limits.seconds
        if late or limits.stop.is_set():
            return
        frame_hwc = frames[number % len(frames)][:height, :width]
        slot = number % SLOTS
        for index, backend in enumerate(backends):
            pad_reflect(frame_hwc, backend.frame(slot))
            submitted_ns = clock()
            backend.submit(slot)
            backend.wait(slot)
            yield Turn(number, index, clock() - submitted_ns)
