"""Losses by hand-worked cases, and which parts of a batch and a network they reach."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from crispstream.core.bicubic import resize_bicubic
from crispstream.core.errors import UsageError
from crispstream.train.losses import (
    charbonnier,
    frequency_loss,
    gradient_loss,
    labels_loss,
    log_error,
    reduced_x4,
)
from crispstream.train.models.registry import NO_MAPS, Outputs
from crispstream.train.objectives import build_objective


class Fixed(nn.Module):
    """Returns what it was told, and remembers what it was given."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, x_bchw, maps=NO_MAPS):
        self.given = (x_bchw, maps)
        return self.outputs

    def refine(self, y):
        return y + 1, [y + 2, y + 4]


def image(value, side=4):
    return torch.full((1, 3, side, side), float(value))


def test_the_gradient_loss_is_that_of_sobel_filters():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 9, 7))
    expected = 0.0
    for axis in (0, 1):
        parts = [
            [ndimage.sobel(plane, axis=axis, mode="constant") for plane in picture]
            for picture in (a, b)
        ]
        expected += np.abs(np.array(parts[0]) - np.array(parts[1])).mean()
    ours = gradient_loss(torch.from_numpy(a[None]), torch.from_numpy(b[None]))
    assert ours.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sides", [(8, 12), (7, 9)])
def test_the_frequency_loss_and_its_gradient_are_those_of_the_transform(sides):
    rng = np.random.default_rng(1)
    a, b = (torch.from_numpy(rng.random((2, 3, *sides), np.float32)) for _ in range(2))
    spectrum = np.fft.rfft2((a - b).numpy(), norm="ortho")
    expected = (np.abs(spectrum.real).mean() + np.abs(spectrum.imag).mean()) / 2
    ours = a.clone().requires_grad_()
    loss = 3 * frequency_loss(ours, b)
    assert loss.item() == pytest.approx(3 * expected, rel=1e-5)
    loss.backward()
    theirs = a.clone().requires_grad_()
    parts = torch.view_as_real(torch.fft.rfft2(theirs - b, norm="ortho"))
    (3 * parts.abs().mean()).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-9)


def test_images_are_reduced_as_the_kits_bicubic_does_it():
    image_hwc = np.random.default_rng(2).random((16, 24, 3))
    hr = torch.from_numpy(image_hwc.astype(np.float32)).permute(2, 0, 1)[None]
    expected = resize_bicubic(image_hwc, 0.25).transpose(2, 0, 1)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_allclose(reduced_x4(hr)[0].numpy(), expected, atol=1e-6)


def test_restoring_adds_the_spectrum_and_the_small_image_where_there_is_one():
    generator = torch.Generator().manual_seed(3)
    restored, hr = (torch.rand(1, 3, 8, 8, generator=generator) for _ in range(2))
    batch, objective = {"lr": image(0, 2), "hr": hr}, build_objective("restore")
    plain, spectrum = charbonnier(restored, hr), frequency_loss(restored, hr)
    small = charbonnier(image(0.25, 2), reduced_x4(hr))
    weights = {"frequency": 0.5, "lr": 0.1}

    def loss(outputs, weights):
        return objective.loss(Fixed(outputs), batch, weights).item()

    both = Outputs(restored, image(0.25, 2))
    assert objective.needs == ("lr", "hr")
    assert loss(both, weights) == pytest.approx((plain + 0.5 * spectrum + 0.1 * small).item())
    assert loss(Outputs(restored), weights) == pytest.approx((plain + 0.5 * spectrum).item())
    assert loss(both, {"lr": 0.0}) == loss(both, {}) == pytest.approx(plain.item())
    with_fidelity = (plain + 0.2 * log_error(restored, hr)).item()
    assert loss(both, {"fidelity": 0.2}) == pytest.approx(with_fidelity)


def test_the_log_of_errors_counts_quiet_and_busy_images_alike():
    truth = torch.zeros(2, 3, 4, 4)
    restored = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)])
    both = log_error(restored, truth, floor=0.0).item()
    assert both == pytest.approx((math.log(1e-2) + math.log(1e-4)) / 2, rel=1e-5)
    halved = restored * torch.tensor([1.0, 0.5])[:, None, None, None]
    turned = restored * torch.tensor([0.5, 1.0])[:, None, None, None]
    gains = [both - log_error(image, truth, floor=0.0).item() for image in (halved, turned)]
    assert gains == pytest.approx([math.log(2)] * 2, rel=1e-4)
    assert math.isfinite(log_error(truth, truth).item())


def test_losses_are_in_fp32_of_networks_that_compute_in_less():
    coarse = image(0.3).to(torch.bfloat16)
    batch = {"lr": image(0), "hr": image(0.0)}
    with torch.autocast("cpu", torch.bfloat16):
        loss = build_objective("l1").loss(Fixed(Outputs(hr=coarse)), batch, {})
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(coarse.float().mean().item(), rel=1e-6)


def test_labels_that_are_not_known_do_not_count():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]]).T.reshape(1, 2, 1, 2)
    known = torch.tensor([[[[0, 255]]]])
    assert labels_loss(logits, known).item() == pytest.approx(np.log(1 + np.exp(-2)), rel=1e-5)
    assert labels_loss(logits, torch.full_like(known, 255)).item() == 0


def test_the_joint_losses_weigh_the_small_image():
    network = Fixed(Outputs(hr=image(0.5), lr=image(1.0)))
    batch = {"lr": image(0), "lr_sharp": image(0.6), "hr": image(0.3)}
    square, absolute = build_objective("joint-mse"), build_objective("joint-l1")
    assert square.loss(network, batch, {"lr": 0.5}).item() == pytest.approx(0.04 + 0.5 * 0.16)
    assert absolute.loss(network, batch, {"lr": 0.5}).item() == pytest.approx(0.2 + 0.5 * 0.4)


def test_without_its_weight_the_small_image_still_hangs_on_the_graph():
    lr = image(1.0).requires_grad_()
    network = Fixed(Outputs(hr=image(0.5), lr=lr))
    batch = {"lr": image(0), "lr_sharp": image(0.6), "hr": image(0.3)}
    build_objective("joint-mse").loss(network, batch, {"lr": 0.0}).backward()
    assert lr.grad is not None
    assert lr.grad.abs().max() == 0


def test_cnlrn_adds_a_tenth_of_the_gradients():
    hr = image(0.5).clone()
    hr[..., 2, 2] = 1.0
    network, batch = Fixed(Outputs(hr=hr)), {"lr": image(0), "hr": image(0.5)}
    loss = build_objective("l1-gradient").loss(network, batch, {"gradient": 0.1}).item()
    # The point of height 1/2 meets each weight of a Sobel kernel once: 8 a direction, 9 places
    # of which all lie inside.
    assert loss == pytest.approx(0.5 / 16 + 0.1 * 2 * (8 * 0.5 / 16))


def test_every_stage_of_cmsc_is_supervised():
    maps = {"stage_1": image(1.0), "stage_2": image(3.0), "y": image(9)}
    network = Fixed(Outputs(hr=image(2.0), maps=maps))
    joint = build_objective("cascaded").loss(
        network, {"lr": image(0), "hr": image(0)}, {"final": 0.5}
    )
    assert joint.item() == pytest.approx(0.5 * 4 + 0.5 * (1 + 9) / 2)
    alone = build_objective("cascaded-luma").loss(
        network, {"y_interpolated": image(0), "y": image(0)}, {"final": 0.25}
    )
    assert alone.item() == pytest.approx(0.25 * 1 + 0.75 * (4 + 16) / 2)


def test_cmos_weighs_four_maps():
    logits = torch.zeros(1, 2, 4, 4)
    one = torch.ones(1, 1, 4, 4)
    maps = {"sigma": one, "aux_sigma": 2 * one, "semantics": logits, "aux_semantics": logits}
    weights = {"aux_blur": 0.5, "aux_semantics": 0.25, "blur": 1.0, "semantics": 2.0}
    batch = {"lr": image(0), "sigma": 0 * one, "labels": one.long()}
    loss = build_objective("blur-and-semantics").loss(Fixed(Outputs(maps=maps)), batch, weights)
    assert loss.item() == pytest.approx(0.5 * 2 + 1 + (0.25 + 2) * np.log(2), rel=1e-6)


def test_the_restorer_of_cmos_is_given_the_true_maps():
    network = Fixed(Outputs(hr=image(0.5)))
    labels = torch.full((1, 1, 4, 4), 7, dtype=torch.uint8)
    batch = {"lr": image(0), "hr": image(0), "sigma": torch.ones(1, 1, 4, 4), "labels": labels}
    assert build_objective("conditioned-l1").loss(network, batch, {}).item() == pytest.approx(0.5)
    assert network.given[1]["labels"].dtype == torch.float32
    assert network.given[1]["labels"].unique().item() == 7


def test_an_unknown_objective_is_named():
    with pytest.raises(UsageError, match="did you mean 'joint-mse'"):
        build_objective("joint-mes")
