"""How much faster one graph is than another on this CPU: a ratio from one interleaved run."""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from crispstream.calib.quantise.observe import session_of
from crispstream.core.pixels import Bytes
from crispstream.core.sequences import Carried
from crispstream.core.tensors import RESTORED

ROUNDS = 15
WARM_UP = 2


def speed_ratio(graph: bytes, baseline: bytes, frame_hwc: Bytes, rounds: int = ROUNDS) -> float:
    """Return frames/s of `graph` over that of `baseline` on one thread, median over rounds.

    The two take turns, so that whatever else the machine does slows both. States of a recurrent
    graph are computed too; each round starts from zeros.
    """
    ours, theirs = (_run_of(data, frame_hwc) for data in (graph, baseline))
    ratios = []
    for index in range(WARM_UP + rounds):
        begun = time.perf_counter()
        ours()
        between = time.perf_counter()
        theirs()
        if index >= WARM_UP:
            ratios.append((time.perf_counter() - between) / (between - begun))
    return statistics.median(ratios)


def _run_of(graph: bytes, frame_hwc: Bytes) -> Callable[[], object]:
    session = session_of(graph, threads=1)
    carried = Carried(session)
    feed = carried.feed(np.ascontiguousarray(frame_hwc))
    return partial(session.run, [RESTORED, *carried.outputs], feed)
