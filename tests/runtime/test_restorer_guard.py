"""The Restorer looks at what a device gives, and ends where it is no picture of the frame."""

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.backends.bicubic import BicubicBackend
from crispstream.runtime.engine.opening import Opened
from crispstream.runtime.restorer import Restorer
from tests.helpers.pictures import soft_picture


class BlackFrom(BicubicBackend):
    """Gives black from its nth frame on, as an engine does whose values overflow."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self._left = first

    def wait(self, slot: int) -> None:
        self._left -= 1
        if self._left < 0:
            self.restored(slot)[:] = 0


@pytest.mark.parametrize("first", [0, 2, 100])
def test_frames_of_a_device_are_looked_at_and_broken_ones_end_the_run(first: int) -> None:
    frame_hwc = soft_picture(1, 24, 32)
    with Restorer(Opened(BlackFrom(first), "x", 1, guarded=True)) as restorer:
        for _ in range(256 if first > 2 else first):
            restorer.restore(frame_hwc)
        with pytest.raises(EngineError, match=r"is black where .*--backend onnxruntime"):
            restorer.restore(frame_hwc)


def test_frames_of_the_reference_are_not_judged() -> None:
    with Restorer(Opened(BlackFrom(0), "x", 1)) as restorer:
        assert not restorer.restore(soft_picture(1, 24, 32)).any()
