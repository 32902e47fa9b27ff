import cv2
import numpy as np
import pytest

from crispstream.core.figures import FrameMeter
from tests.helpers.pictures import soft_picture


def flat_with_noise(sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, (120, 160, 1))
    return np.clip(np.round(128 + noise), 0, 255).astype(np.uint8).repeat(3, 2)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0, 20.0])
def test_noise_is_the_standard_deviation_that_was_added(sigma: float) -> None:
    assert FrameMeter().measure(flat_with_noise(sigma)).noise == pytest.approx(sigma, rel=0.06)


def test_blur_lowers_sharpness_and_texture_but_not_brightness() -> None:
    meter = FrameMeter()
    frame = soft_picture()
    sharp, blurred = meter.measure(frame), meter.measure(cv2.GaussianBlur(frame, (0, 0), 3))
    assert blurred.sharpness < 0.7 * sharp.sharpness
    assert blurred.texture < sharp.texture
    assert blurred.brightness == pytest.approx(sharp.brightness, abs=1)


def test_texture_is_the_slope_of_a_ramp() -> None:
    ramp = np.arange(0, 200, 2, dtype=np.uint8)[None, :, None].repeat(50, 0).repeat(3, 2)
    assert FrameMeter().measure(ramp).texture == pytest.approx(2, rel=0.03)  # the border is flat


def test_white_noise_is_sharper_than_any_picture() -> None:
    """A Laplacian multiplies white noise by the root of 20."""
    noise = FrameMeter().measure(flat_with_noise(20)).sharpness
    assert noise == pytest.approx(20**0.5, rel=0.03)
    assert FrameMeter().measure(soft_picture()).sharpness < 2


def test_the_meter_takes_frames_of_changing_size() -> None:
    meter = FrameMeter()
    first = meter.measure(soft_picture(height=48, width=64))
    meter.measure(soft_picture(height=32, width=32))
    again = meter.measure(soft_picture(height=48, width=64))
    assert again == pytest.approx(first, rel=1e-6)  # OpenCV's order of summing is not fixed
