"""The bicubic against values worked by hand and against an independent implementation."""

import numpy as np
import torch
from torch.nn import functional

from crispstream.core.bicubic import downscale_x4, resize_bicubic, upscale_x4
from crispstream.core.pixels import round_to_bytes

NOISE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)


def by_torch(image, scale):
    """PyTorch's antialiased bicubic has a = -0.5 too, but treats borders differently."""
    x = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    y = functional.interpolate(
        x, scale_factor=scale, mode="bicubic", antialias=True, align_corners=False
    )
    return y[0].permute(1, 2, 0).numpy()


def test_enlarging_agrees_with_pytorch_inside():
    ours, theirs = resize_bicubic(NOISE, 4.0), by_torch(NOISE, 4.0)
    assert ours.shape == (256, 192, 3)
    np.testing.assert_allclose(ours[12:-12, 12:-12], theirs[12:-12, 12:-12], atol=1e-9)


def test_reducing_is_antialiased_and_agrees_with_pytorch_inside():
    ours, theirs = resize_bicubic(NOISE, 0.25), by_torch(NOISE, 0.25)
    assert ours.shape == (16, 12, 3)
    np.testing.assert_allclose(ours[4:-4, 4:-4], theirs[4:-4, 4:-4], atol=1e-9)


def test_a_step_has_the_overshoot_of_a_half():
    """A step between pixels 1 and 2, a = -0.5: weights of Keys' kernel at 1/8, 3/8, 5/8, 7/8."""
    step = np.zeros((1, 4, 1))
    step[:, 2:] = 1.0
    at_five_eighths_before = resize_bicubic(step, 4.0)[0, 6, 0]
    d = np.array([1.125, 0.125, 0.875, 1.875])  # distances of the four taps from 1.125
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    weights = np.where(d <= 1, near, far)
    assert abs(at_five_eighths_before - weights[2:].sum()) < 1e-12
    assert resize_bicubic(step, 4.0).max() > 1.0


def test_flat_stays_flat_and_bytes_stay_bytes():
    flat = np.full((8, 12, 3), 77, np.uint8)
    assert (upscale_x4(flat) == 77).all()
    assert (downscale_x4(flat) == 77).all()
    assert upscale_x4(flat).shape == (32, 48, 3)


def test_a_border_mirrors_and_repeats_its_pixel():
    """At -0.375 the taps see rows 1, 0, 0, 1 at distances 1.625, 0.625, 0.375, 1.375."""
    ramp = np.tile(np.arange(8.0)[:, None, None], (1, 8, 1))
    d = np.array([1.625, 1.375])
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    assert abs(resize_bicubic(ramp, 4.0)[0, 0, 0] - far.sum()) < 1e-12


def test_the_quick_enlargement_has_the_same_bytes():
    rng = np.random.default_rng(1)
    for height, width in ((1, 1), (1, 2), (2, 1), (3, 5), (17, 33), (90, 160), (1, 300)):
        noise = rng.integers(0, 256, (height, width, 3), np.uint8)
        edges = (noise > 127).astype(np.uint8) * 255
        view = rng.integers(0, 256, (height + 4, width + 4, 3), np.uint8)[2:-2, 2:-2]
        for image in (noise, edges, edges // 255, view):
            expected = round_to_bytes(resize_bicubic(image, 4.0))
            np.testing.assert_array_equal(upscale_x4(image), expected)
