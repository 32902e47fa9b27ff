"""Where tiles lie: they cover the frame once, keep their halo, and begin on the size multiple."""

import itertools

import pytest

from crispstream.core.errors import FrameError, UsageError
from crispstream.runtime.engine.tiling.plan import FEATHER_PX, Tiling, spans


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("margin", [0, 1, 5, 18])
def test_tiles_cover_each_pixel_once_a_halo_away_from_inner_edges(
    margin: int, multiple: int
) -> None:
    for tile, length in itertools.product(range(40, 72, 4), range(4, 300, 4)):
        laid = spans(length, tile, margin, multiple)
        side = min(tile, length)
        assert (laid[0].origin, laid[0].begin) == (0, 0)
        assert (laid[-1].origin + side, laid[-1].end) == (length, length)
        for one, other in itertools.pairwise(laid):
            assert one.end == other.begin
            assert one.origin < other.origin
            assert one.origin + side - one.end >= margin
            assert other.begin - other.origin >= margin
        assert all(span.origin % multiple == 0 for span in laid)


def test_no_more_tiles_than_needed() -> None:
    assert len(spans(64, 64, 18, 4)) == 1
    assert len(spans(68, 64, 18, 4)) == 2
    assert len(spans(64 + 28, 64, 18, 4)) == 2  # each further tile adds 64 - 2 * 18
    assert len(spans(64 + 32, 64, 18, 4)) == 3


def test_the_smallest_tile_adds_one_multiple_at_a_time() -> None:
    assert Tiling((64, 64), halo_px=18, size_multiple=4).smallest_side == 40
    assert len(spans(60, 40, 18, 4)) == 6
    assert Tiling((64, 64), halo_px=3, size_multiple=1).smallest_side == 7
    assert Tiling((64, 64), halo_px=0, size_multiple=4).smallest_side == 2 * FEATHER_PX + 4


def test_a_side_that_is_not_cut_may_be_short() -> None:
    plan = Tiling((64, 16), halo_px=18, size_multiple=4).plan(16, 200)
    assert (plan.tile_width, plan.tile_height, len(plan.rows)) == (64, 16, 1)
    plan = Tiling((64, 64), halo_px=18, size_multiple=4).plan(24, 200)
    assert (plan.tile_width, plan.tile_height, len(plan.rows)) == (64, 24, 1)


def test_tiles_too_small_for_their_halo_are_refused_naming_the_smallest() -> None:
    tiling = Tiling((36, 64), halo_px=18, size_multiple=4)
    with pytest.raises(FrameError, match=r"36x64 px .*halo of 18 px; take tiles of 40x64 px"):
        tiling.plan(64, 200)
    assert len(tiling.plan(200, 36).rows) == 6
    with pytest.raises(UsageError, match="take tiles of 40x64 px or larger"):
        tiling.check()
    Tiling((40, 40), halo_px=18, size_multiple=4).check()
    with pytest.raises(UsageError, match="margin for blending of 16 px; take tiles of 36x36"):
        Tiling((20, 20), halo_px=0, size_multiple=4).check()


def test_a_tile_off_the_size_multiple_is_refused_naming_the_next() -> None:
    with pytest.raises(UsageError, match=r"321x180 px do not divide by 4.*; give 324x180"):
        Tiling((321, 180), halo_px=18, size_multiple=4).check()


def test_overhead_is_what_is_computed_for_each_pixel() -> None:
    plan = Tiling((340, 200), halo_px=18, size_multiple=4).plan(360, 640)
    assert (plan.tiles, round(plan.overhead, 4)) == (4, round(4 * 340 * 200 / (640 * 360), 4))
    assert Tiling((640, 360), halo_px=18, size_multiple=4).plan(360, 640).overhead == 1
