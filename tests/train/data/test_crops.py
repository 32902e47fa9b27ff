"""Where crops are taken."""

import numpy as np
import pytest

from crispstream.train.data.crops import BusyMap, busy_crops, shrunk_crops
from tests.helpers.pictures import soft_picture


def one_busy_corner():
    picture = np.full((200, 240, 3), 90, np.uint8)
    picture[:80, :80] = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    return picture


def places_of(crops, picture):
    """Where crops that are views of a picture begin."""
    row = picture.strides[0]
    start = picture.ctypes.data
    return [divmod(crop.ctypes.data - start, row) for crop in crops]


@pytest.mark.parametrize(("top", "left", "side"), [(0, 0, 64), (36, 20, 64), (10, 4, 190)])
def test_busyness_is_the_mean_step_between_neighbours(top, left, side):
    picture = soft_picture(1, 200, 220)
    green = picture[top : top + side : 2, left : left + side : 2, 1].astype(float)
    direct = np.abs(np.diff(green, axis=0)).mean() + np.abs(np.diff(green)).mean()
    assert BusyMap(picture).busyness(top, left, side) == pytest.approx(direct, rel=0.05)


def test_flat_places_are_not_busy_and_more_draws_find_what_is():
    picture, rng = one_busy_corner(), np.random.default_rng(1)
    busy = BusyMap(picture)
    assert busy.busyness(120, 120, 64) == 0 < busy.busyness(8, 8, 64)
    hits = []
    for draws in (1, 30):
        places = [busy.busiest((136, 176), 64, draws, rng) for _ in range(40)]
        hits.append(sum(top < 60 and left < 60 for top, left in places))
    assert hits[0] < 16
    assert hits[1] > 36


def test_crops_are_parts_of_the_picture_up_to_its_last_pixel():
    picture = soft_picture(2, 80, 66)
    crops = list(busy_crops(picture, 64, 200, 1, np.random.default_rng(0)))
    assert {crop.shape for crop in crops} == {(64, 64, 3)}
    places = places_of(crops, picture)
    assert {top for top, _ in places} == set(range(17))
    assert {left // 3 for _, left in places} == {0, 1, 2}


def test_reduced_crops_show_more_of_the_picture():
    """On a ramp the step from pixel to pixel is the factor that the crop was reduced by."""
    ramp = np.repeat(np.arange(0, 250, dtype=np.uint8)[None, :, None], 250, axis=0)
    picture = np.repeat(ramp, 3, axis=2)
    crops = list(shrunk_crops(picture, 100, 60, 1, np.random.default_rng(0)))
    assert {crop.shape for crop in crops} == {(100, 100, 3)}
    steps = [np.ptp(crop[50, :, 0].astype(int)) / 99 for crop in crops]
    assert min(steps) < 1.02
    assert 1.9 < max(steps) < 2.05  # at least half of its size


def test_a_picture_that_is_too_small_gives_none_and_one_that_just_fits_gives_all():
    for crops in (busy_crops, shrunk_crops):
        rng = np.random.default_rng(0)
        assert list(crops(soft_picture(0, 63, 90), 64, 5, 4, rng)) == []
        assert len(list(crops(soft_picture(0, 64, 64), 64, 5, 4, rng))) == 5
