"""Mixed precision: only where it is asked for and the device has it; the image stays in fp32."""

import pytest
import torch

from crispstream.train.models.registry import build_network
from crispstream.train.objectives import outputs_of
from crispstream.train.precision import training_precision


@pytest.mark.parametrize("has_gpu", [True, False])
@pytest.mark.parametrize(
    ("mixed", "has_bf16", "expected"),
    [(True, True, "bf16-mixed"), (True, False, "32-true"), (False, True, "32-true")],
)
def test_mixed_precision_is_for_devices_that_have_it(
    monkeypatch, has_gpu, mixed, has_bf16, expected
):
    def gpu(including_emulation=True):
        return has_bf16 or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", gpu)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16 and not has_gpu)
    assert training_precision(mixed) == expected


def test_a_new_edge_network_interpolates_in_fp32_whatever_its_layers_compute_in():
    network = build_network("edge-n")
    for parameter in network.tail.parameters():
        parameter.data.zero_()
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    plain = network(x).hr
    with torch.autocast("cpu", torch.bfloat16):
        mixed = outputs_of(network, x)
        assert network.head(x).dtype == torch.bfloat16
    assert mixed.hr.dtype == torch.float32
    torch.testing.assert_close(mixed.hr, plain, rtol=0, atol=1e-6)
