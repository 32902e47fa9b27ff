"""PSNR and SSIM against hand-worked values and scikit-image's published definition."""

import math

import numpy as np
import pytest

from crispstream.core.errors import FrameError
from crispstream.core.metrics import psnr_db, ssim

IMAGE = np.random.default_rng(1).integers(0, 256, (40, 52, 3), np.uint8)


def test_psnr_of_one_level_everywhere():
    assert psnr_db(np.full((4, 4, 3), 10, np.uint8), np.full((4, 4, 3), 11, np.uint8)) == (
        pytest.approx(20 * math.log10(255))
    )


def test_psnr_of_black_and_white_is_zero_and_of_equals_infinite():
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert psnr_db(black, white) == 0
    assert psnr_db(white, white) == math.inf


def ssim_by_definition(x, y):
    """One channel, straight loops over windows: Wang et al. 2004, equations 13 and 14 to 16."""
    offsets = np.arange(-5, 6)
    gauss = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(gauss, gauss) / gauss.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    scores = []
    for row in range(x.shape[0] - 10):
        for col in range(x.shape[1] - 10):
            a, b = x[row : row + 11, col : col + 11], y[row : row + 11, col : col + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            scores.append(
                (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    return np.mean(scores)


def test_ssim_is_that_of_its_definition():
    noise = np.random.default_rng(2).normal(0, 12, IMAGE.shape)
    other = np.clip(IMAGE + noise, 0, 255).astype(np.uint8)
    expected = np.mean(
        [
            ssim_by_definition(IMAGE[..., c].astype(float), other[..., c].astype(float))
            for c in (0, 1, 2)
        ]
    )
    assert ssim(IMAGE, other) == pytest.approx(expected, abs=1e-9)
    assert ssim(IMAGE, IMAGE) == pytest.approx(1.0)


def test_images_that_cannot_be_compared_are_refused():
    with pytest.raises(FrameError, match="one size"):
        psnr_db(IMAGE, IMAGE[1:])
    with pytest.raises(FrameError, match="byte images"):
        ssim(IMAGE, IMAGE.astype(np.float32))
    with pytest.raises(FrameError, match="11x11"):
        ssim(IMAGE[:10], IMAGE[:10])
