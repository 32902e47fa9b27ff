"""Objects in front of a scene: what they hide, when, and how they are blurred."""

import cv2
import numpy as np
import pytest

from crispstream.train.degrade.foreground import (
    ForegroundRange,
    Front,
    blur_both,
    draw_front,
    lay_over,
    outline,
)
from crispstream.train.degrade.motion import blur
from tests.helpers.pictures import soft_picture

VIEW = (1000.0, (48.0, 32.0))
STILL = np.zeros((1, 3))
PAN = np.stack([np.linspace(-8, 8, 9), np.zeros(9), np.zeros(9)], axis=1)


def scene():
    return soft_picture(3, 64, 96).astype(np.float32) / 255


def square(path):
    """A black object of 16x16 in the middle of 64x96."""
    layer = np.zeros((64, 96, 4), np.float32)
    layer[24:40, 40:56, 3] = 1
    return Front(layer, path)


def drawn(path=STILL, seed=0):
    return draw_front(scene(), path, np.random.default_rng(seed), ForegroundRange())


def test_an_outline_is_one_smooth_object_of_the_size_asked_for():
    asked = ForegroundRange(radius=(0.2, 0.2))
    masks = [outline(100, 140, np.random.default_rng(seed), asked) for seed in range(20)]
    for mask in masks:
        assert mask.shape == (100, 140)
        assert mask.min() == 0
        assert mask.max() == pytest.approx(1)
        count, _ = cv2.connectedComponents((mask > 0.5).astype(np.uint8))
        assert count == 2  # the object, and what is around it
        assert 0.3 < mask.sum() / (np.pi * 20**2) < 2.5
        assert np.abs(np.diff(mask)).max() < 0.9  # no step from 0 to 1
    assert not np.allclose(masks[0], masks[1])


def test_an_object_shows_the_picture_itself_premultiplied():
    front = drawn().light_hwca
    colours, mask = front[..., :3], front[..., 3]
    inside = mask > 0.999
    ratio = colours[inside] / scene()[::-1, ::-1][inside].clip(1e-3)
    assert np.ptp(np.median(ratio, axis=0)) < 1  # lit differently
    assert np.all(ratio.std(axis=0) < 0.05)
    assert np.all(colours[mask == 0] == 0)


def test_what_stands_still_is_only_laid_over():
    both = blur_both(scene(), STILL, drawn(), *VIEW)
    np.testing.assert_allclose(both, lay_over(scene(), drawn().light_hwca), atol=1e-6)


def test_background_is_dimmed_by_the_time_that_it_is_hidden():
    white = np.ones((64, 96, 3), np.float32)
    row = blur_both(white, STILL, square(PAN), *VIEW)[32, :, 0]
    np.testing.assert_allclose(row[:32], 1, atol=1e-3)  # never hidden
    np.testing.assert_allclose(row[33:47:2] * 9, np.arange(8, 1, -1), atol=0.2)
    assert row[47] * 9 == pytest.approx(1, abs=0.01)  # free at the last instant only


def test_a_still_background_stays_sharp_where_no_object_passes():
    seen = blur_both(scene(), STILL, square(PAN), *VIEW)
    np.testing.assert_allclose(seen[:20], scene()[:20], atol=1e-4)
    moving = blur_both(scene(), PAN, square(STILL), *VIEW)
    assert np.abs(moving[:20] - scene()[:20]).mean() > 0.02


def test_what_moves_together_is_blurred_as_one_picture():
    together = blur_both(scene(), PAN, drawn(PAN), *VIEW, 12)
    alone = blur(lay_over(scene(), drawn().light_hwca), PAN, *VIEW, 12)
    np.testing.assert_allclose(together, alone, atol=0.02)


def test_paths_of_different_lengths_keep_their_mean_poses():
    """A short path is drawn in fewer steps than a long one."""
    uneven = np.stack([np.array([0.0, 1, 2, 9]), np.zeros(4), np.zeros(4)], axis=1)
    front = square(uneven - uneven.mean(axis=0))
    mask = 1 - blur_both(np.ones((64, 96, 3), np.float32), np.tile(STILL, (31, 1)), front, *VIEW)
    middle = (mask[..., 0].sum(axis=0) * np.arange(96)).sum() / mask[..., 0].sum()
    assert middle == pytest.approx(47.5, abs=0.1)
