"""Networks as frame -> frame callables: padding, the x8 self-ensemble, maps, refusals."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from crispstream.core.errors import TrainError
from crispstream.core.pixels import round_to_bytes
from crispstream.train.models.registry import NO_MAPS, Outputs, build_network
from crispstream.train.restoring import answering, restoring, self_ensemble
from tests.helpers.pictures import soft_picture

FRAME = soft_picture(1, 10, 14)


def enlarged_with_a_ramp(frame):
    """Something that depends on which way up the frame is, in fractions of a level."""
    levels = frame.repeat(4, axis=0).repeat(4, axis=1).astype(np.float32)
    rows, cols = levels.shape[:2]
    return levels + np.linspace(0, 3, rows)[:, None, None] + np.linspace(0, 5, cols)[:, None] ** 2


def test_the_ensemble_is_the_mean_over_the_eight_turns_turned_back():
    """Rotations with and without a reflection: the same eight, reached in another way."""
    total = 0
    for quarter in range(4):
        for mirror in (False, True):
            turned = np.rot90(np.fliplr(FRAME) if mirror else FRAME, quarter)
            back = np.rot90(enlarged_with_a_ramp(turned), -quarter)
            total = total + (np.fliplr(back) if mirror else back)
    found = self_ensemble(enlarged_with_a_ramp)(FRAME)
    np.testing.assert_allclose(found, total / 8, atol=1e-4)
    assert np.abs(found - enlarged_with_a_ramp(FRAME)).max() > 1


class Ramp(nn.Module):
    """Nearest enlargement and a ramp of a tenth of a level; wants sides that divide by 8."""

    size_multiple = 8

    def forward(self, x_bchw, maps=NO_MAPS):
        assert x_bchw.shape[2] % 8 == 0 == x_bchw.shape[3] % 8
        large = functional.interpolate(x_bchw, scale_factor=4.0)
        return Outputs(large + torch.arange(large.shape[2])[:, None] / 2550)


def test_a_network_is_averaged_before_rounding():
    """Over all turns the ramp is half as high in rows and half in columns."""
    restored = restoring(Ramp(), ensemble=True)(FRAME)
    ramp = np.arange(64) / 10  # of 10 and 14 pixels, padded to 16 each
    up_down = ramp[:40] + ramp[:40][::-1]
    left_right = ramp[:56] + ramp[:56][::-1]
    expected = FRAME.repeat(4, axis=0).repeat(4, axis=1) + (
        up_down[:, None, None] / 4 + left_right[:, None] / 4
    )
    assert np.abs(restored - np.clip(expected, 0, 255)).max() < 0.5 + 1e-3
    assert restored.dtype == np.uint8


def test_a_network_of_the_kit_keeps_the_frames_size_with_and_without_ensemble():
    network = build_network("edge-n").eval()
    assert restoring(network)(FRAME).shape == (40, 56, 3)
    assert restoring(network, ensemble=True)(FRAME).shape == (40, 56, 3)


class Estimator(nn.Module):
    """Gives maps and no frame: sigma is 255 x green, class 2 where the true sigma is above 1."""

    size_multiple = 8

    def forward(self, x_bchw, maps=NO_MAPS):
        large = functional.interpolate(x_bchw, scale_factor=4.0)
        assert maps["sigma"].shape == (1, 1, *large.shape[2:])
        above = (maps["sigma"] > 1).float()
        logits = torch.cat([1 - above, above * 0, above], dim=1)
        return Outputs(maps={"sigma": large[:, 1:2] * 255, "semantics": logits})


def test_maps_are_answered_without_the_padding():
    truth = {"sigma": np.linspace(0, 2, 40 * 56, dtype=np.float32).reshape(40, 56)}
    answer = answering(Estimator())(FRAME, truth)
    assert answer.restored is None
    green = FRAME[..., 1].repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_allclose(answer.sigma, green, atol=1e-3)
    np.testing.assert_array_equal(answer.labels, np.where(truth["sigma"] > 1, 2, 0))


def test_a_network_without_a_restored_frame_is_refused_in_words():
    class Deblurring(Ramp):
        def forward(self, x_bchw, maps=NO_MAPS):
            return Outputs(lr=x_bchw)

    with pytest.raises(TrainError, match="no restored frame"):
        restoring(Deblurring())(FRAME)


def test_true_maps_reach_who_is_conditioned_on_them_and_nobody_else():
    frame = soft_picture(2, 20, 28)
    blurred, sharp = (
        {"sigma": np.full((80, 112), sigma, np.float32), "labels": np.zeros((80, 112), np.uint8)}
        for sigma in (5, 0)
    )
    torch.manual_seed(0)
    conditioned = answering(build_network("rrdb-sft-tiny").eval())
    joined = answering(build_network("blindsr-tiny").eval())
    levels = [conditioned(frame, maps).restored for maps in (blurred, sharp)]
    assert not np.array_equal(*levels)
    answers = [joined(frame, maps) for maps in (blurred, sharp)]
    assert conditioned(frame, sharp).true_maps
    assert not answers[0].true_maps
    for first, second in zip(*answers, strict=True):
        np.testing.assert_array_equal(first, second)


def test_bytes_are_rounded_like_everywhere():
    assert restoring(Ramp())(FRAME)[-1, 0, 0] == round_to_bytes(np.float64(FRAME[-1, 0, 0]) + 3.9)
