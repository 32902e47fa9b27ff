"""A lens out of focus: discs."""

import numpy as np
import pytest

from crispstream.train.degrade.lens import LensRange, defocus, disc, draw_disc


@pytest.mark.parametrize("radius_px", [0.0, 1.0, 3.3, 7.0])
def test_a_disc_keeps_the_light_and_has_its_radius(radius_px):
    kernel = disc(radius_px)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1])
    axis = np.arange(len(kernel)) - len(kernel) // 2
    spread = (kernel.sum(axis=0) * axis**2).sum()
    assert spread == pytest.approx(radius_px**2 / 4, abs=0.25)  # of a disc, along one axis


def test_a_point_becomes_a_disc_in_every_channel():
    point = np.zeros((31, 41, 4), np.float32)
    point[15, 20] = (1, 2, 3, 4)
    seen = defocus(point, disc(5.0))
    np.testing.assert_allclose(seen.sum(axis=(0, 1)), [1, 2, 3, 4], rtol=1e-5)
    assert (seen[..., 0] > 0.49 * seen[15, 20, 0]).sum() == pytest.approx(np.pi * 25, rel=0.05)
    assert seen[15, 20, 0] == pytest.approx(seen[15, 23, 0])  # flat, unlike a Gaussian


def test_the_focus_is_missed_on_its_share_of_frames():
    rng, lens = np.random.default_rng(0), LensRange(0.25, (3.0, 3.0))
    discs = [draw_disc(rng, lens) for _ in range(200)]
    missed = [found for found in discs if found is not None]
    assert 30 <= len(missed) <= 70
    np.testing.assert_array_equal(missed[0], disc(3.0))
