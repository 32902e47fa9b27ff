"""The thin lens, the layers it cuts a scene into, and their blur."""

import cv2
import numpy as np
import pytest

from crispstream.core.errors import TrainError
from crispstream.train.degrade.defocus import (
    CITYSCAPES_RANGE,
    NYUV2_RANGE,
    DefocusRange,
    Layers,
    Lens,
    blur_by_depth,
    blur_evenly,
    blur_layers,
    coc_of_depth,
    draw_layers,
    fill_invalid,
    lens_for,
    sigma_of_coc,
)
from tests.helpers.pictures import soft_picture

LENS = Lens(50.0, 1000.0, 1.0)


def ramp(height=40, width=48, nearest=900.0, farthest=6000.0):
    return np.linspace(nearest, farthest, height * width).reshape(height, width)


def gaussian(image, sigma, kernel_px=21):
    """Blur in float64 and round, independently of the generator."""
    if not sigma:
        return image.astype(np.float64)
    size = (kernel_px, kernel_px)
    return cv2.GaussianBlur(image.astype(np.float64), size, sigma, borderType=cv2.BORDER_REFLECT)


def two_planes(near_coc, far_coc, *, focus_between):
    """The left half is the near plane. 72 pixels wide: both have pixels far from the edge."""
    index = np.zeros((48, 72), np.intp)
    index[:, :36] = 1
    in_front = np.array([False, focus_between])
    return Layers(index, np.array([far_coc, near_coc]), in_front, LENS)


def test_the_circle_of_confusion_of_two_planes_worked_by_hand():
    # f 50 mm, focus 1 m, 360 px of 36 mm = 10 px/mm; v = 50 * 1000 / 950, v / z_f = 1 / 19.
    lens = Lens(focal_mm=50, focus_mm=1000, aperture_mm=19)
    coc = coc_of_depth(np.array([1000.0, 1250.0, 2000.0, 500.0]), lens, width_px=360)
    # 10 * 1/19 * 19 * |z - 1000| / z
    np.testing.assert_allclose(coc, [0, 10 * 0.2, 10 * 0.5, 10 * 1.0], rtol=1e-12)


def test_the_f_number_makes_the_larger_end_as_wide_as_asked():
    lens = lens_for(50, 1000, (900, 2000), width_px=360, coc_px=21)
    # N = f^2 / (z_f - f) * px/mm / CoC * |z - z_f| / z at z = 2000, the larger of 1/9 and 1/2
    assert lens.focal_mm / lens.aperture_mm == pytest.approx(2500 / 950 * 10 / 21 * 0.5)
    coc = coc_of_depth(np.array([900.0, 2000.0]), lens, 360)
    np.testing.assert_allclose(coc, [21 / 0.5 / 9, 21])


def test_sigma_begins_at_a_coc_of_one_pixel():
    assert sigma_of_coc([0, 1, 1.4, 21]).tolist() == pytest.approx([0, 0, 0.1, 5])
    assert (NYUV2_RANGE.sigma_max, CITYSCAPES_RANGE.sigma_max) == (5, 15)


@pytest.mark.parametrize("kernel_px", [0, 1, 20])
def test_kernels_without_a_middle_are_refused(kernel_px):
    with pytest.raises(ValueError, match="odd"):
        DefocusRange(kernel_px)


@pytest.mark.parametrize("reach", [NYUV2_RANGE, CITYSCAPES_RANGE])
def test_the_widest_blur_is_reached_exactly_and_at_an_extreme_depth(reach):
    depth = ramp()
    for seed in range(5):
        layers = draw_layers(depth, reach, np.random.default_rng(seed))
        sigma = sigma_of_coc(layers.coc_px)[layers.index_hw]
        assert sigma.max() == reach.sigma_max
        assert reach.sigma_max in (sigma[0, 0], sigma[-1, -1])


def test_layers_lie_from_far_to_near_and_the_focus_is_between():
    depth = ramp()
    layers = draw_layers(depth, NYUV2_RANGE, np.random.default_rng(0))
    order = np.argsort(-depth, axis=None)
    assert np.all(np.diff(layers.index_hw.ravel()[order]) >= 0)
    assert layers.in_front[layers.index_hw[0, 0]]
    assert not layers.in_front[layers.index_hw[-1, -1]]
    assert np.all(np.diff(layers.in_front.astype(int)) >= 0)
    tenths = layers.coc_px * 10
    np.testing.assert_allclose(tenths, np.rint(tenths))


def test_equal_blur_on_both_sides_of_the_focus_is_two_layers():
    # |z - z_f| / z is 0.2 at both ends for a focus of 1000 mm; the focus is drawn among three.
    depth = np.array([[1000 / 1.2, 1000.0, 1000 / 0.8]])
    for seed in range(20):
        layers = draw_layers(depth, NYUV2_RANGE, np.random.default_rng(seed))
        if layers.lens.focus_mm == 1000:
            break
    assert layers.coc_px.tolist() == [21, 0, 21]
    assert layers.index_hw.tolist() == [[2, 1, 0]]


def test_a_lens_is_drawn_again_for_too_few_or_too_many_layers():
    depth = ramp(100, 100)
    counts = [
        len(draw_layers(depth, NYUV2_RANGE, np.random.default_rng(seed)).coc_px)
        for seed in range(20)
    ]
    assert 200 <= min(counts) <= max(counts) <= 350
    two = np.array([[1000.0, 2000.0]])  # never that many; accepted in the end
    assert len(draw_layers(two, NYUV2_RANGE, np.random.default_rng(0)).coc_px) == 2


def test_near_depths_are_focused_more_often_and_focal_lengths_have_their_weights():
    depth = np.array([[1000.0, 2000.0, 3000.0]])
    lenses = [draw_layers(depth, NYUV2_RANGE, np.random.default_rng(k)).lens for k in range(300)]
    focus = [sum(lens.focus_mm == z for lens in lenses) for z in (1000, 2000, 3000)]
    assert focus[0] > 1.2 * focus[1] > 1.2 * 1.2 * focus[2] > 0
    shares = [sum(lens.focal_mm == f for lens in lenses) / 300 for f in (50, 70, 85)]
    np.testing.assert_allclose(shares, [1 / 9, 4 / 9, 4 / 9], atol=0.08)  # 3 deviations: 0.086


def test_what_is_too_near_for_the_lens_is_moved_away():
    depth = np.array([[100.0, 150.0]])
    for seed in range(5):
        lens = draw_layers(depth, NYUV2_RANGE, np.random.default_rng(seed)).lens
        assert lens.focus_mm - 5 * lens.focal_mm in (0, 50)


def test_a_scene_of_one_depth_is_sharp():
    image = soft_picture(height=40, width=48)
    blurred, sigma = blur_by_depth(
        image, np.full((40, 48), 1500.0), NYUV2_RANGE, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(blurred, image)
    assert sigma.max() == 0


@pytest.mark.parametrize("focus_between", [True, False])
@pytest.mark.parametrize(("near_coc", "far_coc"), [(9.0, 1.0), (1.0, 9.0), (5.0, 9.0), (9.0, 4.2)])
def test_two_planes_are_blurred_by_their_own_sigma_off_the_edge(near_coc, far_coc, focus_between):
    image = soft_picture(3, 48, 72)
    layers = two_planes(near_coc, far_coc, focus_between=focus_between)
    blurred, sigma = blur_layers(image, layers, NYUV2_RANGE)
    for part, coc in ((slice(0, 25), near_coc), (slice(47, 72), far_coc)):
        expected = gaussian(image, (coc - 1) / 4)[:, part]
        # half a level of rounding, and a little for masks under 1e-4 that are dropped
        np.testing.assert_allclose(blurred[:, part], expected, atol=0.7)
        np.testing.assert_allclose(sigma[:, part], (coc - 1) / 4, rtol=1e-6)


def test_a_near_plane_out_of_focus_spills_over_a_sharp_background():
    image = np.full((48, 72, 3), 60, np.uint8)
    image[:, :36] = 200
    blurred, _ = blur_layers(image, two_planes(13.0, 1.0, focus_between=True), NYUV2_RANGE)
    # Behind the soft edge the hidden background must shine through as if it went on.
    expected = gaussian(image, 3)
    assert np.abs(blurred - expected).max() < 2
    assert blurred[:, 36].mean() > 110


def test_a_sharp_near_plane_takes_nothing_from_a_blurred_background():
    image = np.full((48, 72, 3), 60, np.uint8)
    image[:, :36] = 200
    for focus_between in (True, False):
        layers = two_planes(1.0, 13.0, focus_between=focus_between)
        np.testing.assert_array_equal(blur_layers(image, layers, NYUV2_RANGE)[0], image)


@pytest.mark.parametrize(("in_front", "tolerance"), [(True, 1.0), (False, 5.0)])
def test_a_slanted_surface_of_many_layers_has_the_blur_of_its_map(in_front, tolerance):
    # Behind the focus the published generator lets nearer layers count too much: hence 5.
    image = soft_picture(4, 100, 60)
    row_coc = np.linspace(1, 21, 100).round(1)
    order = np.argsort(row_coc if in_front else -row_coc)
    index = np.argsort(order)[:, None].repeat(60, axis=1)
    layers = Layers(index, row_coc[order], np.full(100, in_front), LENS)
    blurred, sigma = blur_layers(image, layers, NYUV2_RANGE)
    expected = np.stack([gaussian(image, sigma[row, 0])[row] for row in range(100)])
    error = np.sqrt(np.mean((blurred - expected)[12:-12] ** 2))
    untouched = np.sqrt(np.mean((image - expected)[12:-12] ** 2))
    assert error < tolerance < untouched / 2


def test_what_stands_in_front_changes_nothing_far_from_it():
    image = soft_picture(7, 60, 100)
    row_coc = np.linspace(20, 3, 60).round(1)
    behind = np.arange(60)[:, None].repeat(100, axis=1)
    alone = Layers(behind, row_coc, np.zeros(60, bool), LENS)
    index = behind.copy()
    index[:, 80:] = 60
    both = Layers(index, np.append(row_coc, 13), np.arange(61) == 60, LENS)
    expected, _ = blur_layers(image, alone, NYUV2_RANGE)
    blurred, _ = blur_layers(image, both, NYUV2_RANGE)
    np.testing.assert_allclose(blurred[:, :55].astype(int), expected[:, :55], atol=1)


@pytest.mark.parametrize("reach", [NYUV2_RANGE, DefocusRange(31)])
def test_a_constant_image_stays_constant_whatever_its_depth(reach):
    rng = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(rng.random((48, 64)), (0, 0), 4)
    depth = 1000 + 4000 * (blobs > 0.5) + 500 * rng.random((48, 64))
    image = np.full((48, 64, 3), (7, 130, 250), np.uint8)
    blurred, sigma = blur_by_depth(image, depth, reach, rng)
    np.testing.assert_array_equal(blurred, image)
    assert sigma.max() == reach.sigma_max


def test_a_part_is_blurred_as_in_the_whole():
    image, depth = soft_picture(5, 80, 90), ramp(80, 90)
    layers = draw_layers(depth, NYUV2_RANGE, np.random.default_rng(1))
    whole, sigma = blur_layers(image, layers, NYUV2_RANGE)
    part = slice(10, 70), slice(15, 80)
    cut = layers.cut(part)
    assert len(cut.coc_px) < len(layers.coc_px)
    blurred, cut_sigma = blur_layers(image[part], cut, NYUV2_RANGE)
    inside = slice(20, -20), slice(20, -20)
    np.testing.assert_allclose(blurred[inside].astype(int), whole[part][inside], atol=1)
    np.testing.assert_array_equal(cut_sigma, sigma[part])


def test_even_blur_is_one_gaussian_and_its_sigmas_fill_the_range():
    image = soft_picture(6, 40, 48)
    sigmas = []
    for seed in range(60):
        blurred, sigma = blur_evenly(image, NYUV2_RANGE, np.random.default_rng(seed))
        assert np.ptp(sigma) == 0
        sigmas.append(float(sigma[0, 0]))
        np.testing.assert_allclose(blurred, gaussian(image, sigmas[-1]), atol=0.51)
    assert 0 <= min(sigmas) < 0.5 < 4.5 < max(sigmas) <= 5
    assert np.mean(sigmas) == pytest.approx(2.5, abs=0.5)


def test_holes_take_the_nearest_depth():
    depth = np.array([[0, 0, 30, 0], [10, 0, 0, 65535]], np.uint16)
    filled = fill_invalid(depth, (depth > 0) & (depth < 65535))
    assert filled.tolist() == [[10, 30, 30, 30], [10, 10, 30, 30]]
    with pytest.raises(TrainError, match="leave this image out"):
        fill_invalid(depth, np.zeros(depth.shape, bool))
