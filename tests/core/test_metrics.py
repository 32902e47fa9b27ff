"""PSNR, SSIM and IoU against hand-worked values, loops over definitions, and scikit-image."""

import math

import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from crispstream.core.errors import FrameError
from crispstream.core.metrics import (
    CONVENTIONS,
    MeanIou,
    luma,
    psnr_db,
    sigma_psnr_db,
    sigma_ssim,
    ssim,
)

IMAGE = np.random.default_rng(1).integers(0, 256, (40, 52, 3), np.uint8)
NOISE = np.random.default_rng(2).normal(0, 12, IMAGE.shape)
OTHER = np.clip(IMAGE + NOISE, 0, 255).astype(np.uint8)
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
"""scikit-image's settings that make its SSIM that of Wang et al. 2004."""


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
    expected = np.mean(
        [
            ssim_by_definition(IMAGE[..., c].astype(float), OTHER[..., c].astype(float))
            for c in (0, 1, 2)
        ]
    )
    assert ssim(IMAGE, OTHER) == pytest.approx(expected, abs=1e-9)
    assert ssim(IMAGE, IMAGE) == pytest.approx(1.0)


def cropped(image, edge):
    return image[edge : image.shape[0] - edge, edge : image.shape[1] - edge]


@pytest.mark.parametrize(("name", "edge"), [("plain", 0), ("gfn", 6), ("cnlrn", 4)])
def test_psnr_of_colour_is_scikit_images_inside_the_border(name, edge):
    expected = peak_signal_noise_ratio(cropped(IMAGE, edge), cropped(OTHER, edge), data_range=255)
    assert psnr_db(IMAGE, OTHER, CONVENTIONS[name]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("name", "edge"), [("plain", 0), ("cnlrn", 4)])
def test_ssim_of_colour_is_scikit_images_inside_the_border(name, edge):
    expected = structural_similarity(
        cropped(IMAGE, edge), cropped(OTHER, edge), data_range=255, channel_axis=2, **WANG
    )
    assert ssim(IMAGE, OTHER, CONVENTIONS[name]) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_gfn_is_scikit_images_of_a_volume_with_repeated_borders():
    """scikit-image leaves borders out, MATLAB repeats them: so repeat them before it sees them."""
    a, b = (np.pad(cropped(image, 6), 10, mode="edge") for image in (IMAGE, OTHER))
    a, b = (volume.astype(float) for volume in (a, b))
    _, scores = structural_similarity(a, b, data_range=255, full=True, **WANG)
    expected = scores[10:-10, 10:-10, 10:-10].mean()
    assert ssim(IMAGE, OTHER, CONVENTIONS["gfn"]) == pytest.approx(expected, abs=1e-9)
    assert ssim(IMAGE, OTHER, CONVENTIONS["plain"]) != pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("name", "edge"), [("cmos", 0), ("cmsc", 4)])
def test_figures_of_luma_are_scikit_images(name, edge):
    a, b = (cropped(rgb2ycbcr(image[..., ::-1])[..., 0], edge) for image in (IMAGE, OTHER))
    expected = peak_signal_noise_ratio(a, b, data_range=255)
    assert psnr_db(IMAGE, OTHER, CONVENTIONS[name]) == pytest.approx(expected, abs=1e-9)
    expected = structural_similarity(a, b, data_range=255, **WANG)
    assert ssim(IMAGE, OTHER, CONVENTIONS[name]) == pytest.approx(expected, abs=1e-9)


def test_luma_of_primary_colours():
    """Of 219 steps between 16 and 235 red has 29.9 %, green 58.7 %, blue 11.4 %; BGR order."""
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    shares = [0, 1, 0.114, 0.587, 0.299]
    expected = [[16 + 219 * share for share in shares]]
    np.testing.assert_allclose(luma(colours.astype(np.uint8)), expected, atol=1e-3)


@pytest.mark.parametrize(("name", "edge"), [("gfn", 6), ("cnlrn", 4), ("cmos", 0), ("cmsc", 4)])
def test_a_fault_counts_from_the_first_pixel_inside_the_border(name, edge):
    faulty = IMAGE.copy()
    if edge:
        faulty[edge - 1] ^= 255
        assert psnr_db(IMAGE, faulty, CONVENTIONS[name]) == math.inf
    faulty[edge] ^= 255
    assert psnr_db(IMAGE, faulty, CONVENTIONS[name]) < 30


def test_a_map_of_sigma_is_judged_as_a_share_of_the_largest():
    """A kernel of 21 pixels stands for sigma up to 5: an error of 0.5 everywhere is 0.1, 20 dB."""
    truth = np.random.default_rng(3).random((30, 34)).astype(np.float32) * 4
    assert sigma_psnr_db(truth + np.float32(0.5), truth, 21) == pytest.approx(20, abs=1e-5)
    assert sigma_psnr_db(truth + np.float32(1.5), truth, 61) == pytest.approx(20, abs=1e-5)
    other = truth + np.float32(0.3) * np.random.default_rng(4).random(truth.shape)
    a, b = (m.astype(float) / 5 * 255 for m in (truth, other))
    expected = structural_similarity(a, b, data_range=255, **WANG)
    assert sigma_ssim(truth, other, 21) == pytest.approx(expected, abs=1e-9)


def test_iou_is_counted_over_the_whole_set():
    """By hand. Class 0: 3 of 4 pixels; class 7: 1 of 3; class 9 is found but never true: 0."""
    iou = MeanIou()
    iou.add(np.array([[0, 0, 0, 3]]), np.array([[0, 0, 7, 255]], np.uint8))
    iou.add(np.array([[7, 0, 9]]), np.array([[7, 0, 7]], np.uint8))
    assert iou.value() == pytest.approx((3 / 4 + 1 / 3 + 0) / 3)


def test_iou_of_nothing_is_unknown():
    iou = MeanIou()
    iou.add(np.zeros((2, 2), int), np.full((2, 2), 255, np.uint8))
    assert iou.value() is None


def test_iou_is_not_the_mean_over_maps():
    iou = MeanIou()
    iou.add(np.zeros((1, 9), int), np.zeros((1, 9), np.uint8))
    iou.add(np.array([[1]]), np.array([[0]], np.uint8))
    assert iou.value() == pytest.approx((9 / 10 + 0) / 2)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(FrameError, match="one size"):
        psnr_db(IMAGE, IMAGE[1:])
    with pytest.raises(FrameError, match="byte images"):
        ssim(IMAGE, IMAGE.astype(np.float32))
    with pytest.raises(FrameError, match="11x11"):
        ssim(IMAGE[:10], IMAGE[:10])
    with pytest.raises(FrameError, match="11x11"):
        ssim(IMAGE[:22], IMAGE[:22], CONVENTIONS["gfn"])
    with pytest.raises(FrameError, match="nothing is left"):
        psnr_db(IMAGE[:12], IMAGE[:12], CONVENTIONS["gfn"])
    with pytest.raises(FrameError, match="one size"):
        sigma_psnr_db(np.zeros((4, 4)), np.zeros((4, 5)), 21)
    with pytest.raises(FrameError, match="one size"):
        MeanIou().add(np.zeros((4, 4), int), np.zeros((4, 5), int))
