"""Blended seams: nothing shows where tiles agree, and no step where they do not."""

import numpy as np
import pytest

from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.tiling.plan import FEATHER_PX, Plan, Tiling
from crispstream.runtime.engine.tiling.seams import Edges, Feathers
from tests.helpers.pictures import soft_picture

WHOLE_FRAME = Tiling((48, 40), halo_px=0, size_multiple=4)


def joined(plan: Plan, tiles: dict[tuple[int, int], Bytes], *, exact: bool = False) -> Bytes:
    seams = Edges(plan) if exact else Feathers(plan)
    height, width = plan.rows[-1].end, plan.columns[-1].end
    out_hwc = np.full((4 * height, 4 * width, 3), 99, np.uint8)
    for (row, column), tile_hwc in tiles.items():
        seams.join(tile_hwc, row, column, out_hwc)
    return out_hwc


def cut(plan: Plan, picture_hwc: Bytes) -> dict[tuple[int, int], Bytes]:
    return {
        (row, column): picture_hwc[
            4 * down.origin : 4 * (down.origin + plan.tile_height),
            4 * across.origin : 4 * (across.origin + plan.tile_width),
        ]
        for row, down in enumerate(plan.rows)
        for column, across in enumerate(plan.columns)
    }


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("width", "height"), [(100, 88), (48, 100), (120, 40), (52, 44)])
def test_tiles_that_agree_join_without_a_trace(width: int, height: int, exact: bool) -> None:
    plan = WHOLE_FRAME.plan(height, width)
    picture_hwc = soft_picture(1, 4 * height, 4 * width)
    picture_hwc[:8], picture_hwc[-8:] = 0, 255
    tiles = cut(plan, picture_hwc)
    assert len(tiles) > 1
    np.testing.assert_array_equal(joined(plan, tiles, exact=exact), picture_hwc)


@pytest.mark.parametrize("axis", [0, 1])
def test_tiles_that_differ_fade_into_each_other(axis: int) -> None:
    plan = WHOLE_FRAME.plan(40, 60) if axis else WHOLE_FRAME.plan(48, 48)
    shape = (4 * plan.tile_height, 4 * plan.tile_width, 3)
    tiles = {
        (row, column): np.full(shape, 200 if (row, column) == (0, 0) else 100, np.uint8)
        for row in range(len(plan.rows))
        for column in range(len(plan.columns))
    }
    assert len(tiles) == 2
    levels = joined(plan, tiles).astype(int).take(0, axis=1 - axis)[:, 0]
    steps = np.diff(levels)
    seam = 4 * (plan.columns if axis else plan.rows)[1].begin
    assert (levels[0], levels[-1]) == (200, 100)
    assert (levels[seam - 1] + levels[seam]) / 2 == pytest.approx(150, abs=1)
    assert -3 <= steps.min() < 0 == steps.max()  # 100 levels in 128 pixels, at most pi/2 as steep
    fading = np.nonzero(steps)[0]
    assert fading.max() - fading.min() <= 8 * FEATHER_PX


def test_where_four_tiles_meet_each_has_its_share() -> None:
    plan = WHOLE_FRAME.plan(48, 60)
    shape = (4 * plan.tile_height, 4 * plan.tile_width, 3)
    tiles = {
        (row, column): np.full(shape, 40 * (1 + row + 2 * column), np.uint8)
        for row in (0, 1)
        for column in (0, 1)
    }
    out_hwc = joined(plan, tiles)
    row, column = 4 * plan.rows[1].begin, 4 * plan.columns[1].begin
    assert abs(int(out_hwc[row, column, 0]) - 100) <= 2
    assert [int(out_hwc[y, x, 0]) for y in (0, -1) for x in (0, -1)] == [40, 120, 80, 160]
