"""Benches that were never run: durations on a machine that is as noisy as real ones, and seeded.

    duration = drift x neighbours x wandering x jitter x spike

`drift`: slower by up to 2x and back, over about the length of the run, as a laptop that gets warm.
`neighbours`: somebody else takes 30 % for a while, and lets go again. `wandering`: what follows the
frame before, as caches and clocks do. `jitter`: of each frame by itself, lognormal. `spike`: one in
a hundred frames takes a multiple, with a heavy tail. The mean durations do not matter to a ratio.

Letters: R runs, N rounds, V variants (2), F frames of a turn.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LEAD_IN = 1
_WANDERING, _FOLLOWS = 0.08, 0.95
_NEIGHBOUR, _CHANGES = 1.3, 1 / 60
_JITTER = 0.05
_SPIKES, _TAIL = 0.01, 1.5


def durations(rng: np.random.Generator, runs: int, frames: int) -> Floats:
    """Return the durations [R,frames] of frames that follow each other, around 1."""
    shape = (runs, frames)
    turns = rng.uniform(0.5, 1.5, (runs, 1)) * np.arange(frames) / frames
    drift = 2 ** (0.5 + 0.5 * np.sin(2 * np.pi * (turns + rng.uniform(size=(runs, 1)))))
    changes = np.cumsum(rng.random(shape) < _CHANGES, axis=1) + rng.integers(2, size=(runs, 1))
    neighbours = np.where(changes % 2 == 0, 1.0, _NEIGHBOUR)
    jitter = np.exp(_JITTER * rng.standard_normal(shape))
    spikes = np.where(rng.random(shape) < _SPIKES, 1 + rng.pareto(_TAIL, shape), 1.0)
    return drift * neighbours * np.exp(wandering(rng, shape, _WANDERING)) * jitter * spikes


def wandering(rng: np.random.Generator, shape: tuple[int, int], deviation: float) -> Floats:
    """Return series [R,frames] in which values follow each other (autoregressive, order 1)."""
    values = deviation * rng.standard_normal(shape)
    for frame in range(1, shape[1]):
        fresh = np.sqrt(1 - _FOLLOWS**2) * values[:, frame]
        values[:, frame] = _FOLLOWS * values[:, frame - 1] + fresh
    return values


def simulated_rounds(
    seed: int, runs: int, rounds: int, block: int, slowdown: float = 1.0
) -> tuple[Floats, Floats]:
    """Return the medians of each round [R,N] of two variants, of which the second is slower.

    As in the bench, the order of the two alternates, and the first frame of a turn is not timed.
    """
    rng = np.random.default_rng(seed)
    turn = block + _LEAD_IN
    in_time = durations(rng, runs, rounds * 2 * turn).reshape(runs, rounds, 2, turn)
    timed = in_time[..., _LEAD_IN:].copy()
    timed[:, 1::2] = timed[:, 1::2, ::-1].copy()  # in each second round the other came first
    medians = np.median(timed, axis=-1)
    return medians[:, :, 0], slowdown * medians[:, :, 1]
