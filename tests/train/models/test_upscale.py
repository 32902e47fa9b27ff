"""Bicubic x4 as a convolution: equal to the kit's one bicubic, and static."""

import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional

from crispstream.core.bicubic import resize_bicubic
from crispstream.train.models.upscale import BicubicX4, bicubic_taps


def bchw(image_hwc):
    return torch.from_numpy(np.ascontiguousarray(image_hwc.transpose(2, 0, 1)))[None]


@pytest.mark.parametrize("size", [(2, 2), (3, 2), (7, 10)])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_equals_the_bicubic_of_published_numbers_up_to_the_border(size, channels):
    image = np.random.default_rng(0).random((*size, channels))
    ours = BicubicX4(channels).double()(bchw(image))
    torch.testing.assert_close(ours, bchw(resize_bicubic(image, 4.0)), rtol=0, atol=1e-9)


def test_it_is_not_torch_s_bicubic():
    x = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    theirs = functional.interpolate(x, scale_factor=4.0, mode="bicubic", align_corners=False)
    assert (BicubicX4()(x) - theirs).abs().max() > 0.01


def test_float32_holds_the_weights_exactly():
    taps = bicubic_taps()
    square = taps[:, None, :, None] * taps[None, :, None, :]
    assert np.array_equal(square, square.astype(np.float32))
    assert np.array_equal(BicubicX4(2).kernel[16:, 0].numpy().reshape(4, 4, 5, 5), square)


def test_the_subpixels_shuffle_to_the_image():
    x = torch.rand(2, 3, 4, 5)
    enlarge = BicubicX4()
    assert enlarge.subpixels(x).shape == (2, 48, 4, 5)
    assert torch.equal(functional.pixel_shuffle(enlarge.subpixels(x), 4), enlarge(x))


def test_it_traces_without_a_warning_and_adds_nothing_to_a_checkpoint():
    enlarge = BicubicX4()
    assert not enlarge.state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of tracing itself
        traced = torch.jit.trace(enlarge, torch.rand(1, 3, 4, 5))
    x = torch.rand(1, 3, 6, 9)
    assert torch.equal(traced(x), enlarge(x))
