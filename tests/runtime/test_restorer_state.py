"""What a recurrent network remembers, from the bundle to the Restorer: carried, reset, its own."""

from pathlib import Path

import numpy as np
import pytest

from crispstream.core.errors import FrameError
from crispstream.core.sizes import Size
from crispstream.runtime.restorer import Restorer
from tests.helpers.bundles import write_recurrent_bundle, write_tiny_bundle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_recurrent_bundle(tmp_path / "recurrent").path


def flat(level: int, size: Size = (12, 8)) -> np.ndarray:
    return np.full((size[1], size[0], 3), level, np.uint8)


def levels_of(restorer: Restorer, *levels: int, size: Size = (12, 8)) -> list[int]:
    """The level of each restored frame; every pixel of it must have it."""
    found = [np.unique(restorer.restore(flat(level, size))) for level in levels]
    assert all(len(seen) == 1 for seen in found)
    return [int(seen[0]) for seen in found]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("frames_in_flight", [1, 2, 3])
def test_state_goes_from_frame_to_frame_until_reset(
    tmp_path: Path, frames_in_flight: int, half: bool
) -> None:
    path = write_recurrent_bundle(tmp_path / "recurrent", half=half).path
    with Restorer.open(path, threads=1, frames_in_flight=frames_in_flight) as restorer:
        assert restorer.recurrent
        assert levels_of(restorer, 1, 10, 100, 20, 2, 3, 4) == [1, 11, 110, 120, 22, 5, 7]
        restorer.reset()
        assert levels_of(restorer, 7, 8) == [7, 15]


def test_a_reset_holds_for_the_next_submit_and_leaves_those_in_flight(path: Path) -> None:
    with Restorer.open(path, threads=1, frames_in_flight=3) as restorer:
        for level in (1, 10):
            restorer.submit(flat(level))
        restorer.reset()
        restorer.submit(flat(100))
        assert [int(restorer.collect()[0, 0, 0]) for _ in range(3)] == [1, 11, 100]
        assert levels_of(restorer, 5) == [105]


def test_resets_before_the_first_frame_and_in_a_row_do_no_harm(path: Path) -> None:
    with Restorer.open(path, threads=1) as restorer:
        restorer.reset()
        assert levels_of(restorer, 1, 2) == [1, 3]
        restorer.reset()
        restorer.reset()
        assert levels_of(restorer, 4, 5) == [4, 9]


@pytest.mark.parametrize("size", [(16, 8), (11, 7)])
def test_after_a_change_of_size_nothing_is_remembered(path: Path, size: Size) -> None:
    """11x7 is padded to the buffers of 12x8: they stay, and what was in them counts no more."""
    with Restorer.open(path, threads=1) as restorer:
        assert levels_of(restorer, 1, 10) == [1, 11]
        assert levels_of(restorer, 20, 30, size=size) == [20, 50]
        assert levels_of(restorer, 2, 3) == [2, 5]


def test_a_size_that_changes_amid_frames_in_flight_is_refused_and_nothing_forgotten(
    path: Path,
) -> None:
    with Restorer.open(path, threads=1) as restorer:
        restorer.submit(flat(1))
        with pytest.raises(FrameError, match="of another size are in flight"):
            restorer.submit(flat(50, (16, 8)))
        assert int(restorer.collect()[0, 0, 0]) == 1
        assert levels_of(restorer, 10) == [11]


def test_a_twin_remembers_its_own_stream(path: Path) -> None:
    with Restorer.open(path, threads=1) as restorer, restorer.twin() as twin:
        assert twin.recurrent
        assert levels_of(restorer, 1, 10) == [1, 11]
        assert levels_of(twin, 50, 5) == [50, 55]
        twin.reset()
        assert levels_of(restorer, 2) == [12]
        assert levels_of(twin, 3) == [3]


def test_networks_without_state_say_so_and_a_reset_changes_nothing(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "b").path
    with Restorer.open(path, threads=1) as restorer, Restorer.open("bicubic") as bicubic:
        for each in (restorer, bicubic):
            assert not each.recurrent
            each.submit(flat(9))
            each.reset()
            assert (each.collect() == 9).all()


def test_the_rung_names_model_and_precision(path: Path) -> None:
    with Restorer.open(path, threads=1) as restorer, Restorer.open("bicubic") as bicubic:
        assert (restorer.rung, bicubic.rung) == ("recurrent fp32", "bicubic")
