"""Frames through backends in turns."""

import numpy as np

from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.bicubic import BicubicBackend
from crispstream.runtime.measure.profiling.turns import SLOTS, WARM_UP, turns


class Log:
    """What backends were given, on one clock."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.frames: list[tuple[int, int, Bytes]] = []


class Noting(BicubicBackend):
    """A backend in which each frame takes so many ns."""

    def __init__(self, takes_ns: int, log: Log) -> None:
        super().__init__()
        self.takes_ns, self.log = takes_ns, log

    def submit(self, slot: int) -> None:
        self.log.now_ns += self.takes_ns
        self.log.frames.append((self.takes_ns, slot, self.frame(slot).copy()))


def test_every_round_has_each_backend_once_and_the_first_rounds_do_not_count() -> None:
    log = Log()
    backends = [Noting(5, log), Noting(7, log)]
    frames = [np.full((8, 12, 3), level, np.uint8) for level in (1, 2, 3)]
    for backend in backends:
        backend.allocate(8, 12, SLOTS)

    ran = list(turns(backends, frames, 4, lambda: log.now_ns))

    assert [(turn.round, turn.backend) for turn in ran] == [
        (number, index) for number in range(-WARM_UP, 4) for index in (0, 1)
    ]
    assert {turn.duration_ns for turn in ran if turn.backend == 0} == {5}
    assert {turn.duration_ns for turn in ran if turn.backend == 1} == {7}
    assert [slot for takes, slot, _ in log.frames if takes == 5] == [1, 0, 1, 0, 1, 0, 1]
    assert all(
        (one[2] == other[2]).all()
        for one, other in zip(log.frames[::2], log.frames[1::2], strict=True)
    )
    assert {int(frame[0, 0, 0]) for _, _, frame in log.frames} == {1, 2, 3}


def test_frames_are_mirrored_up_or_cut_to_the_backends_size() -> None:
    log = Log()
    backend = Noting(1, log)
    backend.allocate(8, 8, SLOTS)
    ramp = np.arange(16, dtype=np.uint8)[:, None, None].repeat(16, 1).repeat(3, 2)

    list(turns([backend], [ramp[:6]], 1, lambda: 0))
    list(turns([backend], [ramp], 1, lambda: 0))

    assert log.frames[0][2][:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 4, 3]
    assert log.frames[-1][2][:, 0, 0].tolist() == list(range(8))
