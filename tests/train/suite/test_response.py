"""The camera's response: what it has not measured is continued, light adds up in it."""

import numpy as np

from crispstream.train.suite.response import expose, load_response

LINEAR = np.linspace(0, 1, 256)[:, None].repeat(3, axis=1)


def test_light_adds_up_through_the_curve():
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    np.testing.assert_array_equal(expose([black, white], LINEAR), 128)
    through_gamma = expose([black, white], LINEAR**2.2)
    np.testing.assert_array_equal(through_gamma, round(255 * 0.5 ** (1 / 2.2)))


def test_an_exposure_of_a_still_scene_changes_nothing():
    still = np.random.default_rng(1).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    curved = LINEAR**2.2 * (1.0, 2.0, 3.0)
    np.testing.assert_array_equal(expose([still] * 5, curved), still)


def test_the_end_of_the_curve_goes_on_as_before_it(tmp_path):
    levels = np.arange(256)
    curve = 1.02**levels
    curve[100] = curve[98]  # a dip
    curve[246:] *= 5  # saturated when it was measured
    np.save(tmp_path / "crf.npy", curve[:, None, None].repeat(3, axis=2))
    response = load_response(tmp_path / "crf.npy")
    np.testing.assert_allclose(response[246:, 0], 1.02 ** levels[246:], rtol=1e-4)
    assert (np.diff(response, axis=0) >= 0).all()
