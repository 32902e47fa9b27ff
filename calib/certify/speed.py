"""How much faster one graph is than another on this CPU: a ratio from one interleaved run."""

import statistics
import time

import numpy as np

from crispstream.calib.quantise.observe import session_of
from crispstream.core.pixels import Bytes
from crispstream.core.tensors import FRAME, RESTORED

ROUNDS = 15
WARM_UP = 2


def speed_ratio(graph: bytes, baseline: bytes, frame_hwc: Bytes, rounds: int = ROUNDS) -> float:
    """Return frames/s of `graph` over that of `baseline` on one thread, median over rounds.

    The two take turns, so that whatever else the machine does slows both.
    """
    ours, theirs = (session_of(data, threads=1) for data in (graph, baseline))
    feed = {FRAME: np.ascontiguousarray(frame_hwc[None])}
    ratios = []
    for index in range(WARM_UP + rounds):
        begun = time.perf_counter()
        ours.run([RESTORED], feed)
        between = time.perf_counter()
        theirs.run([RESTORED], feed)
        if index >= WARM_UP:
            ratios.append((time.perf_counter() - between) / (between - begun))
    return statistics.median(ratios)
