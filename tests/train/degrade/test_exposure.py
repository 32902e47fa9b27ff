"""Exposures that fail: how often, and by how much."""

import numpy as np
import pytest

from crispstream.train.degrade.exposure import ExposureRange, draw_gain, gain_on_curve


def test_gains_have_their_shares_and_ranges():
    rng, exposure = np.random.default_rng(0), ExposureRange(0.2, (0.1, 0.4), 0.3, (2.0, 3.0))
    gains = np.array([draw_gain(rng, exposure) for _ in range(1000)])
    dark, bright = gains[gains < 1], gains[gains > 1]
    assert 150 <= len(dark) <= 250
    assert 250 <= len(bright) <= 350
    assert 0.1 <= dark.min() < 0.11
    assert 0.38 < dark.max() <= 0.4
    assert np.median(dark) == pytest.approx(0.2, abs=0.03)  # log-uniform
    assert 2.0 <= bright.min() <= bright.max() <= 3.0


def test_a_gain_looks_alike_on_every_tone_curve():
    shown = [gain_on_curve(0.3, gamma) ** (1 / gamma) for gamma in (1.0, 2.2, 3.2)]
    np.testing.assert_allclose(shown, 0.3 ** (1 / 2.2))
