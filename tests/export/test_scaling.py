"""Bringing a network into range for its proof."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crispstream.core.errors import ExportError
from crispstream.export.scaling import check_range, inner_share, scaling_for
from crispstream.train.models.registry import NO_MAPS, Outputs, build_network
from tests.helpers.pictures import soft_picture

X = torch.from_numpy(soft_picture(3, 16, 24)).permute(2, 0, 1)[None].float() / 255


class Residual(nn.Module):
    """Nearest x4 plus a convolution's say, weighed by 0.5: a small CMSC."""

    size_multiple = 1
    output_conv = "say"

    def __init__(self, spread: float) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.say = nn.Conv2d(3, 3, 3, padding=1)
        for parameter in self.say.parameters():
            parameter.data.mul_(spread)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        base = nn.functional.interpolate(x_bchw, scale_factor=4.0, mode="nearest")
        return Outputs(base + 0.5 * self.say(base))


@torch.inference_mode()
def restored(network):
    return network(X).restored()


def test_a_saturated_network_is_brought_to_the_middle_of_the_range():
    torch.manual_seed(0)
    network = build_network("srresnet-w16").eval()
    whole = restored(network)
    assert inner_share([whole.numpy() * 255 + 0.5]) < 0.01
    scaling = scaling_for(network, network.output_conv, restored)
    inside = restored(scaling.applied(network))
    assert float(inside.mean()) == pytest.approx(0.5, abs=1e-3)
    assert float(inside.std()) == pytest.approx(0.3, abs=1e-3)
    assert torch.equal(restored(network), whole)  # the copy is a copy


def test_a_network_in_range_is_left_alone():
    assert scaling_for(Residual(1.0), "say", restored) is None


def test_what_adds_next_to_nothing_to_its_base_is_made_visible():
    """In range thanks to the base alone: a proof would not see the convolution."""
    network = Residual(1e-4)
    scaling = scaling_for(network, "say", restored)
    inside = restored(scaling.applied(network))
    assert float(inside.mean()) == pytest.approx(0.5, abs=1e-3)
    assert float((inside - restored(network)).std()) == pytest.approx(0.3, rel=0.02)


def test_a_convolution_without_a_say_cannot_be_proved():
    network = Residual(0.0)
    with pytest.raises(ExportError, match="'say' contributes the same value everywhere"):
        scaling_for(network, "say", restored)


def test_the_share_of_inner_bytes_is_reported_when_it_is_wrong():
    with pytest.raises(ExportError, match=r"0\.00% of the bytes .* \(unscaled\)"):
        check_range(inner_share([np.full((3, 3), 300.0, np.float32)]), None)
    network = Residual(1e-4)
    scaling = scaling_for(network, "say", restored)
    levels = np.full((10, 10), 100.0, np.float32)
    with pytest.raises(ExportError, match=r"100\.00% of the bytes .*'say' x "):
        check_range(inner_share([levels]), scaling)
    levels[0, :5] = -4
    check_range(inner_share([levels]), scaling)


def test_the_byte_of_a_level_counts():
    """Levels carry + 1/2 and the cast truncates, so 0.99 is byte 0 and 255.0 is byte 255."""
    levels = np.array([0.99, 1.0, 254.99, 255.0], np.float32)
    assert inner_share([levels]) == np.mean((levels.astype(np.uint8) > 0) & (levels < 255))
