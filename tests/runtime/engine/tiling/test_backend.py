"""Tiles on their way through another backend: order, buffers, and what fails."""

import logging

import numpy as np
import pytest

from crispstream.core.errors import EngineError, FrameError
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.bicubic import BicubicBackend
from crispstream.runtime.engine.tiling.backend import TiledBackend
from crispstream.runtime.engine.tiling.plan import Tiling
from tests.helpers.pictures import soft_picture

EXACT = Tiling((24, 16), halo_px=2, size_multiple=4)


class FakeDevice(BicubicBackend):
    """Repeats pixels 4x4 times, in `wait` and not before, as late as a device may."""

    def __init__(self, *, fails_at: int = -1, refuses_at: int = -1) -> None:
        super().__init__()
        self.fails_at, self.refuses_at = fails_at, refuses_at
        self.in_work: list[int] = []
        self.most_in_work = self.submitted = self.waited = 0
        self.sizes: list[tuple[int, int, int]] = []

    def allocate(self, height: int, width: int, slots: int) -> None:
        assert not self.in_work
        self.sizes.append((width, height, slots))
        super().allocate(height, width, slots)

    def submit(self, slot: int) -> None:
        assert slot not in self.in_work
        self.submitted += 1
        if self.submitted == self.refuses_at:
            raise EngineError("refused")
        self.in_work.append(slot)
        self.most_in_work = max(self.most_in_work, len(self.in_work))

    def wait(self, slot: int) -> None:
        assert self.in_work.pop(0) == slot
        self.waited += 1
        if self.waited == self.fails_at:
            raise EngineError("failed")
        self.restored(slot)[:] = repeated(self.frame(slot))

    def twin(self) -> "FakeDevice":
        return FakeDevice()


def repeated(frame_hwc: Bytes) -> Bytes:
    return frame_hwc.repeat(4, axis=0).repeat(4, axis=1)


def filled(backend: TiledBackend, slot: int, seed: int, size: tuple[int, int]) -> Bytes:
    frame_hwc = soft_picture(seed, *size)
    backend.frame(slot)[:] = frame_hwc
    backend.submit(slot)
    return repeated(frame_hwc)


def test_tiles_of_several_frames_are_in_work_at_once_and_end_in_order() -> None:
    device = FakeDevice()
    backend = TiledBackend(device, EXACT)
    backend.allocate(32, 44, 4)  # 3 rows of 2
    assert device.sizes == [(24, 16, 4)]
    expected = [filled(backend, slot, slot, (32, 44)) for slot in (0, 1)]
    for slot in (2, 3, 0, 1):
        backend.wait((slot - 2) % 4)
        np.testing.assert_array_equal(backend.restored((slot - 2) % 4), expected.pop(0))
        expected.append(filled(backend, slot, 7 + slot, (32, 44)))
    assert (device.most_in_work, device.submitted) == (4, 6 * 6)
    backend.close()
    backend.close()


def test_a_frame_that_fits_a_tile_goes_through_uncopied() -> None:
    device = FakeDevice()
    backend = TiledBackend(device, EXACT)
    backend.allocate(16, 24, 2)
    assert backend.frame(1) is device.frame(1)
    expected = filled(backend, 1, 3, (16, 24))
    backend.wait(1)
    assert backend.restored(1) is device.restored(1)
    np.testing.assert_array_equal(backend.restored(1), expected)
    assert (backend.name, backend.precision, backend.device_latencies) == ("bicubic", "fp64", None)


def test_arrays_handed_out_survive_a_new_size() -> None:
    backend = TiledBackend(FakeDevice(), EXACT)
    backend.allocate(32, 44, 1)
    expected = filled(backend, 0, 1, (32, 44))
    backend.wait(0)
    before = backend.restored(0)
    for size in ((16, 24), (64, 32)):
        backend.allocate(*size, 1)
        filled(backend, 0, 2, size)
        backend.wait(0)
    np.testing.assert_array_equal(before, expected)


def test_a_failed_tile_is_told_to_who_waits_for_its_frame_and_to_no_other() -> None:
    device = FakeDevice(fails_at=8)  # of the second frame
    backend = TiledBackend(device, EXACT)
    backend.allocate(32, 44, 4)
    expected = [filled(backend, slot, slot, (32, 44)) for slot in range(3)]
    for slot in (0, 1, 2):
        if slot == 1:
            with pytest.raises(EngineError, match="failed"):
                backend.wait(slot)
        else:
            backend.wait(slot)
            np.testing.assert_array_equal(backend.restored(slot), expected[slot])
    assert not device.in_work


def test_a_refused_tile_leaves_nothing_of_its_frame_in_work() -> None:
    device = FakeDevice(refuses_at=8)
    backend = TiledBackend(device, EXACT)
    backend.allocate(32, 44, 2)
    expected = filled(backend, 0, 0, (32, 44))
    with pytest.raises(EngineError, match="refused"):
        filled(backend, 1, 1, (32, 44))
    assert not device.in_work
    backend.wait(0)
    np.testing.assert_array_equal(backend.restored(0), expected)
    again = filled(backend, 1, 1, (32, 44))
    backend.wait(1)
    np.testing.assert_array_equal(backend.restored(1), again)


def test_a_twin_cuts_as_well_and_shares_no_buffer() -> None:
    first = TiledBackend(FakeDevice(), EXACT)
    second = first.twin()
    for backend in (first, second):
        backend.allocate(32, 44, 2)
    one, other = filled(first, 0, 1, (32, 44)), filled(second, 0, 2, (32, 44))
    for backend, expected in ((second, other), (first, one)):
        backend.wait(0)
        np.testing.assert_array_equal(backend.restored(0), expected)


def test_tiles_too_small_for_the_halo_are_refused_when_a_frame_must_be_cut() -> None:
    backend = TiledBackend(FakeDevice(), Tiling((24, 16), halo_px=9, size_multiple=4))
    backend.allocate(16, 24, 1)
    with pytest.raises(FrameError, match=r"a frame of 44x32 px has to be cut.*of 24x24 px or"):
        backend.allocate(32, 44, 1)


@pytest.mark.parametrize(
    ("halo_px", "words"),
    [(2, "6 tiles of 24x16: 1.80 times the work"), (0, "blended: the network looks at the whole")],
)
def test_what_cutting_costs_is_told(
    caplog: pytest.LogCaptureFixture, halo_px: int, words: str
) -> None:
    tile = (24, 16) if halo_px else (40, 36)
    backend = TiledBackend(FakeDevice(), Tiling(tile, halo_px, size_multiple=4))
    with caplog.at_level(logging.INFO, logger="crispstream.engine"):
        backend.allocate(32 if halo_px else 72, 40, 1)
    assert words in caplog.text
    assert [record.levelname for record in caplog.records] == ["INFO" if halo_px else "WARNING"]
